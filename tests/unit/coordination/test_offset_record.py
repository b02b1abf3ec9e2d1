"""Literals: what Apache Kafka 4.1.0 wrote for librdkafka 2.16."""

from __future__ import annotations

import pytest

from streamlog.coordination.consumer_protocol import decode_assignment, decode_subscription
from streamlog.coordination.group_record import (
    GroupMember,
    GroupValue,
    decode_group,
    encode_group,
)
from streamlog.coordination.offset_record import (
    GroupKey,
    OffsetAndMetadata,
    OffsetKey,
    decode_key,
    decode_offset,
    encode_key,
    encode_offset,
)
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

GROUP = bytes.fromhex(
    "00030008636f6e73756d657200000001000572616e6765002b7265616465722d34336237373961332d316366632d3465"
    "33372d616336352d313266303932336633376262000001a1fdec2bcb00000001002b7265616465722d34336237373961"
    "332d316366632d346533372d616336352d313266303932336633376262ffff0006726561646572000a2f3132372e302e"
    "302e31000493e00000afc8000000180003000000010002696e0000000000000000ffffffff00000000001a0000000000"
    "010002696e00000002000000000000000100000000"
)
IN = [TopicPartition("in", 0), TopicPartition("in", 1)]


def test_the_key_of_an_offset_is_kafkas() -> None:
    key = OffsetKey("readers-v1", TopicPartition("in", 1))
    raw = b"\x00\x01\x00\nreaders-v1\x00\x02in\x00\x00\x00\x01"
    assert encode_key(key) == raw
    assert decode_key(raw) == key


def test_the_key_of_a_group_is_kafkas() -> None:
    raw = b"\x00\x02\x00\nreaders-v1"
    assert encode_key(GroupKey("readers-v1")) == raw
    assert decode_key(raw) == GroupKey("readers-v1")


def test_keys_of_other_records_are_passed_over() -> None:
    assert decode_key(b"\x00\x03\x00\nreaders-v1") is None


@pytest.mark.parametrize(
    ("written", "committed"),
    [
        (
            "00040000000000000002ffffffff0f736f6d6520776f72647320c3a900000001a1fdec2cf800",
            OffsetAndMetadata(2, 1795261476088, "some words é\0"),  # the Python client's NUL
        ),
        (
            "000400000000000000030000000001000001a1fdec2cd300",
            OffsetAndMetadata(3, 1795261476051, "", 0),
        ),
    ],
)
def test_an_offset_that_kafka_wrote_reads_and_writes_the_same(
    written: str, committed: OffsetAndMetadata
) -> None:
    value = bytes.fromhex(written)
    assert decode_offset(value) == committed
    assert encode_offset(committed, version=4) == value
    assert decode_offset(encode_offset(committed)) == committed


def test_an_offset_is_written_as_every_kafka_since_2_1_reads_it() -> None:
    assert encode_offset(OffsetAndMetadata(258, 1, "m")).hex() == (
        "00030000000000000102ffffffff00016d0000000000000001"
    )


@pytest.mark.parametrize(
    ("value", "committed"),
    [
        ("0000000000000000000500016d0000000000000009", OffsetAndMetadata(5, 9, "m")),
        (
            "000100000000000000050000000000000000000900000000000000ff",
            OffsetAndMetadata(5, 9),
        ),
        ("0002000000000000000500000000000000000009", OffsetAndMetadata(5, 9)),
    ],
)
def test_older_offset_values_are_read(value: str, committed: OffsetAndMetadata) -> None:
    assert decode_offset(bytes.fromhex(value)) == committed


def test_a_group_that_kafka_wrote_reads_and_writes_the_same() -> None:
    group = decode_group(GROUP)
    member_id = "reader-43b779a3-1cfc-4e37-ac65-12f0923f37bb"
    assert group == GroupValue(
        protocol_type="consumer",
        generation=1,
        protocol="range",
        leader=member_id,
        since_ms=1795261475787,
        members=(
            GroupMember(
                member_id=member_id,
                client_id="reader",
                client_host="/127.0.0.1",
                rebalance_timeout_ms=300_000,
                session_timeout_ms=45_000,
                subscription=group.members[0].subscription,
                assignment=group.members[0].assignment,
            ),
        ),
    )
    assert encode_group(group) == GROUP
    assert decode_subscription(group.members[0].subscription).topics == ("in",)
    assert decode_assignment(group.members[0].assignment).partitions == tuple(IN)


def test_an_empty_group_that_kafka_wrote_reads_and_writes_the_same() -> None:
    value = bytes.fromhex("00030008636f6e73756d657200000002ffffffff000001a1fdec32a600000000")
    group = GroupValue(protocol_type="consumer", generation=2, since_ms=1795261477542)
    assert decode_group(value) == group
    assert encode_group(group) == value


@pytest.mark.parametrize("length", [0, 1, 9, 40, 150, len(GROUP) - 1])
def test_a_group_that_is_cut_is_refused(length: int) -> None:
    with pytest.raises(CorruptRecordError):
        decode_group(GROUP[:length])


@pytest.mark.parametrize("value", [b"", b"\x00\x05" + bytes(30), b"\xff\xff"])
def test_an_offset_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        decode_offset(value)
