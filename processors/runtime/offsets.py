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
    from processors.topology.nodes.endpoint import Start
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
    starts: Mapping[TopicPartition, int] | None = None,
) -> GroupOffsets:
    """Offsets for every partition of `committed`.

    Args:
        known_topics: Topics that an earlier run has read, by its manifest.
        starts: Where to begin a topic that no earlier run has read, where it is not the beginning.

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
    pinned |= {
        partition: offset
        for partition, offset in (starts or {}).items()
        if partition in pinned and partition not in lost
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
    starts: Mapping[str, Start],
    now_ms: int,
) -> GroupOffsets:
    """As `choose_offsets`, with what the log says. Waits for a predecessor's open transaction."""
    wanted = list(partitions)
    ends = log.end_offsets(wanted)
    return choose_offsets(
        application,
        consumer.committed(wanted),
        beginnings=log.beginning_offsets(wanted),
        ends=ends,
        known_topics=known_topics,
        on_gap=on_gap,
        starts=_find_starts(log, wanted, ends, starts, now_ms),
    )


def _find_starts(
    log: Log,
    partitions: Iterable[TopicPartition],
    ends: Mapping[TopicPartition, int],
    starts: Mapping[str, Start],
    now_ms: int,
) -> dict[TopicPartition, int]:
    """The offsets where the user wants to begin; where nothing is so late, the end."""
    found: dict[TopicPartition, int] = {}
    for at in partitions:
        start = starts.get(at.topic)
        if start is None or start.where == "earliest":
            continue
        if start.where == "latest":
            found[at] = ends[at]
        else:
            time = start.ms if start.where == "time" else max(now_ms - start.ms, 0)
            offset = log.offsets_for_time([at], time)[at]
            found[at] = ends[at] if offset is None else offset
    return found


def pin_offsets(producer: Producer, groups: Iterable[tuple[Consumer, GroupOffsets]]) -> None:
    """Commits the offsets that were not committed yet, in one transaction."""
    pinned = [(consumer, group.pinned) for consumer, group in groups if group.pinned]
    if not pinned:
        return
    producer.begin_transaction()
    for consumer, offsets in pinned:
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
    producer.commit_transaction()
