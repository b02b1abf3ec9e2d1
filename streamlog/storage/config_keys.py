"""Kafka's configuration keys: what their values may be, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import InvalidConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Parse = Callable[[str], Any]

MAX_INT: Final = (1 << 31) - 1
MAX_LONG: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """A key: its default as Kafka writes it, and what reads a value, or raises `ValueError`."""

    default: str
    parse: Parse


def parse_values(
    topic: str | None,
    config: Mapping[str, str],
    keys: Mapping[str, ConfigKey],
    ignored: Collection[str] = (),
) -> dict[str, Any]:
    """The typed value of each key that means something.

    Raises `InvalidConfigError` that lists every unknown and every wrong one; `topic` None is the
    log itself.
    """
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, text in config.items():
        key = keys.get(name)
        try:
            if key is not None:
                values[name] = key.parse(text.strip())
            elif name not in ignored:
                raise ValueError(f"unknown{did_you_mean(name, [*keys, *ignored])}")
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise invalid(topic, faults)
    return values


def invalid(topic: str | None, faults: Mapping[str, str]) -> InvalidConfigError:
    """The error that says all faults at once."""
    if len(faults) == 1:
        return InvalidConfigError(topic, *next(iter(faults.items())))
    reason = "; ".join(f"{key}: {fault}" for key, fault in faults.items())
    return InvalidConfigError(topic, ", ".join(faults), reason)


# What reads a value


def integer(low: int, high: int = MAX_INT) -> Parse:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= number <= high:
            raise ValueError(f"{number} is not between {low} and {high}")
        return number

    return parse


def long(low: int) -> Parse:
    return integer(low, MAX_LONG)


def one_of(*allowed: str) -> Parse:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is none of {', '.join(allowed)}")
        return text

    return parse


def some_of(*allowed: str) -> Parse:
    """A list, separated by commas."""

    def parse(text: str) -> frozenset[str]:
        found = [each.strip() for each in text.split(",")]
        wrong = [each for each in found if each not in allowed]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
        return frozenset(found)

    return parse


def number(low: float, high: float = float("inf")) -> Parse:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
        if not low <= value <= high:  # not a number at all is neither
            raise ValueError(f"{text} is not between {low:g} and {high:g}")
        return value

    return parse


def boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def only(value: str, reason: str) -> Parse:
    """For a key of which other values ask for what there is not."""

    def parse(text: str) -> str:
        if text.lower() != value:
            raise ValueError(f"{text!r}: {reason}")
        return value

    return parse


def gzip_level(text: str) -> int:
    level = integer(-1, 9)(text)
    if level == 0:
        raise ValueError("0 is neither between 1 and 9 nor -1")
    return level
