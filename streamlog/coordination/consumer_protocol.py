"""What members of a consumer group tell each other through the coordinator. Pure.

The coordinator of the group carries these bytes and looks at them only to describe the group and
to know what it reads; the members' clients write and read them. Byte for byte Kafka's
`ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`:

    subscription   int16 version (we write 3) · array of string topic · bytes? user data
                   array of owned {string topic, array of int32 partition} (1 and up, KIP-429)
                   int32 generation (2 and up) · string? rack (3 and up)
    assignment     int16 version (we write 3) · array of {string topic, array of int32 partition}
                   bytes? user data

Every later version only appends fields, so one that is newer than ours is read as ours. What an
assignor keeps in the user data of its members:

    sticky               array of {string topic, array of int32 partition} · int32 generation
    cooperative-sticky   int32 generation

Integers are big endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamlog.coordination.fields import FieldReader, FieldWriter
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

PROTOCOL_TYPE: Final = "consumer"
VERSION: Final = 3
OWNED_VERSION: Final = 1
GENERATION_VERSION: Final = 2
RACK_VERSION: Final = 3
NO_GENERATION: Final = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """What a member asks for when it joins, and what it has from the generation before."""

    topics: tuple[str, ...]
    user_data: bytes | None = None
    owned: tuple[TopicPartition, ...] = ()
    generation: int | None = None
    """None: a client that does not tell it; -1: it was in no generation."""
    rack: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """What a member is given."""

    partitions: tuple[TopicPartition, ...] = ()
    user_data: bytes | None = None


def encode_subscription(subscription: Subscription) -> bytes:
    """Topics and partitions are written in order, so that equal wishes are equal bytes."""
    topics = sorted(subscription.topics)
    writer = FieldWriter()
    writer.int16(VERSION)
    writer.array_length(len(topics))
    for topic in topics:
        writer.string(topic)
    writer.bytes(subscription.user_data)
    _write_partitions(writer, sorted(subscription.owned))
    generation = subscription.generation
    writer.int32(NO_GENERATION if generation is None else generation)
    writer.string(subscription.rack)
    return writer.result()


def decode_subscription(data: bytes) -> Subscription:
    """Raises `CorruptRecordError` for bytes that end too early."""
    reader = FieldReader(data)
    version = reader.int16()
    if version < 0:
        raise CorruptRecordError(f"subscription of version {version}")
    topics = tuple(reader.string() for _ in range(reader.array_length()))
    user_data = reader.nullable_bytes()
    owned = tuple(_read_partitions(reader)) if version >= OWNED_VERSION else ()
    generation = reader.int32() if version >= GENERATION_VERSION else NO_GENERATION
    return Subscription(
        topics=topics,
        user_data=user_data,
        owned=owned,
        generation=None if generation < 0 else generation,
        rack=reader.nullable_string() if version >= RACK_VERSION else None,
    )


def encode_assignment(assignment: Assignment) -> bytes:
    writer = FieldWriter()
    writer.int16(VERSION)
    _write_partitions(writer, assignment.partitions)
    writer.bytes(assignment.user_data)
    return writer.result()


def decode_assignment(data: bytes) -> Assignment:
    """No bytes at all are no partitions. Raises `CorruptRecordError`."""
    if not data:
        return Assignment()
    reader = FieldReader(data)
    if (version := reader.int16()) < 0:
        raise CorruptRecordError(f"assignment of version {version}")
    partitions = tuple(_read_partitions(reader))
    return Assignment(partitions=partitions, user_data=reader.nullable_bytes())


def encode_sticky_data(partitions: Iterable[TopicPartition], generation: int) -> bytes:
    """What a member of the sticky assignor had, and when."""
    writer = FieldWriter()
    _write_partitions(writer, partitions)
    writer.int32(generation)
    return writer.result()


def decode_sticky_data(data: bytes) -> tuple[list[TopicPartition], int | None]:
    """Partitions and generation; nothing, in no generation, for what cannot be read."""
    reader = FieldReader(data)
    try:
        partitions = _read_partitions(reader)
    except CorruptRecordError:
        return [], NO_GENERATION
    try:
        return partitions, reader.int32()
    except CorruptRecordError:  # written before Kafka 2.3
        return partitions, None


def encode_generation(generation: int) -> bytes:
    """The user data of the cooperative sticky assignor."""
    writer = FieldWriter()
    writer.int32(generation)
    return writer.result()


def decode_generation(data: bytes) -> int:
    """-1 for what cannot be read."""
    try:
        return FieldReader(data).int32()
    except CorruptRecordError:
        return NO_GENERATION


def _write_partitions(writer: FieldWriter, partitions: Iterable[TopicPartition]) -> None:
    topics: dict[str, list[int]] = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(partition)
    writer.array_length(len(topics))
    for topic, numbers in topics.items():
        writer.string(topic)
        writer.array_length(len(numbers))
        for number in numbers:
            writer.int32(number)


def _read_partitions(reader: FieldReader) -> list[TopicPartition]:
    partitions: list[TopicPartition] = []
    for _ in range(reader.array_length()):
        topic = reader.string()
        numbers = [reader.int32() for _ in range(reader.array_length())]
        partitions.extend(TopicPartition(topic, number) for number in numbers)
    return partitions
