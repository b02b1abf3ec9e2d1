"""Which committed offsets have been kept for long enough. Pure.

Kafka's rules (`offsets.retention.minutes`): of a group without members everything goes when the
group has been empty for so long; of a group with members what was committed so long ago and is of
a topic that no member reads. An offset that an open transaction is about to change stays, and a
group goes with its last offset.

Of a group that never had a member, Kafka lets each offset go that long after its commit. Here it
stays: such groups are those of applications and connectors, which assign partitions themselves,
and one that rests for a week must not begin anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.coordination.classic_group import GroupState
from streamlog.coordination.consumer_protocol import PROTOCOL_TYPE, decode_subscription
from streamlog.errors import CorruptRecordError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streamlog.coordination.classic_group import ClassicGroup
    from streamlog.coordination.offset_record import OffsetAndMetadata
    from streamlog.topic import TopicPartition


class Expired(NamedTuple):
    """What is to be deleted; with `whole_group` the group's own record as well."""

    partitions: list[TopicPartition]
    whole_group: bool


def choose_expired(
    group: ClassicGroup,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    pending: Collection[TopicPartition],
    *,
    now_ms: int,
    retention_ms: int,
) -> Expired | None:
    """None where there is nothing to do."""
    empty = group.state is GroupState.EMPTY
    subscribed = set[str]() if empty else subscribed_topics(group)
    if subscribed is None or (empty and group.protocol_type is None):
        return None
    expired: list[TopicPartition] = []
    for partition, committed in offsets.items():
        since_ms = group.since_ms if empty and group.since_ms >= 0 else committed.commit_ms
        if partition.topic in subscribed or partition in pending:
            continue
        if now_ms - since_ms >= retention_ms:
            expired.append(partition)
    all_gone = len(expired) == len(offsets) and not pending
    # Without offsets a group goes by the same clock, not at once: its members may be on their way.
    whole = empty and all_gone and now_ms - group.since_ms >= retention_ms
    return Expired(expired, whole) if expired or whole else None


def subscribed_topics(group: ClassicGroup) -> set[str] | None:
    """What the members read; None where that is not known, or about to change."""
    if group.state is not GroupState.STABLE or group.protocol_type != PROTOCOL_TYPE:
        return None
    topics: set[str] = set()
    for member in group.members.values():
        try:
            topics.update(decode_subscription(member.metadata(group.protocol)).topics)
        except CorruptRecordError:
            return None
    return topics
