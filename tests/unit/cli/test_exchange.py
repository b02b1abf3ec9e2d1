"""Records as lines of JSON lose nothing, and what the log's own records say."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.cli.text.decoding import decode_record
from streamlog.cli.text.exchange import from_line, to_lines
from streamlog.cli.text.moments import parse_duration
from streamlog.client.contract import FetchedColumns
from streamlog.coordination import offset_record
from streamlog.topic import TopicPartition

NULLABLE = st.none() | st.binary() | st.text().map(str.encode)
HEADERS = st.lists(st.tuples(st.text(), NULLABLE))


@given(key=NULLABLE, value=NULLABLE, headers=HEADERS, timestamp=st.integers(-1, (1 << 63) - 2))
def test_any_record_comes_back(
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
    timestamp: int,
) -> None:
    columns = FetchedColumns("t", 3, [key], [value], [timestamp], [7], [headers], 8)
    (line,) = to_lines(columns)
    assert line.count(b"\n") == 1
    found = from_line(line)
    assert (found.partition, found.timestamp) == (3, timestamp)
    assert (found.key, found.value, found.headers) == (key, value, headers)


@given(st.binary() | st.text().map(str.encode))
def test_what_is_no_record_is_a_value_error_and_nothing_else(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        from_line(line)


def test_an_offset_is_decoded() -> None:
    key = offset_record.encode_key(offset_record.OffsetKey("g", TopicPartition("t", 1)))
    value = offset_record.encode_offset(offset_record.OffsetAndMetadata(5, 100, "note"))
    decoded = decode_record("__consumer_offsets", key, value)
    assert decoded is not None
    assert (decoded["group"], decoded["topic"], decoded["partition"]) == ("g", "t", 1)
    assert (decoded["offset"], decoded["metadata"]) == (5, "note")
    deleted = decode_record("__consumer_offsets", key, None)
    assert deleted == {"group": "g", "topic": "t", "partition": 1, "deleted": True}
    assert decode_record("orders", key, value) is None


@given(
    topic=st.sampled_from(["__consumer_offsets", "__transaction_state", "__streamlog_metadata"]),
    key=st.binary(),
    value=st.none() | st.binary(),
)
def test_a_record_that_cannot_be_decoded_says_so(
    topic: str, key: bytes, value: bytes | None
) -> None:
    assert decode_record(topic, key, value) is not None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("90s", 90_000), ("1.5h", 5_400_000), ("P1D", 86_400_000), ("PT2H30M", 9_000_000)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1y", "soon", "-5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)
