"""Source offsets in Kafka Connect's format."""

from __future__ import annotations

import json

from connectors.runtime.offsets import SourceOffsets, encode_key


def test_a_key_is_connector_and_partition_as_compact_json() -> None:
    assert encode_key("lines", {"filename": "/ü"}) == '["lines",{"filename":"/ü"}]'.encode()


def test_equal_partitions_have_equal_keys() -> None:
    assert encode_key("c", {"a": 1, "b": 2}) == encode_key("c", {"b": 2, "a": 1})


def test_a_file_name_that_is_no_utf_8_comes_back_as_it_was() -> None:
    name = b"/\xff".decode("utf-8", "surrogateescape")
    key = encode_key("c", {"filename": name})
    assert json.loads(key) == ["c", {"filename": name}]


def test_the_last_record_of_a_partition_counts_and_a_tombstone_forgets() -> None:
    offsets = SourceOffsets("c")
    keys = [encode_key("c", {"p": n}) for n in (1, 2, 1, 3, 3)]
    offsets.apply(keys, [b'{"o":1}', b'{"o":2}', b'{"o":3}', b'{"o":4}', None])
    assert offsets.get({"p": 1}) == {"o": 3}
    assert offsets.items() == [({"p": 1}, {"o": 3}), ({"p": 2}, {"o": 2})]
    assert offsets.get({"p": 3}) is None


def test_records_of_other_connectors_are_passed_over() -> None:
    offsets = SourceOffsets("c")
    keys = [encode_key("c2", {"p": 1}), b"noise", None, encode_key('c",', {"p": 1})]
    offsets.apply(keys, [b'{"o":1}'] * 4)
    assert offsets.items() == []
