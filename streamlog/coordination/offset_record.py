"""Keys and values of `__consumer_offsets`, byte for byte Kafka's.

    offset key     int16 version 1 (0 reads the same)
                   string group · string topic · int32 partition
    offset value   int16 version (we write 3)
                   int64 offset, exclusive · int32 leader epoch (3 and up; -1: unknown)
                   string metadata · int64 commit ms · int64 expiry ms (version 1 only)
                   tags (4: flexible)
    group key      int16 version 2 · string group
    group value    see `group_record`

Version 3 is what every Kafka since 2.1 reads; 4.1 itself writes 4. No value: the offset or the
group was deleted. Integers are big endian.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streamlog.coordination.fields import FieldReader, FieldWriter
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

OFFSET_KEY_VERSION: Final = 1
GROUP_KEY_VERSION: Final = 2
EXPIRING_VERSION: Final = 1
LEADER_EPOCH_VERSION: Final = 3
FLEXIBLE_VERSION: Final = 4
NO_LEADER_EPOCH: Final = -1


class OffsetKey(NamedTuple):
    """Names a committed offset: whose, and of which partition."""

    group: str
    partition: TopicPartition


class GroupKey(NamedTuple):
    """Names a group's own record."""

    group: str


class OffsetAndMetadata(NamedTuple):
    """A committed offset: the next one to read, and what the committer noted beside it."""

    offset: int
    commit_ms: int
    metadata: str = ""
    leader_epoch: int = NO_LEADER_EPOCH


def encode_key(key: OffsetKey | GroupKey) -> bytes:
    writer = FieldWriter()
    match key:
        case OffsetKey(group, (topic, partition)):
            writer.int16(OFFSET_KEY_VERSION)
            writer.string(group)
            writer.string(topic)
            writer.int32(partition)
        case GroupKey(group):
            writer.int16(GROUP_KEY_VERSION)
            writer.string(group)
    return writer.result()


def decode_key(key: bytes) -> OffsetKey | GroupKey | None:
    """None for a kind of key that we do not keep (the records of KIP-848's groups)."""
    reader = FieldReader(key)
    version = reader.int16()
    if version < 0:
        raise CorruptRecordError(f"offset key of version {version}")
    if version <= OFFSET_KEY_VERSION:
        return OffsetKey(reader.string(), TopicPartition(reader.string(), reader.int32()))
    if version == GROUP_KEY_VERSION:
        return GroupKey(reader.string())
    return None


def encode_offset(committed: OffsetAndMetadata, *, version: int = LEADER_EPOCH_VERSION) -> bytes:
    """Versions 3 and 4; older ones are only read."""
    assert version >= LEADER_EPOCH_VERSION, version
    writer = FieldWriter(flexible=version >= FLEXIBLE_VERSION)
    writer.int16(version)
    writer.int64(committed.offset)
    writer.int32(committed.leader_epoch)
    writer.string(committed.metadata)
    writer.int64(committed.commit_ms)
    writer.tags()
    return writer.result()


def decode_offset(value: bytes) -> OffsetAndMetadata:
    """Raises `CorruptRecordError` for what is no value of version 0 to 4."""
    version = FieldReader(value).int16()
    if not 0 <= version <= FLEXIBLE_VERSION:
        raise CorruptRecordError(f"offset value of version {version}")
    reader = FieldReader(value, flexible=version >= FLEXIBLE_VERSION)
    reader.int16()
    offset = reader.int64()
    leader_epoch = reader.int32() if version >= LEADER_EPOCH_VERSION else NO_LEADER_EPOCH
    metadata = reader.string()
    commit_ms = reader.int64()
    if version == EXPIRING_VERSION:
        reader.int64()
    reader.tags()
    return OffsetAndMetadata(offset, commit_ms, metadata, leader_epoch)
