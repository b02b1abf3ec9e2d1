"""Keys and values of `__transaction_state`, byte for byte Kafka's.

    key     int16 version 0 · string transactional id
    value   int16 version (0 classic, 1 flexible)
            int64 producer id · int16 epoch · int32 timeout ms · int8 state
            array of {string topic, array of int32 partition}; null in state Empty
            int64 last update ms · int64 start ms (-1: no transaction yet)
            tags (version 1): 0 int64 previous producer id, 1 int64 next producer id,
                              2 int16 client transaction version; each only where it is set

No value: the transactional id was deleted. Integers are big endian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.coordination.fields import INT16, INT64, FieldReader, FieldWriter
from streamlog.coordination.transaction_state import (
    NO_PRODUCER_ID,
    TransactionMetadata,
    TransactionState,
)
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from struct import Struct

KEY_VERSION: Final = 0
CLASSIC_VERSION: Final = 0
FLEXIBLE_VERSION: Final = 1
PREVIOUS_PRODUCER_ID_TAG: Final = 0
NEXT_PRODUCER_ID_TAG: Final = 1
CLIENT_VERSION_TAG: Final = 2


def encode_key(transactional_id: str) -> bytes:
    writer = FieldWriter()
    writer.int16(KEY_VERSION)
    writer.string(transactional_id)
    return writer.result()


def decode_key(key: bytes) -> str | None:
    """The transactional id, or None for a kind of key that a newer version wrote."""
    reader = FieldReader(key)
    return reader.string() if reader.int16() == KEY_VERSION else None


def encode_value(metadata: TransactionMetadata, *, version: int = FLEXIBLE_VERSION) -> bytes:
    """Version 0 has no room for the three tagged fields."""
    writer = FieldWriter(flexible=version >= FLEXIBLE_VERSION)
    writer.int16(version)
    writer.int64(metadata.producer_id)
    writer.int16(metadata.producer_epoch)
    writer.int32(metadata.timeout_ms)
    writer.int8(metadata.state)
    _write_partitions(writer, metadata)
    writer.int64(metadata.last_update_ms)
    writer.int64(metadata.start_ms)
    writer.tags(_tags(metadata))
    return writer.result()


def decode_value(transactional_id: str, value: bytes) -> TransactionMetadata:
    """Raises `CorruptRecordError` for what is no value of version 0 or 1."""
    version = FieldReader(value).int16()
    if not CLASSIC_VERSION <= version <= FLEXIBLE_VERSION:
        raise CorruptRecordError(f"transaction value of version {version}")
    reader = FieldReader(value, flexible=version >= FLEXIBLE_VERSION)
    reader.int16()
    producer_id, epoch, timeout_ms = reader.int64(), reader.int16(), reader.int32()
    state = _state(reader.int8())
    partitions = _read_partitions(reader)
    last_update_ms, start_ms = reader.int64(), reader.int64()
    tags = reader.tags()
    return TransactionMetadata(
        transactional_id=transactional_id,
        producer_id=producer_id,
        producer_epoch=epoch,
        timeout_ms=timeout_ms,
        state=state,
        partitions=partitions,
        last_update_ms=last_update_ms,
        start_ms=start_ms,
        previous_producer_id=_number(tags, PREVIOUS_PRODUCER_ID_TAG, INT64, NO_PRODUCER_ID),
        next_producer_id=_number(tags, NEXT_PRODUCER_ID_TAG, INT64, NO_PRODUCER_ID),
        client_transaction_version=_number(tags, CLIENT_VERSION_TAG, INT16, 0),
    )


def _write_partitions(writer: FieldWriter, metadata: TransactionMetadata) -> None:
    if metadata.state is TransactionState.EMPTY:
        writer.array_length(None)
        return
    topics: dict[str, list[int]] = {}
    for topic, partition in metadata.partitions:
        topics.setdefault(topic, []).append(partition)
    writer.array_length(len(topics))
    for topic, numbers in topics.items():
        writer.string(topic)
        writer.array_length(len(numbers))
        for number in numbers:
            writer.int32(number)
        writer.tags()


def _read_partitions(reader: FieldReader) -> tuple[TopicPartition, ...]:
    partitions: list[TopicPartition] = []
    for _ in range(reader.nullable_array_length() or 0):
        topic = reader.string()
        numbers = [reader.int32() for _ in range(reader.array_length())]
        partitions.extend(TopicPartition(topic, number) for number in numbers)
        reader.tags()
    return tuple(partitions)


def _tags(metadata: TransactionMetadata) -> dict[int, bytes]:
    tags: dict[int, bytes] = {}
    if metadata.previous_producer_id != NO_PRODUCER_ID:
        tags[PREVIOUS_PRODUCER_ID_TAG] = INT64.pack(metadata.previous_producer_id)
    if metadata.next_producer_id != NO_PRODUCER_ID:
        tags[NEXT_PRODUCER_ID_TAG] = INT64.pack(metadata.next_producer_id)
    if metadata.client_transaction_version:
        tags[CLIENT_VERSION_TAG] = INT16.pack(metadata.client_transaction_version)
    return tags


def _number(tags: dict[int, bytes], tag: int, form: Struct, default: int) -> int:
    data = tags.get(tag)
    if data is None:
        return default
    if len(data) != form.size:
        raise CorruptRecordError(f"tagged field {tag} of {len(data)} bytes")
    return form.unpack(data)[0]


def _state(number: int) -> TransactionState:
    try:
        return TransactionState(number)
    except ValueError:
        raise CorruptRecordError(f"transaction state {number}") from None
