"""From lines of text to keys and values: what `streamlog produce` takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True, slots=True)
class LineForm:
    """How lines are read.

    Attributes:
        key: The key's serde by name, or None where lines are values only.
        value: The value's serde by name.
        separator: Stands between key and value; the first one in a line counts.
        null: The text that means no key or no value (a tombstone), if any does.
    """

    key: str | None = None
    value: str = "str"
    separator: str = ":"
    null: str | None = None


def parse_line(line: bytes, form: LineForm) -> tuple[Any, Any]:
    """Key and value, as the serdes of `form` take them; the line is without its end.

    Raises:
        ValueError: with a reason that fits behind a line's number.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error
    if form.key is None:
        return None, _parse(text, form.value, form.null)
    key, separator, value = text.partition(form.separator)
    if not separator:
        raise ValueError(f"no {form.separator!r} between a key and a value")
    return _parse(key, form.key, form.null), _parse(value, form.value, form.null)


def _parse(text: str, serde: str, null: str | None) -> Any:
    if text == null:
        return None
    try:
        return _parser(serde)(text)
    except ValueError as error:
        raise ValueError(f"not of type {serde}: {text!r}") from error


def _parser(serde: str) -> Callable[[str], Any]:
    match serde:
        case "int":
            return int
        case "float":
            return float
        case "bytes":
            return str.encode
        case "json":
            import msgspec.json  # lazy: most lines are text

            return msgspec.json.decode
        case _:
            return str
