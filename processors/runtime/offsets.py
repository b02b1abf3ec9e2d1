"""Where an application begins to read: its committed offsets, pinned on the very first start.

The first transaction of an application commits the offsets that it starts from, before anything
is processed. So once its manifest is there, every partition has a committed offset; one without
has lost it, and starting at either end would count records twice or never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from processors.errors import OffsetGapError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from processors.runtime.application import OffsetGap
    from streamlog.client.contract import Consumer, Log, Producer, TopicPartition


class GroupOffsets(NamedTuple):
    """What one consumer group starts from; `pinned` are those that were committed just now."""

    offsets: dict[TopicPartition, int]
    pinned: dict[TopicPartition, int]


def choose_offsets(
    application: str,
    committed: Mapping[TopicPartition, int | None],
    *,
    beginnings: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    known_topics: Collection[str],
    on_gap: OffsetGap,
) -> GroupOffsets:
    """Offsets for every partition of `committed`.

    Args:
        known_topics: Topics that an earlier run has read, by its manifest.

    Raises:
        OffsetGapError: a known topic has lost an offset and `on_gap` is to fail.
    """
    missing = [partition for partition, offset in committed.items() if offset is None]
    lost = [partition for partition in missing if partition.topic in known_topics]
    if lost and on_gap == "fail":
        raise OffsetGapError(application, sorted(map(str, lost)))
    pinned = {
        partition: (ends if partition in lost and on_gap == "latest" else beginnings)[partition]
        for partition in missing
    }
    offsets = {
        partition: pinned[partition] if offset is None else offset
        for partition, offset in committed.items()
    }
    return GroupOffsets(offsets, pinned)


def find_offsets(
    application: str,
    log: Log,
    consumer: Consumer,
    partitions: Iterable[TopicPartition],
    *,
    known_topics: Collection[str],
    on_gap: OffsetGap,
) -> GroupOffsets:
    """As `choose_offsets`, with what the log says. Waits for a predecessor's open transaction."""
    wanted = list(partitions)
    return choose_offsets(
        application,
        consumer.committed(wanted),
        beginnings=log.beginning_offsets(wanted),
        ends=log.end_offsets(wanted),
        known_topics=known_topics,
        on_gap=on_gap,
    )


def pin_offsets(producer: Producer, groups: Iterable[tuple[Consumer, GroupOffsets]]) -> None:
    """Commits the offsets that were not committed yet, in one transaction."""
    pinned = [(consumer, group.pinned) for consumer, group in groups if group.pinned]
    if not pinned:
        return
    producer.begin_transaction()
    for consumer, offsets in pinned:
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
    producer.commit_transaction()
