"""Whole lines to columns."""

from __future__ import annotations

import pytest

from connectors.sources.lines import JsonLines, TextLines, check_encoding

UTF8 = TextLines("utf-8", "strict", 1_000)


def test_lines_are_split_at_newlines_only() -> None:
    block = "a\n\n b\x0cc\rd \r\ne\r\r\nü\u2028\n".encode()
    lines = UTF8.convert(block, "f", 0)
    assert lines.columns.values == [b"a", b"", b" b\x0cc\rd ", b"e\r", "ü\u2028".encode()]
    assert lines.poison == []


def test_a_line_that_is_not_utf_8_names_file_and_byte_and_spares_the_others() -> None:
    lines = UTF8.convert(b"good\nb\xffd\r\nalso\nbad \xe2\x82\n", "some/file", 1_000)
    assert lines.columns.values == [b"good", b"also"]
    first, second = lines.poison
    assert first.origin == "some/file, line at byte 1005"
    assert "byte 1006 of the file is no utf-8" in first.reason
    assert first.value == b"b\xffd"
    assert second.origin == "some/file, line at byte 1015"
    assert "byte 1019 of the file" in second.reason


@pytest.mark.parametrize(
    "raw", [b"b\xffd", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3(", b"\xed\xa0\x80", b"a\xe2\x82 b\x80"]
)
def test_replacing_a_block_is_replacing_each_line(raw: bytes) -> None:
    """As `open(..., errors="replace")` reads it."""
    block = b"\n".join([raw, b"x", raw, raw]) + b"\n"
    lines = TextLines("utf-8", "replace", 1_000).convert(block, "f", 0)
    one = raw.decode(errors="replace").encode()
    assert lines.columns.values == [one, b"x", one, one]
    assert lines.poison == []


def test_other_encodings_become_utf_8() -> None:
    lines = TextLines("latin-1", "strict", 1_000).convert(
        "grün\r\nblau\n".encode("latin-1"), "f", 0
    )
    assert lines.columns.values == ["grün".encode(), b"blau"]
    lines = TextLines("shift_jis", "strict", 1_000).convert("表\nソ\n".encode("shift_jis"), "f", 0)
    assert lines.columns.values == ["表".encode(), "ソ".encode()]
    ascii_lines = TextLines("ascii", "strict", 1_000).convert(b"a\n\xc3\xbc\n", "f", 0)
    assert ascii_lines.columns.values == [b"a"]
    assert "no ascii" in ascii_lines.poison[0].reason


def test_a_byte_order_mark_is_skipped_at_the_start_of_the_file_only() -> None:
    signed = TextLines("utf-8-sig", "strict", 1_000)
    assert signed.convert(b"\xef\xbb\xbfa\nb\n", "f", 0).columns.values == [b"a", b"b"]
    assert signed.convert(b"\xef\xbb\xbfa\n", "f", 7).columns.values == [b"\xef\xbb\xbfa"]
    assert UTF8.convert(b"\xef\xbb\xbfa\n", "f", 0).columns.values == [b"\xef\xbb\xbfa"]


def test_a_line_over_the_limit_is_refused_alone() -> None:
    lines = TextLines("utf-8", "strict", 5).convert(b"12345\n123456\n1\n", "f", 0)
    assert lines.columns.values == [b"12345", b"1"]
    assert lines.poison[0].origin == "f, line at byte 6"
    assert lines.poison[0].value is None


@pytest.mark.parametrize("name", ["utf-8", "utf8", "UTF-8-sig", "latin-1", "cp1252", "shift_jis"])
def test_encodings_that_hold_ascii_are_taken(name: str) -> None:
    assert check_encoding(name) is None


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-32", "cp037", "utf-7", "base64"])
def test_encodings_whose_newline_is_another_are_refused(name: str) -> None:
    assert "does not hold ASCII" in str(check_encoding(name))


def test_an_unknown_encoding_is_refused() -> None:
    assert check_encoding("utf-9") == "unknown encoding 'utf-9'"


def test_json_lines_are_checked_and_stay_as_they_are() -> None:
    block = b'{"a": 1}\n\n  \r\n[1,2]\n "x" \nnull\n'
    lines = JsonLines(UTF8).convert(block, "f", 0)
    assert lines.columns.values == [b'{"a": 1}', b"[1,2]", b' "x" ', b"null"]
    assert lines.columns.keys is None
    assert lines.poison == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "no JSON: Input data was truncated"),
        (b"1,2", "no JSON: JSON is malformed"),
        (b"[1", "no JSON"),
        (b"\xff", "byte 2 of the file is no utf-8"),
        (b"[" * 100_000, "longer than max_line"),
    ],
)
def test_a_line_that_is_no_json_is_refused_alone(bad: bytes, reason: str) -> None:
    lines = JsonLines(UTF8).convert(b"1\n" + bad + b"\n2\n", "f", 0)
    assert lines.columns.values == [b"1", b"2"]
    [poison] = lines.poison
    assert poison.origin == "f, line at byte 2"
    assert reason in poison.reason


def test_deeply_nested_json_is_refused_alone() -> None:
    block = b"1\n" + b"[" * 100_000 + b"]" * 100_000 + b"\n"
    lines = JsonLines(TextLines("utf-8", "strict", 1_000_000)).convert(block, "f", 0)
    assert lines.columns.values == [b"1"]
    assert len(lines.poison) == 1


def test_a_field_is_the_key() -> None:
    lines = JsonLines(UTF8, "id").convert(b'{"id":"a"}\n{"x":1,"id":"b"}\n', "f", 0)
    assert lines.columns.keys == [b"a", b"b"]
    lines = JsonLines(UTF8, "id", "int").convert(b'{"id":258}\n', "f", 0)
    assert lines.columns.keys == [(258).to_bytes(8, "big")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"x":1}', "no object with a field 'id'"),
        (b"[1]", "no object with a field 'id'"),
        (b"7", "no object with a field 'id'"),
        (b'{"id":7}', "str expected, not int 7"),
    ],
)
def test_a_line_without_the_key_field_is_refused_alone(bad: bytes, reason: str) -> None:
    lines = JsonLines(UTF8, "id").convert(b'{"id":"a"}\n' + bad + b'\n{"id":"c"}\n', "f", 0)
    assert lines.columns.values == [b'{"id":"a"}', b'{"id":"c"}']
    assert lines.columns.keys == [b"a", b"c"]
    assert reason in lines.poison[0].reason
