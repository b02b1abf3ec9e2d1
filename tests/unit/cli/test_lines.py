"""Lines of text as keys and values."""

from __future__ import annotations

from typing import Any

import pytest

from streamlog.cli.text.lines import LineForm, parse_line

PAIR = LineForm(key="str", value="int")


@pytest.mark.parametrize(
    ("line", "form", "expected"),
    [
        (b"a:b", LineForm(), (None, "a:b")),
        (b"", LineForm(), (None, "")),
        (b"alice:120", PAIR, ("alice", 120)),
        (b"a:b:1", LineForm(key="str"), ("a", "b:1")),
        (b"a=>1.5", LineForm(key="str", value="float", separator="=>"), ("a", 1.5)),
        (b'7:{"n": [1]}', LineForm(key="int", value="json"), (7, {"n": [1]})),
        (b"k:caf\xc3\xa9", LineForm(key="bytes", value="bytes"), (b"k", b"caf\xc3\xa9")),
        (b"alice:NULL", LineForm(key="str", value="int", null="NULL"), ("alice", None)),
        (b":x", LineForm(key="str", null=""), (None, "x")),
    ],
)
def test_a_line_is_a_key_and_a_value(
    line: bytes, form: LineForm, expected: tuple[Any, Any]
) -> None:
    assert parse_line(line, form) == expected


@pytest.mark.parametrize(
    ("line", "form", "reason"),
    [
        (b"alice", PAIR, "no ':' between a key and a value"),
        (b"alice:x", PAIR, "not of type int: 'x'"),
        (b"{", LineForm(value="json"), "not of type json: '{'"),
        (b"ab\xff", LineForm(), "not UTF-8 at byte 2"),
    ],
)
def test_a_line_of_another_form_says_why(line: bytes, form: LineForm, reason: str) -> None:
    with pytest.raises(ValueError, match=r".+") as raised:
        parse_line(line, form)
    assert str(raised.value) == reason
