"""Records to lines, and tables of the latest value a key."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from connectors.api import Poison, SinkBatch
from connectors.sinks.rows import JsonRows, Rows, Table, TextRows, sort_keys
from streamlog.topic import TopicPartition


def batch(*rows: tuple[Any, Any]) -> SinkBatch:
    keys, values = [key for key, _ in rows], [value for _, value in rows]
    raw = [None if value is None else b"raw" for value in values]
    numbers = list(range(len(rows)))
    return SinkBatch(
        TopicPartition("t", 0), keys, values, raw, raw, numbers, numbers, None, len(rows)
    )


def test_json_rows_hold_key_and_value() -> None:
    rows = JsonRows().encode(batch(("a", 1), (None, {"ä": [1.5, None]}), (7, b"\xff"), ("k", None)))
    assert rows.decode() == (
        '{"key":"a","value":1}\n{"key":null,"value":{"ä":[1.5,null]}}\n'
        '{"key":7,"value":"/w=="}\n{"key":"k","value":null}\n'
    )


def test_text_rows_hold_the_value_alone() -> None:
    assert TextRows().encode(batch(("a", "x"), ("b", "ü"), ("c", ""))) == "x\nü\n\n".encode()
    assert TextRows().encode(batch(("a", 7), ("b", b"\xff"), ("c", [1]))) == b"7\n\xff\n[1]\n"


@pytest.mark.parametrize(
    ("rows", "value", "reason"),
    [
        (JsonRows(), "\ud800", "no JSON form"),
        (JsonRows(), object(), "no JSON form"),
        (TextRows(), None, "without value"),
        (TextRows(), "a\nb", "holds a newline"),
        (TextRows(), b"a\n", "holds a newline"),
        (TextRows(), "\ud800", "no text"),
        (TextRows(), object(), "no JSON form"),
    ],
)
def test_a_value_without_a_line_is_named(rows: Rows, value: Any, reason: str) -> None:
    with pytest.raises(Poison, match=reason) as caught:
        rows.encode(batch(("a", "x"), ("b", "y"), ("c", value), ("d", value)))
    assert caught.value.index == 2


def filled(*rows: tuple[Any, Any]) -> Table:
    table = Table()
    table.put(batch(*rows))
    table.take_lines()
    return table


def test_a_table_keeps_the_latest_value_and_forgets_on_a_tombstone() -> None:
    table = filled(("b", 1), ("a", 1), ("b", 2), ("c", 3), ("c", None))
    assert table.sorted_content() == b'{"key":"a","value":1}\n{"key":"b","value":2}\n'
    assert table.size_bytes == len(table.sorted_content()) == len(table.content())
    table.put(batch(("a", None), ("d", 4)))
    assert table.take_lines() == b'{"key":"a","deleted":true}\n{"key":"d","value":4}\n'
    assert table.take_lines() == b""
    assert table.sorted_content() == b'{"key":"b","value":2}\n{"key":"d","value":4}\n'


def test_a_json_null_is_a_value_and_no_tombstone() -> None:
    rows = batch(("a", None), ("b", None))
    rows.raw_values[0] = b"null"
    table = Table()
    table.put(rows)
    table.take_lines()
    assert table.sorted_content() == b'{"key":"a","value":null}\n'


def test_a_table_comes_back_from_its_lines() -> None:
    table = Table()
    table.put(batch(("b", {"x": 1}), ("a", None), (1, "ü"), ("c", 1)))
    lines = table.take_lines()
    table.put(batch(("c", None), ("b", 2)))
    lines += table.take_lines()
    again = Table()
    again.load(lines)
    assert again.sorted_content() == table.sorted_content()
    assert again.size_bytes == table.size_bytes
    assert not again.has_changes


def test_a_batch_with_a_bad_row_changes_nothing() -> None:
    table = filled(("a", 1))
    for bad in [(None, 2), ("b", object()), (datetime.timezone, 1)]:
        with pytest.raises(Poison) as caught:
            table.put(batch(("a", 2), bad))
        assert caught.value.index == 1
    assert table.take_lines() == b""


def test_keys_are_sorted_by_value() -> None:
    assert sort_keys([b'"b"', b'"\\n"', b'"B"', b'"a\\"b"', '"ä"'.encode()]) == [
        *(b'"\\n"', b'"B"', b'"a\\"b"', b'"b"', '"ä"'.encode())
    ]
    assert sort_keys([b"10", b"9", b"-1", b"2.5"]) == [b"-1", b"2.5", b"9", b"10"]
    assert sort_keys([b'"a"', b"1", b"[0]"]) == [b'"a"', b"1", b"[0]"]
    assert sort_keys([]) == []
