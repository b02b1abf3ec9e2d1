"""The small files at the root of a log directory, from literals."""

from __future__ import annotations

from uuid import UUID

import pytest

from streamlog.errors import InvalidTopicError
from streamlog.record import crc32c
from streamlog.storage import layout
from streamlog.storage.checkpoint_file import decode_offsets, encode_epochs, encode_offsets
from streamlog.storage.durable_offsets import DurableOffset, decode_slots, encode_slot
from streamlog.storage.loader import small_files
from streamlog.storage.metadata import (
    Metadata,
    encode_next_producer_id,
    encode_topic,
)
from streamlog.storage.topic_config import check_topic_name
from streamlog.topic import TopicDescription, TopicPartition

TOPIC_ID = UUID("01020304-0506-0708-090a-0b0c0d0e0f10")


def test_segments_are_named_by_their_base_offset() -> None:
    assert layout.file_name(42, layout.LOG) == "00000000000000000042.log"
    assert layout.parse_file_name("00000000000000000042.txnindex") == (42, ".txnindex")
    assert layout.parse_file_name("leader-epoch-checkpoint") is None
    assert layout.parse_file_name("42.log") is None


def test_a_checkpoint_is_version_count_and_lines() -> None:
    offsets = {TopicPartition("a-b", 0): 7, TopicPartition("c", 12): 1 << 40}
    content = b"0\n2\na-b 0 7\nc 12 1099511627776\n"
    assert encode_offsets(offsets) == content
    assert decode_offsets(content) == offsets
    assert encode_epochs({0: 0}) == b"0\n1\n0 0\n"


@pytest.mark.parametrize(
    "content", [b"", b"1\n0\n", b"0\n2\na 0 7\n", b"0\n1\na 0\n", b"0\n1\na 0 x\n", b"\xff"]
)
def test_a_damaged_checkpoint_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (whichever: the caller wraps it)
        decode_offsets(content)


def test_partition_metadata_has_the_topic_id_as_kafka_writes_it() -> None:
    files = small_files(TOPIC_ID)
    assert files["partition.metadata"] == b"version: 0\ntopic_id: AQIDBAUGBwgJCgsMDQ4PEA\n"
    assert files["leader-epoch-checkpoint"] == b"0\n1\n0 0\n"


def test_a_slot_of_durable_offsets_says_nothing_once_a_byte_is_wrong() -> None:
    slot = encode_slot((TOPIC_ID, 3), DurableOffset(100, 90))
    fields = TOPIC_ID.bytes + bytes.fromhex("00000003 0000000000000064 000000000000005a") + bytes(8)
    assert slot == fields + crc32c(fields).to_bytes(4, "big")
    start = b"SLDO\0\0\0\1" + bytes(40)
    assert decode_slots(start + slot) == [((TOPIC_ID, 3), (100, 90))]
    for place in range(len(slot)):
        damaged = bytearray(slot)
        damaged[place] ^= 0x10
        assert decode_slots(start + bytes(damaged) + slot) == [None, ((TOPIC_ID, 3), (100, 90))]
    assert decode_slots(start + slot[:-1]) == []
    assert decode_slots(b"something else entirely, and as long as the header is, at least") == []


def test_the_latest_record_of_a_topic_counts() -> None:
    metadata = Metadata()
    topic = TopicDescription(
        name="t", topic_id=TOPIC_ID, partitions=2, config={"segment.bytes": "100"}
    )
    metadata.apply(*encode_topic(topic))
    metadata.apply(*encode_next_producer_id(1000))
    metadata.apply(*encode_next_producer_id(2000))
    metadata.apply(b"a key of a later version", b"...")
    assert metadata.topics["t"].description == topic
    assert metadata.topics["t"].config.segment_bytes == 100
    assert metadata.next_producer_id == 2000


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "ü", "x" * 250, "__streamlog_metadata"]
)
def test_a_topic_name_that_kafka_refuses_or_the_log_itself_has_is_refused(name: str) -> None:
    with pytest.raises(InvalidTopicError):
        check_topic_name(name)


def test_a_topic_name_that_kafka_allows_is_allowed() -> None:
    check_topic_name("Some.topic_name-9")
    check_topic_name("x" * 249)
