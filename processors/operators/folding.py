"""What makes the results of a fold, whatever windows its rows are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.copier import Copier
from processors.operators.steps import AddStep, MergeStep, Step

if TYPE_CHECKING:
    from processors.operators.operator import Failures
    from processors.topology.fold import Fold
    from streamlog.serdes import Serde


class Folding:
    """The steps of one operator's fold.

    Attributes:
        step: Adds a value to a result.
        merge_step: Adds a value to results that become one; None where they never do.
        copy: Makes of a result what a store may keep.
    """

    def __init__(
        self, path: str, fold: Fold, serde: Serde[Any], failures: Failures, *, olds: bool
    ) -> None:
        assert fold.add is not None
        copier = Copier(serde)
        shield = needs_shield(serde, failures, olds=olds)
        self.copy = copier.copy
        self.step: Step = AddStep(path, failures, copier, fold.add, fold.initial, shield=shield)
        self.merge_step: Step | None = None
        if fold.merge is not None:
            self.merge_step = MergeStep(
                path, failures, copier, fold.add, fold.initial, fold.merge, shield=shield
            )


def needs_shield(serde: Serde[Any], failures: Failures, *, olds: bool) -> bool:
    """Whether functions get copies: what they change in place is asked for as it was."""
    return not serde.immutable and (olds or failures.survives("processing"))
