"""From records to text: what `streamlog consume` prints. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, is_dataclass
from string import Formatter
from typing import TYPE_CHECKING, Any

from streamlog.cli.text.moments import format_moment
from streamlog.client.contract import Record
from streamlog.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = ("topic", "partition", "offset", "timestamp", "time", "key", "value", "headers")
"""What a template may name; `time` is the timestamp in words."""

_SAMPLE = Record("topic", 0, 0, 0, "key", "value")


def renderer(format_: str, *, timestamps: bool = False) -> Callable[[Record], str]:
    """What `--format` asks for: `text`, `json`, or a template such as `{offset} {value}`.

    Text is the key, a tab and the value (the value alone where there is no key), behind the time
    with `timestamps`. In a template `\\t` and `\\n` are a tab and a line's end.

    Raises:
        ValueError: neither a name nor a template, or a template with an unknown field.
    """
    match format_:
        case "text":
            return _text_with_time if timestamps else _text
        case "json":
            return _json
        case template if "{" in template:
            return _template(template)
        case _:
            raise ValueError(
                f"unknown format {format_!r}{did_you_mean(format_, ('text', 'json'))}; known: "
                "text, json, or a template such as '{offset} {key} {value}'"
            )


def plain(value: Any) -> str:
    """A key or value in a line of text: bytes as UTF-8 where they are, null as nothing."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bytes():
            return value.decode(errors="backslashreplace")
        case int() | float() if not isinstance(value, bool):
            return str(value)
        case _:
            return json.dumps(jsonable(value), ensure_ascii=False)


def _text(record: Record) -> str:
    value = "null" if record.value is None else plain(record.value)
    return value if record.key is None else f"{plain(record.key)}\t{value}"


def _text_with_time(record: Record) -> str:
    return f"{format_moment(record.timestamp)}\t{_text(record)}"


def _json(record: Record) -> str:
    return json.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": jsonable(record.key),
            "value": jsonable(record.value),
            "headers": [[name, jsonable(value)] for name, value in record.headers],
        },
        ensure_ascii=False,
    )


def jsonable(value: Any) -> Any:
    """Bytes that are no UTF-8 become `{"base64": ...}`, so that nothing is lost."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"base64": base64.b64encode(value).decode()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        case _:
            return value


def _template(template: str) -> Callable[[Record], str]:
    shape = template.replace("\\t", "\t").replace("\\n", "\n")

    def render(record: Record) -> str:
        return shape.format(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            time=format_moment(record.timestamp),
            key=plain(record.key),
            value="null" if record.value is None else plain(record.value),
            headers=" ".join(f"{name}={plain(value)}" for name, value in record.headers),
        )

    _check(template, render)
    return render


def _check(template: str, render: Callable[[Record], str]) -> None:
    """Raises ValueError where a record could not be rendered.

    Fields stand for themselves: `{key[0]}` would fail at the first empty key.
    """
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        for name in names:
            if name not in FIELDS:
                raise ValueError(
                    f"unknown field {name!r}{did_you_mean(name, FIELDS)}; known: "
                    f"{', '.join(FIELDS)}"
                )
        render(_SAMPLE)
    except (ValueError, LookupError, AttributeError, MemoryError) as error:
        raise ValueError(f"template {template!r}: {error}") from None
