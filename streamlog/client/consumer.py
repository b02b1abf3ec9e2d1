"""The consumer of the embedded transport."""

from __future__ import annotations

import time
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from streamlog.client.arguments import check_choice, check_topics, partitions_of
from streamlog.client.arrivals import Arrivals, run_aside
from streamlog.client.contract import GroupMetadata, OffsetReset
from streamlog.client.groups import CLIENT_ID
from streamlog.client.membership import Adopt, Join, Lose, Membership, Revoke, check_identity
from streamlog.client.reader import UNKNOWN_POSITION, PartitionReader
from streamlog.client.signal import Signal
from streamlog.errors import (
    GroupError,
    IllegalGenerationError,
    LogClosedError,
    NoOffsetError,
    OffsetOutOfRangeError,
    StreamlogError,
    TopicDeletedError,
    TopicError,
)
from streamlog.serdes import RAW, serde_for
from streamlog.topic import Isolation, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from streamlog.client.contract import FetchedColumns, RebalanceCallback, Record
    from streamlog.client.groups import Member
    from streamlog.client.session import Session
    from streamlog.topic import TopicDescription

FETCH_BYTES: Final = 1 << 18
"""How much `poll` decodes ahead a partition."""
ITERATION_RECORDS: Final = 500
FOREVER_SECONDS: Final = float("inf")
LOOK_AGAIN_SECONDS: Final = 1.0
"""How often a waiting poll looks again: a member that was forgotten wakes nobody."""
TOPICS_AGE_SECONDS: Final = 1.0
"""How often a group's leader looks whether its topics have got more partitions."""
FOLLOW_SECONDS: Final = 0.1
"""How often a reader beside a live owner looks for more: nothing can wake it."""


T = TypeVar("T")
Run = tuple[PartitionReader, int, list["Record"]]
"""Records that were read ahead, and the position that their partition then has to have."""


