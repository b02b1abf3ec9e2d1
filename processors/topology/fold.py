"""What an aggregate does with the rows of a key, whatever windows they are in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.topology.call import RESULT_AND_VALUE, Call

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """The functions of an aggregate.

    Attributes:
        kind: Its name in paths.
        add: `add(result so far, value)`; None counts rows, and looks at nothing else.
        initial: Makes the first `result so far`; None where the first value is the first result.
        merge: One result of two, where sessions become one; the first is the earlier.
    """

    kind: str
    add: Callable[[Any, Any], Any] | None = None
    initial: Callable[[], Any] | None = None
    merge: Callable[[Any, Any], Any] | None = None

    @property
    def counts(self) -> bool:
        return self.add is None

    def calls(self) -> tuple[Call, ...]:
        """Those that are the user's."""
        users = (self.initial, ()), (self.add, RESULT_AND_VALUE), (self.merge, ("earlier", "later"))
        return tuple(Call(each, given) for each, given in users if each is not None)


COUNT = Fold(kind="count")
