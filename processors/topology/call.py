"""Functions of the user's: what they must be, and how they are called."""

from __future__ import annotations

from functools import partial
from inspect import (
    Parameter,
    Signature,
    getattr_static,
    isasyncgenfunction,
    iscoroutinefunction,
    signature,
)
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from processors.errors import TopologyError

if TYPE_CHECKING:
    from collections.abc import Callable


class Call(NamedTuple):
    """A function, and what it is called with; None where that is looked at elsewhere."""

    function: Callable[..., Any]
    given: tuple[str, ...] | None


VALUE = ("value",)
RESULT_AND_VALUE = ("result", "value")
BOTH_VALUES = ("left", "right")

_SAYS_ITSELF: Final = (
    FunctionType,
    MethodType,
    BuiltinFunctionType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
    partial,
    type,
)


def check_call(at: str, function: Any, *given: str) -> None:
    """As `check_plain`, and for what cannot be called with so many arguments, where it says so."""
    check_plain(at, function)
    check_arguments(at, function, *given)


def check_arguments(at: str, function: Any, *given: str) -> None:
    """Raises `TopologyError` for a function that takes another number of arguments.

    What a decorator's function passes on is its own affair, and some built-ins do not say.
    """
    if {"__wrapped__", "__signature__"} <= getattr(function, "__dict__", {}).keys():
        return  # the signature is that of the inner one, of which `wraps` copies it
    try:
        takes = signature(_called(function), follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        takes.bind(*given)
    except TypeError as error:
        raise TopologyError(
            f"{at}: {_name(function)}{_bare(takes)} is called with ({', '.join(given)}): {error}"
        ) from None


def check_plain(at: str, function: object) -> None:
    """Raises `TopologyError` for what cannot be called, or gives coroutines for values."""
    if not callable(function):
        raise TopologyError(f"{at}: {function!r} cannot be called; give a function")
    if _is_async(function):
        raise TopologyError(
            f"{at}: {_name(function)} is an async function, and operators call plain ones; what "
            "has to await something belongs into stream.map_async() or an @app.agent"
        )


def _called(function: Any) -> Any:
    """What runs when it is called: its class's `__call__`, whatever an object claims to be."""
    kind = cast("type[Any]", type(function))
    if issubclass(kind, _SAYS_ITSELF):
        return function
    call = getattr_static(kind, "__call__")
    return call.__get__(function, kind) if hasattr(call, "__get__") else call


def _is_async(function: Any) -> bool:
    try:
        return iscoroutinefunction(function) or isasyncgenfunction(function)
    except TypeError:  # a mock that stands for a function has mocks for the flags of its code
        return False


def _bare(takes: Signature) -> Signature:
    """Without what the arguments are."""
    names = [each.replace(annotation=Parameter.empty) for each in takes.parameters.values()]
    return Signature(names)


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))