class EmbeddedConsumer:
    """Reads partitions of a log in this process; see `contract.Consumer`.

    With topics and a group it shares the partitions with the group's other consumers, and takes
    over or gives up partitions when it polls. One thread at a time, except `wakeup`; different
    consumers are independent.
    """

    def __init__(
        self,
        session: Session,
        topics: Sequence[str],
        *,
        group: str | None,
        isolation: Isolation,
        start: OffsetReset,
        key: Any,
        value: Any,
        auto_commit: bool,
        assignors: Sequence[str],
        group_instance_id: str | None,
        session_timeout_ms: int,
        max_poll_interval_ms: int,
        on_assigned: RebalanceCallback | None,
        on_revoked: RebalanceCallback | None,
        on_lost: RebalanceCallback | None,
    ) -> None:
        check_choice("isolation", isolation, get_args(Isolation))
        check_choice("start", start, get_args(OffsetReset))
        check_topics(topics)
        check_identity(group, group_instance_id)
        if group is None and (on_assigned or on_revoked or on_lost):
            raise ValueError("nobody calls on_assigned, on_revoked and on_lost without a group")
        self._session = session
        self._broker = broker = session.broker
        self._group = group
        self._isolation: Isolation = isolation
        self._start: OffsetReset = start
        self._key = RAW if key is None else serde_for(key)
        self._value = RAW if value is None else serde_for(value)
        self._auto_commit = auto_commit and group is not None and not broker.read_only
        self._readers: dict[TopicPartition, PartitionReader] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._committing: Future[None] | None = None
        self._turn = 0
        self._closed = False
        self._signal = Signal()
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._on_lost = on_revoked if on_lost is None else on_lost
        self._member: Member | None = None
        self._rebalancing = False
        self._topics_seen = 0.0
        self._subscribed = bool(topics)
        self._changes = broker.changes
        self._topics = {topic: broker.topic(topic) for topic in topics}
        self._appeared: set[TopicPartition] = set()
        counts = {name: topic.partitions for name, topic in self._topics.items()}
        if counts and group is not None:
            membership = Membership(
                group,
                counts,
                assignors=assignors,
                client_id=CLIENT_ID,
                group_instance_id=group_instance_id,
                session_timeout_ms=session_timeout_ms,
                max_poll_interval_ms=max_poll_interval_ms,
            )
            self._member = broker.enlist(membership, self._signal.fire)
        else:
            self._take_over([TopicPartition(t, p) for t, n in counts.items() for p in range(n)])
        session.add(self)
        self._undo = partial(_abandon, self._member, self._signal)
        self._finalizer = weakref.finalize(self, session.leave_behind, self._undo)
        self._finalizer.atexit = False  # at exit the log closes its consumers itself

    # Assignment and positions

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._check_open()
        if self._subscribed:
            raise ValueError("the consumer is subscribed to topics: assign on one without topics")
        self._take_over(partitions_of(partitions))

    def assignment(self) -> list[TopicPartition]:
        self._check_open()
        self._rebalance()
        return list(self._readers)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        self._reader(partition).seek(offset)

    def seek_to_time(self, partition: TopicPartition, timestamp: int) -> None:
        reader = self._reader(partition)
        end = reader.end_offset
        found = reader.log.offset_for_timestamp(timestamp)
        reader.seek(end if found is None else min(found[0], end))

    def seek_to_beginning(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        for reader in self._chosen(partitions):
            reader.seek(reader.log.log_start_offset)

    def seek_to_end(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        for reader in self._chosen(partitions):
            reader.seek(reader.end_offset)

    def position(self, partition: TopicPartition) -> int:
        reader = self._reader(partition)
        self._find_position(reader)
        return reader.position

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._reader(partition).paused = True

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._reader(partition).paused = False
        self._signal.fire()

    # Reading

    def poll(self, timeout: float | None = 0.0, max_records: int = 500) -> list[Record]:
        if max_records < 1:
            raise ValueError(f"max_records is {max_records}, but must be at least 1")
        self._begin_poll()
        records: list[Record] = []

        def look() -> bool:
            for reader in self._in_turn():
                if run := self._take_records(reader, max_records - len(records), bool(records)):
                    reader.hand_out(run[-1])
                    records.extend(run)
                if len(records) >= max_records:
                    break
            return bool(records)

        self._look(look, timeout)
        return records

    def poll_columns(
        self,
        timeout: float | None = 0.0,
        *,
        max_bytes: int = 1 << 20,
        partitions: Sequence[TopicPartition] | None = None,
    ) -> list[FetchedColumns]:
        self._begin_poll()
        fetched: list[FetchedColumns] = []

        def look() -> bool:
            for reader in self._in_turn():
                if partitions is not None and reader.partition not in partitions:
                    continue
                take = partial(PartitionReader.take_columns, max_bytes=max_bytes)
                if columns := self._take(reader, take, bool(fetched)):
                    fetched.append(columns)
            return bool(fetched)

        self._look(look, timeout)
        return fetched

    def on_available(self, callback: Callable[[], None] | None) -> None:
        self._signal.callback = callback

    def wakeup(self) -> None:
        self._signal.interrupt()

    def __iter__(self) -> Iterator[Record]:
        """Every record there is and will be, in order a partition; waits for the next.

        A record counts as taken when the loop gets it. Ends at a `wakeup` and when the consumer or
        its log is closed.
        """
        while not self._has_ended():
            runs: list[Run] = []
            try:
                self._begin_poll()
                if not self._look(partial(self._read_ahead, runs), None):
                    return
            except (LogClosedError, ValueError):
                if self._has_ended():  # closed by another thread, between two steps
                    return
                raise
            yield from self._hand_out_each(runs)

    def __aiter__(self) -> Arrivals:
        """As `for`, in an asyncio loop: `async for record in consumer`.

        Nothing else is held up while it waits, and no thread waits for it. What may have to wait
        for others (positions that a transaction is about to change, taking partitions over and
        the callbacks of that) is done in the loop's executor. Cancelling loses nothing: also
        `asyncio.wait_for(anext(arrivals), 1)` may be tried again.
        """
        return Arrivals(self._arrive)

    async def _arrive(self) -> Iterator[Record] | None:
        """What is to be handed out next, once there is something; None at the end."""
        runs: list[Run] = []
        look = partial(self._read_ahead, runs)
        try:
            if self._has_ended():
                return None
            self._begin_poll()
            while True:
                look_once = partial(self._look_once, look)
                found = await run_aside(look_once) if self._may_wait() else look_once()
                if found is not None:
                    return self._hand_out_each(runs) if found else None
                await self._signal.wait_async(self._longest_wait)
        except (LogClosedError, ValueError):
            if self._has_ended():
                return None
            raise

    def _has_ended(self) -> bool:
        return self._closed or self._session.closed

    def _may_wait(self) -> bool:
        """Whether a look may have to wait for others."""
        if self._group is None:
            return False
        unsettled = self._member is not None and not self._member.is_settled
        return unsettled or any(
            reader.position == UNKNOWN_POSITION for reader in self._readers.values()
        )

    def _read_ahead(self, runs: list[Run]) -> bool:
        for reader in self._in_turn():
            if run := self._take_records(reader, ITERATION_RECORDS, bool(runs)):
                runs.append((reader, reader.position, run))
        return bool(runs)

    def _hand_out_each(self, runs: list[Run]) -> Iterator[Record]:
        for reader, expected, run in runs:
            for record in run:
                # The loop's body may seek, assign or close; what was read ahead is then void.
                if reader.position != expected or self._readers.get(reader.partition) is not reader:
                    break
                reader.hand_out(record)
                expected = reader.position
                yield record

    def _begin_poll(self) -> None:
        self._check_open()
        if self._member is not None:
            self._broker.groups.polled(self._member)
        if self._auto_commit:
            self._auto_commit_now(self._moved())

    def _look(self, look: Callable[[], bool], timeout: float | None) -> bool:
        """Calls `look` until it finds something, is interrupted or the time is over."""
        deadline = time.monotonic() + (FOREVER_SECONDS if timeout is None else timeout)
        while (found := self._look_once(look)) is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            self._signal.wait(min(remaining, self._longest_wait))
        return found

    def _look_once(self, look: Callable[[], bool]) -> bool | None:
        """Whether `look` found something; None where it did not and nobody interrupted."""
        try:
            self._signal.arm()
            self._broker.refresh()
            if self._member is not None:
                self._broker.groups.polled(self._member)
            self._rebalance()
            if look():
                return True
        except (StreamlogError, LookupError, OSError):
            if self._has_ended():
                self._check_open()  # closed by another thread in the middle of that
            raise
        if self._signal.take_interrupt():
            return False
        self._check_open()
        return None

    @property
    def _longest_wait(self) -> float:
        return FOLLOW_SECONDS if self._broker.read_only else LOOK_AGAIN_SECONDS

    def _in_turn(self) -> list[PartitionReader]:
        """The readers that are not paused, each time another one first."""
        readers = [reader for reader in self._readers.values() if not reader.paused]
        self._turn += 1
        first = self._turn % len(readers) if readers else 0
        return readers[first:] + readers[:first]

    def _take_records(
        self, reader: PartitionReader, max_records: int, found: bool
    ) -> list[Record] | None:
        take = partial(
            PartitionReader.take_records,
            max_records=max_records,
            max_bytes=FETCH_BYTES,
            key=self._key,
            value=self._value,
        )
        return self._take(reader, take, found)

    def _take(
        self, reader: PartitionReader, take: Callable[[PartitionReader], T], found: bool
    ) -> T | None:
        """What `take` takes; once more from where `start` says if the position is out of range.

        When something was `found` in another partition an error waits for the next poll: what was
        found is already counted as taken and must reach the caller.
        """
        try:
            self._find_position(reader)
            try:
                return take(reader)
            except OffsetOutOfRangeError:
                if self._start == "error":
                    raise
                reader.seek(self._start_position(reader))
                return take(reader)
        except StreamlogError:
            if found:
                return None
            raise

    # Positions and groups

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """See the contract. What this consumer has committed before is always in it."""
        self._check_open()
        self._wait_for_commits()
        return self._broker.groups.committed(self._needed_group(), list(partitions))

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        self._check_open()
        self._needed_group()
        member = self._member
        if member is not None and not member.has_joined and not member.has_lost:
            self._rebalance()
        self._commit_positions(self._positions() if offsets is None else dict(offsets))
        self._wait_for_commits()

    def group_metadata(self) -> GroupMetadata:
        group = self._needed_group()
        return GroupMetadata(group_id=group) if self._member is None else self._member.metadata()

    def close(self) -> None:
        """Commits what was taken (with auto commit) and leaves the group. Twice is once.

        `on_revoked` is called before that, except for a static member, which keeps its partitions.
        """
        if self._closed or self._session.forked:
            return
        try:
            if self._auto_commit:
                self._auto_commit_now(self._moved())
                self._wait_for_commits()
            if self._member is not None and not self._member.is_static and self._readers:
                self._rebalancing = True  # what the callback calls must not join again
                _call(self._on_revoked, self._readers)
        finally:
            self._closed = True
            self._readers = {}
            self._session.discard(self)
            self._signal.interrupt()
            self._finalizer.detach()
            self._undo()

    def _positions(self) -> dict[TopicPartition, int]:
        return {
            partition: reader.position
            for partition, reader in self._readers.items()
            if reader.position != UNKNOWN_POSITION and not reader.log.deleted
        }

    def _moved(self) -> dict[TopicPartition, int]:
        """The positions that are not those last committed or begun at."""
        return dict(self._positions().items() - self._committed.items())

    def _commit_positions(self, offsets: dict[TopicPartition, int]) -> None:
        if offsets:
            self._committing = self._commit(offsets)
            self._committed |= offsets

    def _commit(self, offsets: dict[TopicPartition, int]) -> Future[None]:
        """Of a cooperative member, that may become one of the next generation at any moment."""
        committer = self.group_metadata()
        try:
            return self._broker.groups.commit(committer, offsets)
        except IllegalGenerationError:
            if self.group_metadata() == committer:
                raise
            return self._broker.groups.commit(self.group_metadata(), offsets)

    def _auto_commit_now(self, offsets: dict[TopicPartition, int]) -> None:
        """Who was put out of the group, or lost a topic, hears of that from the poll."""
        with suppress(GroupError, TopicError):
            self._commit_positions(offsets)

    def _wait_for_commits(self) -> None:
        """The last one is durable last."""
        if self._committing is not None:
            self._committing.result()
            self._committing = None

    def _needed_group(self) -> str:
        if self._group is None:
            raise ValueError("the consumer has no group: log.consumer(..., group=...)")
        return self._group

    def _rebalance(self) -> None:
        """Does what the group asks of this member, as far as it need not wait for others."""
        if self._topics and self._changes != self._broker.changes:
            self._look_at_changes()
        member = self._member
        if member is None or self._rebalancing:  # a callback may come here
            return
        self._look_at_topics(member)
        self._rebalancing = True
        try:
            while not member.is_settled and (step := member.choose_step()) is not None:
                match step:
                    case Join():
                        member.join()
                    case Adopt(partitions, added):
                        self._take_over(list(partitions))
                        member.adopted()
                        _call(self._on_assigned, added)
                    case Revoke(partitions):
                        self._give_up(member, partitions)
                    case Lose(partitions):
                        try:
                            _call(self._on_lost, partitions)
                        finally:
                            self._let_go(member, partitions)
        finally:
            self._rebalancing = False

    def _give_up(self, member: Member, partitions: Sequence[TopicPartition]) -> None:
        try:
            if self._auto_commit:
                moved = {tp: at for tp, at in self._moved().items() if tp in partitions}
                self._auto_commit_now(moved)
            _call(self._on_revoked, partitions)
            self._wait_for_commits()
        finally:
            self._let_go(member, partitions)

    def _let_go(self, member: Member, partitions: Sequence[TopicPartition]) -> None:
        self._take_over([each for each in self._readers if each not in partitions])
        member.released(partitions)

    def _look_at_topics(self, member: Member) -> None:
        now = time.monotonic()
        if now - self._topics_seen >= TOPICS_AGE_SECONDS:
            self._topics_seen = now
            member.look_at_topics()

    def _look_at_changes(self) -> None:
        """Takes in partitions that were added.

        Raises `TopicDeletedError` for a topic that is gone, also if another has its name now.
        """
        changes, known = self._broker.changes, self._broker.topics()
        topics: dict[str, TopicDescription] = {}
        for name, topic in self._topics.items():
            found = known.get(name)
            if found is None or found.topic_id != topic.topic_id:
                raise TopicDeletedError(name)
            topics[name] = found
            added = range(topic.partitions, found.partitions)
            self._appeared.update(TopicPartition(name, number) for number in added)
        self._topics, self._changes = topics, changes
        self._topics_seen = 0.0  # for the group's leader, who divides what was added
        if self._member is None:
            self._take_over(
                [TopicPartition(t, p) for t in topics for p in range(topics[t].partitions)]
            )

    def topic_changed(self, topic: str) -> None:
        """Ends the wait that is under way: the next look finds out what it was."""
        self._signal.fire()

    def _take_over(self, partitions: list[TopicPartition]) -> None:
        """Reads just these partitions from here on; those that stay keep their positions."""
        logs = {partition: self._broker.partition(partition) for partition in partitions}
        self._readers = {
            partition: self._readers.get(partition)
            or PartitionReader(partition, log, self._isolation)
            for partition, log in logs.items()
        }
        self._committed = {tp: at for tp, at in self._committed.items() if tp in logs}
        self._signal.listen(logs)

    def _reader(self, partition: TopicPartition) -> PartitionReader:
        self._check_open()
        self._rebalance()
        if partition not in self._readers:
            raise ValueError(f"{TopicPartition(*partition)} is not assigned to this consumer")
        return self._readers[partition]

    def _chosen(self, partitions: Iterable[TopicPartition] | None) -> list[PartitionReader]:
        chosen = self.assignment() if partitions is None else partitions_of(partitions)
        return [self._reader(partition) for partition in chosen]

    def _find_position(self, reader: PartitionReader) -> None:
        """Where the group left off, else where `start` says; nothing if there is a position."""
        if reader.position != UNKNOWN_POSITION:
            return
        offset = None
        if self._group is not None:
            partition = reader.partition
            offset = self._broker.groups.committed(self._group, [partition])[partition]
        if offset is None:
            offset = self._start_position(reader)
        reader.seek(offset)
        self._committed[reader.partition] = offset

    def _start_position(self, reader: PartitionReader) -> int:
        if self._start == "error":
            raise NoOffsetError(reader.partition.topic, reader.partition.partition, self._group)
        if reader.partition in self._appeared:  # all that is in it came after this consumer
            return reader.log.log_start_offset
        return reader.log.log_start_offset if self._start == "earliest" else reader.end_offset

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the consumer is closed")
        self._session.check_open()

    def abandon(self) -> None:
        """In a forked child: every method asks the session."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _abandon(member: Member | None, signal: Signal) -> None:
    """What is left to do for a consumer that was closed or forgotten."""
    signal.detach()
    if member is not None:
        member.leave()


def _call(callback: RebalanceCallback | None, partitions: Iterable[TopicPartition]) -> None:
    if callback is not None:
        callback(list(partitions))
