"""Records as lines of JSON that say all there is to say of them, and back. Pure.

    {"partition":0,"offset":7,"timestamp":1700000000000,"key":"k","value":{"base64":"/w=="},
     "headers":[["trace",null]]}

Keys, values and headers' values are text where the bytes are UTF-8, `{"base64": ...}` where they
are not, and null where there are none. So the bytes come back exactly as they were.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.client.contract import FetchedColumns, Headers


class Base64(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes that are no text."""

    base64: str


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A record as a line has it. `topic` may be there and says nothing."""

    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None
    key: str | Base64 | None = None
    value: str | Base64 | None = None
    headers: list[tuple[str, str | Base64 | None]] = []
    topic: str | None = None


@dataclass(slots=True)
class Exchanged:
    """A record on its way between a log and a file."""

    partition: int | None
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


def to_lines(columns: FetchedColumns) -> Iterator[bytes]:
    """A line, with its end, for each record."""
    headers = columns.headers
    for place, offset in enumerate(columns.offsets):
        line = {
            "partition": columns.partition,
            "offset": offset,
            "timestamp": columns.timestamps[place],
            "key": _text(columns.keys[place]),
            "value": _text(columns.values[place]),
            "headers": []
            if headers is None
            else [(name, _text(value)) for name, value in headers[place]],
        }
        yield msgspec.json.encode(line) + b"\n"


def from_line(line: bytes) -> Exchanged:
    """The record of a line.

    Raises:
        ValueError: with a reason that fits behind a line's number.
    """
    try:
        found = _DECODER.decode(line)
        return Exchanged(
            found.partition,
            found.timestamp,
            _bytes(found.key),
            _bytes(found.value),
            [(name, _bytes(value)) for name, value in found.headers],
        )
    except msgspec.DecodeError as error:
        raise ValueError(f"no record: {error}") from None
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _text(data: bytes | None) -> str | Base64 | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Base64(base64.b64encode(data).decode())


def _bytes(value: str | Base64 | None) -> bytes | None:
    match value:
        case None:
            return None
        case str():
            return value.encode()
        case Base64(text):
            return base64.b64decode(text, validate=True)


_DECODER = msgspec.json.Decoder(Line)
