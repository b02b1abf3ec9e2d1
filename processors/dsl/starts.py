"""What a key starts with, and how it is kept.

Results are kept as JSON unless somebody says otherwise, and JSON gives back lists for sets and
dicts for objects: a function would be called with one for the first record, and with the other
behind it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, cast

from processors.dsl.aggregators import Aggregator
from processors.dsl.arguments import chosen_serde
from processors.topology.call import check_call
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde

_REMEDY: Final = (
    "choose value=, a serde that does (a dataclass, set, a Serde of your own), or start with a "
    "list or dict"
)
_PLAIN: Final = (list, dict, type(None))
_ALIKE: Final = (int, float, str)
"""Of these and their subclasses JSON gives back what works alike."""


def start_of(at: str, initial: Any, value: Any) -> tuple[Callable[[], Any], Serde[Any]]:
    """A function that makes the first result of a key, a fresh one each time, and results' serde.

    Args:
        initial: A function or class that makes it, or the result itself.
        value: The serde asked for; without one, that of the class of what is made where JSON would
            not give it back.

    Raises:
        TypeError: it is the class of an aggregator in its place, or cannot be kept.
    """
    is_class = inspect.isclass(initial)
    if is_class and issubclass(initial, Aggregator):
        raise TypeError(f"{at}: {initial.__qualname__} is a class: give {initial.__qualname__}()")
    if value is not None:
        serde = chosen_serde(f"{at}: value", value)
    elif is_class:
        serde = _serde_of(at, initial, initial)
    elif callable(initial):
        return checked_start(at, cast("Callable[[], Any]", initial)), serde_for("json")
    else:
        kind = cast("type[Any]", type(initial))
        serde = serde_for("json") if kind is tuple else _serde_of(at, kind, lambda: initial)
    if callable(initial):
        return cast("Callable[[], Any]", initial), serde  # what is callable is the maker
    if serde.immutable or initial is None:
        return lambda: initial, serde
    try:
        encoded = serde.serialize(initial)
    except SerializationError as error:
        raise TypeError(
            f"{at}: initial={initial!r}: {error}; choose a serde that writes it, value=..., or a "
            "function that makes it"
        ) from None
    return lambda: serde.deserialize(encoded), serde


def checked_start(at: str, make: Callable[[], Any]) -> Callable[[], Any]:
    """`make`, whose first result is looked at: JSON must give it back."""
    check_call(f"{at}: initial", make)
    is_checked = False

    def start() -> Any:
        nonlocal is_checked
        made = make()
        if not is_checked:
            kind = cast("type[Any]", type(made))
            if kind is not tuple:  # of which JSON makes what is read alike, a list
                _check_kept(at, made, serde_for("json"))
            is_checked = True
        return made

    return start


def _serde_of(at: str, kind: type[Any], make: Callable[[], Any]) -> Serde[Any]:
    """JSON, read as a class where it would not be read as that by itself."""
    if kind in _PLAIN or issubclass(kind, _ALIKE):
        return serde_for("json")
    try:
        made, serde = make(), serde_for(kind)
    except TypeError as error:
        raise TypeError(f"{at}: initial={kind.__qualname__}: {error}; {_REMEDY}") from None
    _check_kept(at, made, serde)
    return serde


def _check_kept(at: str, made: Any, serde: Serde[Any]) -> None:
    """Raises `TypeError` for what a serde gives back as something else."""
    kind = cast("type[Any]", type(made))
    if kind in _PLAIN or issubclass(kind, _ALIKE):
        return
    try:
        found = f"gives back as a {type(serde.deserialize(serde.serialize(made))).__qualname__}"
    except SerializationError as error:
        found = f"cannot keep ({error})"
    if found != f"gives back as a {kind.__qualname__}":
        raise TypeError(
            f"{at}: a key starts with a {kind.__qualname__}, which {serde.name} {found}; {_REMEDY}"
        )
