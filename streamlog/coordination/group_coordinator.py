"""Consumer groups and their committed offsets, in `__consumer_offsets`."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Condition
from typing import TYPE_CHECKING, Final

from streamlog.coordination.classic_group import GroupLimits
from streamlog.coordination.group_members import GroupMembers
from streamlog.coordination.group_record import decode_group, encode_group
from streamlog.coordination.group_view import describe_group
from streamlog.coordination.internal_topic import OFFSETS_TOPIC, InternalTopic, read_replays
from streamlog.coordination.offset_expiry import choose_expired
from streamlog.coordination.offset_record import (
    GroupKey,
    OffsetAndMetadata,
    OffsetKey,
    decode_key,
    encode_key,
    encode_offset,
)
from streamlog.coordination.offset_store import OffsetStore, StoredOffset
from streamlog.errors import (
    InvalidProducerEpochError,
    UnknownGroupError,
    UnstableOffsetCommitError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streamlog.client.contract import GroupDescription, GroupMetadata
    from streamlog.clock import Clock
    from streamlog.coordination.group_record import GroupValue
    from streamlog.coordination.replay import Replay
    from streamlog.coordination.transaction_state import ProducerIdentity
    from streamlog.errors import StorageError
    from streamlog.storage import LogDirectory
    from streamlog.topic import TopicPartition

MINUTE_MS: Final = 60_000
NOWHERE: Final = -1
"""The place of a record that is about to be appended."""


class GroupCoordinator:
    """Commits offsets, tells them, and judges who may. Usable from any thread.

    `members` are the groups, whose requests go there. An offset that is committed on its own can
    be seen when it is durable; one that is committed in a transaction when the transaction is.
    `_changed` guards the offsets, also on the flusher's thread, so it is never held over an
    append, which may wait for the flusher. Who takes both takes that of the groups first.
    """

    def __init__(self, directory: LogDirectory, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._topic = InternalTopic(directory, OFFSETS_TOPIC)
        self._changed = Condition()
        self._store = OffsetStore()
        self.members = GroupMembers(clock, self._write_group, self._limits)

    def open(self) -> None:
        """Loads what is committed, and what transactions without a marker are about to.

        Members of a process that has ended leave their groups, which is written.
        """
        groups: dict[str, GroupValue] = {}
        for home, replay in read_replays(self._directory, OFFSETS_TOPIC):
            self._store.load(replay.latest)
            for producer_id, pending in replay.pending.items():
                self._store.load_pending(home, producer_id, pending)
            groups |= read_groups(replay)
        for group, value in groups.items():
            self.members.load(group, value)

    # Groups

    def committed_now(self, group: str) -> list[TopicPartition]:
        """The partitions with a committed offset, whatever open transactions will change."""
        with self._changed:
            return list(self._store.offsets(group))

    def groups(self) -> list[str]:
        """Groups that have had a member, or have a committed offset."""
        with self._changed:
            with_offsets = self._store.groups()
        return sorted({*with_offsets, *self.members.names()})

    def describe(self, group: str) -> GroupDescription:
        """Raises `UnknownGroupError`."""
        with self.members.looked_at(group) as members:
            with self._changed:
                offsets = self._store.offsets(group)
            if members is not None or offsets:
                return describe_group(group, members, offsets)
        raise UnknownGroupError(group, self.groups())

    def delete(self, group: str) -> Future[None]:
        """Forgets an empty group and its offsets; done when that is durable.

        Raises `NonEmptyGroupError` and `UnknownGroupError`.
        """
        self.describe(group)
        with self.members.without_members(group, "delete it"):
            with self._changed:
                known = {*self._store.offsets(group), *self._store.pending(group)}
            return self._delete(group, known)

    def alter_offsets(
        self, group: str, offsets: Mapping[TopicPartition, int | None]
    ) -> Future[None]:
        """Sets offsets of a group without members, or with None deletes them.

        Done when that is durable. Raises `NonEmptyGroupError`.
        """
        now_ms = self._clock.now_ms()
        with self.members.without_members(group, "change its offsets"):
            return self._write_offsets(
                group,
                {
                    partition: None if offset is None else OffsetAndMetadata(offset, now_ms)
                    for partition, offset in offsets.items()
                },
                now_ms,
            )

    def expire(self) -> dict[str, list[TopicPartition]]:
        """Deletes the offsets that are kept for long enough, and groups of which nothing is left.

        Returns what it deleted, by group. Offsets of groups that never had a member stay.
        """
        deleted: dict[str, list[TopicPartition]] = {}
        with self._changed:
            self._store.forget_deleted()
        for name in self.members.names():
            with self.members.looked_at(name) as group:
                if group is None:
                    continue
                with self._changed:
                    offsets = self._store.offsets(name)
                    pending = self._store.pending(name)
                now_ms = self._clock.now_ms()
                retention_ms = self._directory.log_config.offsets_retention_minutes * MINUTE_MS
                expired = choose_expired(
                    group, offsets, pending, now_ms=now_ms, retention_ms=retention_ms
                )
                if expired is None:
                    continue
                if expired.whole_group:
                    self._delete(name, expired.partitions)
                else:
                    self._write_offsets(name, dict.fromkeys(expired.partitions), now_ms)
                deleted[name] = sorted(expired.partitions)
        return deleted

    # Offsets

    def commit(
        self,
        group: GroupMetadata,
        offsets: Mapping[TopicPartition, int],
        *,
        metadata: str = "",
    ) -> Future[None]:
        """Commits offsets on their own; done, and to be seen, when they are durable.

        Raises what `ClassicGroup.check_commit` raises for who may not commit, and `ValueError`
        for more metadata than `offset.metadata.max.bytes`; nothing is written then.
        """
        longest = self._directory.log_config.offset_metadata_max_bytes
        if (size := len(metadata.encode())) > longest:
            raise ValueError(
                f"offset metadata of {size} bytes is over {longest} (offset.metadata.max.bytes)"
            )
        with self.members.committing(group, transactional=False):
            now_ms = self._clock.now_ms()
            return self._write_offsets(
                group.group_id,
                {
                    partition: OffsetAndMetadata(offset, now_ms, metadata)
                    for partition, offset in offsets.items()
                },
                now_ms,
            )

    def delete_offsets(
        self, group: str, partitions: Collection[TopicPartition] | None = None
    ) -> Future[None]:
        """Forgets committed offsets, all of the group's by default; done when that is durable."""
        with self._changed:
            known = list(self._store.offsets(group))
        chosen = [each for each in known if partitions is None or each in partitions]
        return self._write_offsets(group, dict.fromkeys(chosen), self._clock.now_ms())

    def home(self, group: str) -> TopicPartition:
        """The offsets partition of a group, which a transaction that commits for it includes."""
        return self._topic.home(group)

    def commit_in_transaction(
        self,
        identity: ProducerIdentity,
        group: GroupMetadata,
        offsets: Mapping[TopicPartition, int],
        *,
        base_sequence: int,
    ) -> None:
        """Appends offsets to the transaction of `identity`; its marker decides about them.

        The home partition is in the transaction already. Raises as `commit` does, and
        `InvalidProducerEpochError` where the transaction was ended meanwhile.
        """
        now_ms = self._clock.now_ms()
        home = self._topic.home(group.group_id).partition
        offsets_by_key = {
            OffsetKey(group.group_id, partition): OffsetAndMetadata(offset, now_ms)
            for partition, offset in offsets.items()
        }
        with self.members.committing(group, transactional=True):
            self._append_pending(home, identity, offsets_by_key, base_sequence, now_ms)

    def end_transaction(self, home: int, producer_id: int, *, commit: bool) -> None:
        """The offsets partition `home` has the producer's marker."""
        with self._changed:
            self._store.end_transaction(home, producer_id, commit=commit)
            self._changed.notify_all()

    def wake(self) -> None:
        """Writing has ended, and `committed` must not go on waiting."""
        with self._changed:
            self._changed.notify_all()

    def committed(
        self,
        group: str,
        partitions: Collection[TopicPartition] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[TopicPartition, int]:
        """Committed offsets, all of the group's by default; a partition without one is not in it.

        Waits while an open transaction is about to change one of them (KIP-447), and raises
        `UnstableOffsetCommitError` when that takes longer than `timeout` seconds, or the
        `StorageError` that ended writing, for then it takes for ever.
        """
        wanted = None if partitions is None else set(partitions)
        flusher = self._directory.flusher

        def unstable() -> set[TopicPartition]:
            pending = self._store.pending(group)
            return pending if wanted is None else pending & wanted

        with self._changed:
            self._changed.wait_for(lambda: not unstable() or flusher.failure, timeout)
            if waiting := unstable():
                raise flusher.failure or UnstableOffsetCommitError(group, waiting)
            offsets = self._store.offsets(group)
        return {
            partition: committed.offset
            for partition, committed in offsets.items()
            if wanted is None or partition in wanted
        }

    def _append_pending(
        self,
        home: int,
        identity: ProducerIdentity,
        offsets: Mapping[OffsetKey, OffsetAndMetadata],
        base_sequence: int,
        now_ms: int,
    ) -> None:
        # Pending before the append: a marker may come at any moment, and `end_transaction` must
        # not find less than the partition has, nor leave behind what comes later.
        with self._changed:
            before = self._store.pending_in(home, identity.producer_id)
            intended = before | _stored(offsets, NOWHERE)
            self._store.set_pending(home, identity.producer_id, intended)
        try:
            base_offset = self._topic.append(
                home,
                [encode_key(key) for key in offsets],
                [encode_offset(value) for value in offsets.values()],
                now_ms=now_ms,
                identity=identity,
                base_sequence=base_sequence,
            )
        except BaseException as error:
            ended = isinstance(error, InvalidProducerEpochError)
            with self._changed:
                self._store.set_pending(home, identity.producer_id, {} if ended else before)
                self._changed.notify_all()
            raise
        with self._changed:
            if still := self._store.pending_in(home, identity.producer_id):
                placed = still | _stored(offsets, base_offset)
                self._store.set_pending(home, identity.producer_id, placed)

    def _limits(self) -> GroupLimits:
        config = self._directory.log_config
        return GroupLimits(
            min_session_timeout_ms=config.group_min_session_timeout_ms,
            max_session_timeout_ms=config.group_max_session_timeout_ms,
            initial_rebalance_delay_ms=config.group_initial_rebalance_delay_ms,
            max_size=config.group_max_size,
        )

    def _write_group(self, group: str, value: GroupValue) -> None:
        """Not waited for: the members of a generation that a crash forgets end with the process."""
        self._append_group(group, encode_group(value))

    def _delete(self, group: str, partitions: Collection[TopicPartition]) -> Future[None]:
        """Offsets first: a group that is gone while some of its offsets are not has its own."""
        now_ms = self._clock.now_ms()
        deleted = self._write_offsets(group, dict.fromkeys(partitions), now_ms)
        if not self.members.forget(group):
            return deleted
        self._append_group(group, None)
        return self._when_durable(dict[OffsetKey, StoredOffset]())

    def _append_group(self, group: str, value: bytes | None) -> None:
        home, key = self._topic.home(group).partition, encode_key(GroupKey(group))
        self._topic.append(home, [key], [value], now_ms=self._clock.now_ms())

    def _write_offsets(
        self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata | None], now_ms: int
    ) -> Future[None]:
        if not offsets:
            future: Future[None] = Future()
            future.set_result(None)
            return future
        offsets_by_key = {OffsetKey(group, each): value for each, value in offsets.items()}
        base_offset = self._topic.append(
            self._topic.home(group).partition,
            [encode_key(key) for key in offsets_by_key],
            [None if value is None else encode_offset(value) for value in offsets_by_key.values()],
            now_ms=now_ms,
        )
        return self._when_durable(_stored(offsets_by_key, base_offset))

    def _when_durable(self, stored: Mapping[OffsetKey, StoredOffset]) -> Future[None]:
        """What was appended can be seen when it is durable; then the future is done."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()

        def durable(error: StorageError | None) -> None:
            if error is not None:
                future.set_exception(error)
                return
            with self._changed:
                for key, each in stored.items():
                    self._store.put(key, each)
            future.set_result(None)

        self._directory.flusher.when_durable(durable)
        return future


def _stored(
    offsets: Mapping[OffsetKey, OffsetAndMetadata | None], base_offset: int
) -> dict[OffsetKey, StoredOffset]:
    return {
        key: StoredOffset(base_offset + index, value)
        for index, (key, value) in enumerate(offsets.items())
    }


def read_groups(replay: Replay) -> dict[str, GroupValue]:
    """The groups whose own record a partition of the topic has."""
    groups: dict[str, GroupValue] = {}
    for raw, (_, value) in replay.latest.items():
        key = decode_key(raw)
        if isinstance(key, GroupKey) and value is not None:
            groups[key.group] = decode_group(value)
    return groups
