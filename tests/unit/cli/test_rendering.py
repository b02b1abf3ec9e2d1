"""Records as lines of text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamlog.cli.text.rendering import renderer
from streamlog.client.contract import Record


def record(key: Any, value: Any, headers: list[tuple[str, bytes | None]] | None = None) -> Record:
    return Record("counts", 3, 42, 1_700_000_000_000, key, value, headers or [])


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (record("the", 7), "the\t7"),
        (record(None, "a line"), "a line"),
        (record("gone", None), "gone\tnull"),
        (record(b"caf\xc3\xa9", b"\xff"), "café\t\\xff"),
        (record("k", True), "k\ttrue"),
        (record("k", {"a": [1, None]}), 'k\t{"a": [1, null]}'),
    ],
)
def test_text_is_key_tab_value(given: Record, line: str) -> None:
    assert renderer("text")(given) == line


def test_text_puts_the_time_first_when_asked() -> None:
    line = renderer("text", timestamps=True)(record("the", 7))
    assert line == "2023-11-14T22:13:20.000Z\tthe\t7"


def test_json_has_every_field() -> None:
    assert json.loads(renderer("json")(record("the", 7, [("trace", b"1"), ("none", None)]))) == {
        "topic": "counts",
        "partition": 3,
        "offset": 42,
        "timestamp": 1_700_000_000_000,
        "key": "the",
        "value": 7,
        "headers": [["trace", "1"], ["none", None]],
    }


def test_json_loses_no_byte() -> None:
    assert json.loads(renderer("json")(record(None, b"\xff\x00")))["value"] == {"base64": "/wA="}


def test_a_template_names_fields_and_escapes() -> None:
    render = renderer(r"{partition}@{offset:>4}\t{key}={value} {headers} {time}")
    line = render(record("the", 7, [("trace", b"1")]))
    assert line == "3@  42\tthe=7 trace=1 2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize(
    ("format_", "reason"),
    [
        ("jsn", "unknown format 'jsn' (did you mean 'json'?)"),
        ("{ofset}", "template '{ofset}': unknown field 'ofset' (did you mean 'offset'?)"),
        ("{value[0]}", "template '{value[0]}': unknown field 'value[0]'"),
        ("{offset.real}", "template '{offset.real}': unknown field"),
        ("{offset:{nothing}}", "template '{offset:{nothing}}'"),
        ("{offset", "template '{offset'"),
        ("{}", "template '{}'"),
        ("{offset:q}", "template '{offset:q}'"),
        ("{key.secret}", "template '{key.secret}'"),
    ],
)
def test_a_wrong_format_is_refused_before_anything_is_read(format_: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".+") as raised:
        renderer(format_)
    assert str(raised.value).startswith(reason)
