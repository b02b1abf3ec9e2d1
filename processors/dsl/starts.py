"""What a key starts with, and how it is kept: as JSON, unless somebody says otherwise."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, cast

from processors.dsl.aggregators import Aggregator
from processors.dsl.arguments import chosen_serde
from processors.dsl.kept import ALIKE, REMEDY, fault_of, kept
from processors.topology.call import check_call
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.serdes import Serde

_OR_PLAIN: Final = "or start with a list or dict"
_PLAIN: Final = (list, dict, type(None))


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
    serde = _serde_of(at, initial) if value is None else chosen_serde(f"{at}: value", value)
    results = kept(at, serde) if value is None else serde
    if callable(initial):
        make = cast("Callable[[], Any]", initial)  # what is callable is the maker
        is_asked = is_class or value is not None
        return make if is_asked else checked_start(at, make), results
    if serde.immutable or initial is None:
        return lambda: initial, results
    try:
        encoded = serde.serialize(initial)
    except SerializationError as error:
        raise TypeError(
            f"{at}: initial={initial!r}: {error}; choose a serde that writes it, value=..., or a "
            "function that makes it"
        ) from None
    return lambda: serde.deserialize(encoded), results


def checked_start(at: str, make: Callable[[], Any]) -> Callable[[], Any]:
    """`make`, whose first result is looked at: JSON must give it back."""
    is_checked = False

    def start() -> Any:
        nonlocal is_checked
        made = make()
        if not is_checked:
            _check_kept(at, made, serde_for("json"))
            is_checked = True
        return made

    return start


def _serde_of(at: str, initial: Any) -> Serde[Any]:
    """JSON, read as a class where it would not be read as that by itself."""
    is_class = inspect.isclass(initial)
    if callable(initial) and not is_class:
        return json_of(at, cast("Callable[[], Any]", initial))
    kind = cast("type[Any]", initial if is_class else type(initial))
    is_plain = kind in _PLAIN or issubclass(kind, ALIKE)
    try:
        made = cast("Any", initial() if is_class else initial)
        serde = serde_for("json" if is_plain else kind)
    except TypeError as error:
        raise TypeError(
            f"{at}: initial={kind.__qualname__}: {error}; {REMEDY}, {_OR_PLAIN}"
        ) from None
    _check_kept(at, made, serde)
    return serde


def json_of(at: str, make: Callable[[], Any]) -> Serde[Any]:
    """JSON for what a function makes; of tuples where that is one, or it would become a list.

    All else is looked at behind the first record, as it may depend on the time.
    """
    check_call(f"{at}: initial", make)
    try:
        is_tuple = type(make()) is tuple
    except Exception:  # then it fails at a record, which has a policy
        is_tuple = False
    return serde_for(tuple if is_tuple else "json")


def _check_kept(at: str, made: Any, serde: Serde[Any]) -> None:
    """Raises `TypeError` for what a serde gives back as something else."""
    found = None if made is None else fault_of(made, serde)
    if found is not None:
        kind = type(made).__qualname__
        raise TypeError(f"{at}: a key starts with a {kind}, and {found}, {_OR_PLAIN}")
