"""Committed offsets of consumer groups, in `__consumer_offsets`."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Condition
from typing import TYPE_CHECKING
from uuid import uuid4

from streamlog.client.contract import GroupMetadata
from streamlog.coordination.group_record import decode_group, encode_group
from streamlog.coordination.group_state import (
    GroupState,
    check_commit,
    from_value,
    join,
    leave,
    to_value,
)
from streamlog.coordination.internal_topic import OFFSETS_TOPIC, InternalTopic, read_replays
from streamlog.coordination.offset_record import (
    GroupKey,
    OffsetAndMetadata,
    OffsetKey,
    decode_key,
    encode_key,
    encode_offset,
)
from streamlog.coordination.offset_store import OffsetStore, StoredOffset
from streamlog.errors import UnstableOffsetCommitError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streamlog.clock import Clock
    from streamlog.coordination.replay import Replay
    from streamlog.coordination.transaction_state import ProducerIdentity
    from streamlog.errors import StorageError
    from streamlog.storage import LogDirectory
    from streamlog.topic import TopicPartition


class GroupCoordinator:
    """Commits offsets, tells them, and fences a group's former member. Usable from any thread.

    An offset that is committed on its own can be seen when it is durable; one that is committed
    in a transaction when the transaction is. One lock guards the maps; it is never held while
    something waits for the disk.
    """

    def __init__(self, directory: LogDirectory, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._topic = InternalTopic(directory, OFFSETS_TOPIC)
        self._changed = Condition()
        self._store = OffsetStore()
        self._groups: dict[str, GroupState] = {}

    def open(self) -> None:
        """Loads what is committed, and what transactions without a marker are about to."""
        for home, replay in read_replays(self._directory, OFFSETS_TOPIC):
            self._store.load(replay.latest)
            for producer_id, pending in replay.pending.items():
                self._store.load_pending(home, producer_id, pending)
            self._groups.update(read_groups(replay))

    # Members

    def join(
        self,
        group: str,
        *,
        client_id: str,
        topics: Iterable[str],
        partitions: Iterable[TopicPartition],
    ) -> GroupMetadata:
        """Makes the caller the group's member, in a new generation; fences whoever was it."""
        member_id = f"{client_id}-{uuid4()}"
        now_ms = self._clock.now_ms()
        with self._changed:
            state = join(
                self._state(group),
                member_id=member_id,
                client_id=client_id,
                topics=topics,
                partitions=partitions,
                now_ms=now_ms,
            )
            self._groups[group] = state
        self._write_group(state, now_ms)
        return GroupMetadata(group_id=group, generation_id=state.generation, member_id=member_id)

    def leave(self, member: GroupMetadata) -> None:
        """Nothing where another has taken over."""
        now_ms = self._clock.now_ms()
        with self._changed:
            before = self._state(member.group_id)
            after = leave(before, member.member_id, now_ms=now_ms)
            self._groups[member.group_id] = after
        if after is not before:
            self._write_group(after, now_ms)

    # Offsets

    def commit(
        self,
        group: GroupMetadata,
        offsets: Mapping[TopicPartition, int],
        *,
        metadata: str = "",
    ) -> Future[None]:
        """Commits offsets on their own; done, and to be seen, when they are durable.

        Raises `IllegalGenerationError` or `UnknownMemberError` for who may not commit; nothing
        is written then.
        """
        with self._changed:
            check_commit(self._state(group.group_id), group, transactional=False)
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
        committed = {
            OffsetKey(group.group_id, partition): OffsetAndMetadata(offset, now_ms)
            for partition, offset in offsets.items()
        }
        # One step with `end_transaction`: a marker between the append and the note of it would
        # leave offsets pending for ever. The append cannot wait for the flusher, which may wait
        # for this lock: a transaction's offsets are far from what a partition may have unsynced.
        with self._changed:
            check_commit(self._state(group.group_id), group, transactional=True)
            base_offset = self._topic.append(
                home,
                [encode_key(key) for key in committed],
                [encode_offset(value) for value in committed.values()],
                now_ms=now_ms,
                identity=identity,
                base_sequence=base_sequence,
            )
            for index, (key, value) in enumerate(committed.items()):
                stored = StoredOffset(base_offset + index, value)
                self._store.put_pending(home, identity.producer_id, key, stored)

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

    def groups(self) -> list[str]:
        """Groups with a committed offset."""
        with self._changed:
            return self._store.groups()

    def _state(self, group: str) -> GroupState:
        return self._groups.get(group) or GroupState(group=group)

    def _write_group(self, state: GroupState, now_ms: int) -> None:
        """Not waited for: a generation that a crash forgets had no member left to fence."""
        home = self._topic.home(state.group).partition
        key, value = encode_key(GroupKey(state.group)), encode_group(to_value(state))
        self._topic.append(home, [key], [value], now_ms=now_ms)

    def _write_offsets(
        self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata | None], now_ms: int
    ) -> Future[None]:
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        if not offsets:
            future.set_result(None)
            return future
        keys = [OffsetKey(group, partition) for partition in offsets]
        values = list(offsets.values())
        base_offset = self._topic.append(
            self._topic.home(group).partition,
            [encode_key(key) for key in keys],
            [None if value is None else encode_offset(value) for value in values],
            now_ms=now_ms,
        )

        def durable(error: StorageError | None) -> None:
            if error is not None:
                future.set_exception(error)
                return
            with self._changed:
                for index, (key, value) in enumerate(zip(keys, values, strict=True)):
                    self._store.put(key, StoredOffset(base_offset + index, value))
            future.set_result(None)

        self._directory.flusher.when_durable(durable)
        return future


def read_groups(replay: Replay) -> dict[str, GroupState]:
    """The groups whose own record a partition of the topic has."""
    groups: dict[str, GroupState] = {}
    for raw, (_, value) in replay.latest.items():
        key = decode_key(raw)
        if isinstance(key, GroupKey) and value is not None:
            groups[key.group] = from_value(key.group, decode_group(value))
    return groups
