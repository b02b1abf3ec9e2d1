"""What operators ask of their arguments: functions, numbers, names of topics, serdes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from processors.dsl.foreign_serde import guarded
from processors.topology.call import check_call
from processors.topology.graph import check_name
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.serdes import Serde


def check_function(at: str, function: object, *given: str) -> None:
    """Raises `TypeError` for what cannot be called, `TopologyError` for what takes others."""
    if not callable(function):
        raise TypeError(f"{at}: {function!r} is no function")
    check_call(at, function, *given)


def check_functions(at: str, functions: Iterable[object], *given: str) -> None:
    """Raises `TopologyError` for what cannot be called with these arguments, or is async."""
    for function in functions:
        check_call(at, function, *given)


def at_least_one(what: str, number: int | None) -> None:
    """Raises for what is neither None nor a whole number above zero."""
    given: Any = number  # whatever the caller's types say
    if given is None:
        return
    if type(given) is not int:
        raise TypeError(f"{what}={number!r}: give a whole number")
    if given < 1:
        raise ValueError(f"{what}={number}: must be at least 1")


def check_topic(at: str, topic: object) -> None:
    """Raises for what can be no topic of an application."""
    if not isinstance(topic, str):
        raise TypeError(f"{at}: topic {topic!r}: give its name")
    check_name(f"{at}: topic", topic)


def check_written_topic(at: str, topic: str) -> None:
    """As `check_topic`, for one that is written."""
    check_topic(at, topic)
    if topic.startswith("__"):
        raise ValueError(
            f"{at}: topic {topic!r} is one of the log's own ('__'), which nobody else writes; "
            "choose another name"
        )


def chosen_serde(what: str, spec: Any) -> Serde[Any]:
    """The serde that an argument asks for; what is wrong with it is said with the operator.

    Args:
        what: The operator and the argument: `to at 'lines.to.out': value`.
    """
    try:
        serde = guarded(serde_for(spec))
        if isinstance(spec, type) and getattr(serde, "is_plain", True) is False:
            _check_class(cast("type[object]", spec))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what}={spec!r}: {error}") from None
    return serde


def _check_class(kind: type[object]) -> None:
    """Raises `TypeError` for a class that no JSON text is read as; every record would say so."""
    from msgspec.inspect import CustomType, type_info  # slow to import, as all of it

    if kind is not object and isinstance(type_info(kind), CustomType):
        raise TypeError(
            f"no serde: JSON is not read as a {kind.__qualname__}, which is no dataclass, "
            "msgspec.Struct, TypedDict or NamedTuple; make it one, or give a Serde"
        )
