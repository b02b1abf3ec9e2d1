"""The bytes of changes and of versions."""

from __future__ import annotations

import pytest

from processors.topology.changes import Change, ChangeSerde
from processors.topology.versions import Versions, VersionsSerde
from streamlog.errors import SerializationError
from streamlog.serdes import STRING

LONG_TEXT = "n" * 200


@pytest.mark.parametrize(
    ("change", "data"),
    [
        (Change("old", None), b"old\0"),
        (Change(None, "new"), b"new\1"),
        (Change("old", "new"), b"\3newold\2"),
        (Change("", ""), b"\0\2"),
        (Change("o", LONG_TEXT), b"\xc8\1" + LONG_TEXT.encode() + b"o\2"),
    ],
)
def test_a_change_has_the_bytes_that_kafka_streams_gives_it(change: Change, data: bytes) -> None:
    serde = ChangeSerde(STRING)
    assert serde.serialize_column([change, None]) == [data, None]
    assert serde.deserialize_column([data, None]) == [change, None]


@pytest.mark.parametrize("data", [b"", b"\7", b"\x80\2", b"\5abc\2"])
def test_what_is_no_change_is_refused(data: bytes) -> None:
    with pytest.raises(SerializationError):
        ChangeSerde(STRING).deserialize(data)


def test_versions_come_back_and_tell_what_held_when() -> None:
    serde = VersionsSerde(STRING)
    versions = Versions([1, 5, 9], ["a", None, "c"])
    (read,) = serde.deserialize_column(serde.serialize_column([versions]))
    assert read is not None
    assert [read.at(time) for time in (0, 1, 4, 5, 9, 10)] == [
        (None, -1), ("a", 1), ("a", 1), (None, -1), ("c", 9), ("c", 9),
    ]  # fmt: skip
    assert read.newest() == ("c", 9)


def test_a_version_takes_its_place_and_drops_what_nobody_can_ask_for() -> None:
    versions = Versions([], []).put(5, "b", 0).put(1, "a", 0).put(9, "c", 0).put(5, "B", 0)
    assert (versions.timestamps, versions.values) == ([1, 5, 9], ["a", "B", "c"])
    kept = versions.put(12, "d", 6)
    assert (kept.timestamps, kept.values) == ([5, 9, 12], ["B", "c", "d"])


@pytest.mark.parametrize("data", [b"", b"\0" * 5, b"\0" * 11 + b"\2a"])
def test_versions_that_are_cut_off_are_refused(data: bytes) -> None:
    with pytest.raises(SerializationError):
        VersionsSerde(STRING).deserialize(data)
