"""Committed offsets of consumer groups, in `__consumer_offsets`."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Condition, Lock
from typing import TYPE_CHECKING, Final
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
from streamlog.errors import InvalidProducerEpochError, UnstableOffsetCommitError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streamlog.clock import Clock
    from streamlog.coordination.replay import Replay
    from streamlog.coordination.transaction_state import ProducerIdentity
    from streamlog.errors import StorageError
    from streamlog.storage import LogDirectory
    from streamlog.topic import TopicPartition

MAX_METADATA_BYTES: Final = 4096
NOWHERE: Final = -1
"""The place of a record that is about to be appended."""


class GroupCoordinator:
    """Commits offsets, tells them, and fences a group's former member. Usable from any thread.

    An offset that is committed on its own can be seen when it is durable; one that is committed
    in a transaction when the transaction is. `_changed` guards the maps, also on the flusher's
    thread, so it is never held over an append, which may wait for the flusher; `_joining` keeps
    a group's records in the order of its generations.
    """

    def __init__(self, directory: LogDirectory, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._topic = InternalTopic(directory, OFFSETS_TOPIC)
        self._joining = Lock()
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
        with self._joining:
            state = join(
                self.state(group),
                member_id=member_id,
                client_id=client_id,
                topics=topics,
                partitions=partitions,
                now_ms=now_ms,
            )
            self._become(state, now_ms)
        return GroupMetadata(group_id=group, generation_id=state.generation, member_id=member_id)

    def leave(self, member: GroupMetadata) -> None:
        """Nothing where another has taken over."""
        now_ms = self._clock.now_ms()
        with self._joining:
            before = self.state(member.group_id)
            after = leave(before, member.member_id, now_ms=now_ms)
            if after is not before:
                self._become(after, now_ms)

    def state(self, group: str) -> GroupState:
        """The group's generation and member."""
        with self._changed:
            return self._groups.get(group) or GroupState(group=group)

    # Offsets

    def commit(
        self,
        group: GroupMetadata,
        offsets: Mapping[TopicPartition, int],
        *,
        metadata: str = "",
    ) -> Future[None]:
        """Commits offsets on their own; done, and to be seen, when they are durable.

        Raises `IllegalGenerationError` or `UnknownMemberError` for who may not commit, and
        `ValueError` for more metadata than Kafka's offset.metadata.max.bytes; nothing is written
        then.
        """
        if (size := len(metadata.encode())) > MAX_METADATA_BYTES:
            raise ValueError(f"offset metadata of {size} bytes is over {MAX_METADATA_BYTES}")
        check_commit(self.state(group.group_id), group, transactional=False)
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
        check_commit(self.state(group.group_id), group, transactional=True)
        # Pending before the append: a marker may come at any moment, and `end_transaction` must
        # not find less than the partition has, nor leave behind what comes later.
        with self._changed:
            before = self._store.pending_in(home, identity.producer_id)
            intended = before | _stored(offsets_by_key, NOWHERE)
            self._store.set_pending(home, identity.producer_id, intended)
        try:
            base_offset = self._topic.append(
                home,
                [encode_key(key) for key in offsets_by_key],
                [encode_offset(value) for value in offsets_by_key.values()],
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
                placed = still | _stored(offsets_by_key, base_offset)
                self._store.set_pending(home, identity.producer_id, placed)

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

    def _become(self, state: GroupState, now_ms: int) -> None:
        """Not waited for: a generation that a crash forgets had no member left to fence."""
        with self._changed:
            self._groups[state.group] = state
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
        offsets_by_key = {OffsetKey(group, each): value for each, value in offsets.items()}
        base_offset = self._topic.append(
            self._topic.home(group).partition,
            [encode_key(key) for key in offsets_by_key],
            [None if value is None else encode_offset(value) for value in offsets_by_key.values()],
            now_ms=now_ms,
        )

        def durable(error: StorageError | None) -> None:
            if error is not None:
                future.set_exception(error)
                return
            with self._changed:
                for key, stored in _stored(offsets_by_key, base_offset).items():
                    self._store.put(key, stored)
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


def read_groups(replay: Replay) -> dict[str, GroupState]:
    """The groups whose own record a partition of the topic has."""
    groups: dict[str, GroupState] = {}
    for raw, (_, value) in replay.latest.items():
        key = decode_key(raw)
        if isinstance(key, GroupKey) and value is not None:
            groups[key.group] = from_value(key.group, decode_group(value))
    return groups
