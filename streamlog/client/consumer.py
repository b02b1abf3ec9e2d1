"""The consumer of the embedded transport."""

from __future__ import annotations

import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args
from uuid import uuid4

from streamlog.client.contract import OffsetReset
from streamlog.client.reader import UNKNOWN_POSITION, PartitionReader
from streamlog.client.signal import Signal
from streamlog.errors import NoOffsetError, OffsetOutOfRangeError, StreamlogError, did_you_mean
from streamlog.serdes import RAW, serde_for
from streamlog.topic import Isolation, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from streamlog.client.contract import FetchedColumns, GroupMetadata, Record
    from streamlog.client.groups import Groups
    from streamlog.client.session import Session

FETCH_BYTES: Final = 1 << 18
"""How much `poll` decodes ahead a partition."""
ITERATION_RECORDS: Final = 500
FOREVER_SECONDS: Final = float("inf")
LOOK_AGAIN_SECONDS: Final = 1.0
"""How often a waiting poll looks again: a member that was forgotten wakes nobody."""
FOLLOW_SECONDS: Final = 0.1
"""How often a reader beside a live owner looks for more: nothing can wake it."""


T = TypeVar("T")


class EmbeddedConsumer:
    """Reads partitions of a log in this process; see `contract.Consumer`.

    With topics and a group it shares the partitions with the group's other consumers in this
    process and takes over or gives up partitions when it polls. One thread at a time, except
    `wakeup`; different consumers are independent.
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
    ) -> None:
        _check_choice("isolation", isolation, get_args(Isolation))
        _check_choice("start", start, get_args(OffsetReset))
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
        self._member_id: str | None = None
        self._subscribed = bool(topics)
        wants = {topic: broker.topic(topic).partitions for topic in topics}
        if wants and group is not None:
            self._member_id = f"streamlog-{uuid4()}"
            broker.groups.join(group, self._member_id, wants, self._signal.fire)
        else:
            self._take_over([TopicPartition(t, p) for t, n in wants.items() for p in range(n)])
        session.add(self)
        self._undo = partial(_abandon, broker.groups, group, self._member_id, self._signal)
        self._finalizer = weakref.finalize(self, session.leave_behind, self._undo)
        self._finalizer.atexit = False  # at exit the log closes its consumers itself

    # Assignment and positions

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._check_open()
        if self._subscribed:
            raise ValueError("the consumer is subscribed to topics: assign on one without topics")
        self._take_over([TopicPartition(*partition) for partition in partitions])

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

    def poll(self, timeout: float = 0.0, max_records: int = 500) -> list[Record]:
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
        timeout: float = 0.0,
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
        runs: list[tuple[PartitionReader, list[Record]]] = []

        def look() -> bool:
            for reader in self._in_turn():
                if run := self._take_records(reader, ITERATION_RECORDS, bool(runs)):
                    runs.append((reader, run))
            return bool(runs)

        while not (self._closed or self._session.closed):
            self._begin_poll()
            if not self._look(look, FOREVER_SECONDS):
                return
            for reader, run in runs:
                yield from self._hand_out_each(reader, run)
            runs.clear()

    def _hand_out_each(self, reader: PartitionReader, run: list[Record]) -> Iterator[Record]:
        expected = reader.position
        for record in run:
            # The loop's body may seek, assign or close; what was taken ahead is then void.
            if reader.position != expected or self._readers.get(reader.partition) is not reader:
                return
            reader.hand_out(record)
            expected = reader.position
            yield record

    def _begin_poll(self) -> None:
        self._check_open()
        if self._auto_commit:
            self._commit_positions(self._moved())

    def _look(self, look: Callable[[], bool], timeout: float) -> bool:
        """Calls `look` until it finds something, is interrupted or the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            self._signal.arm()
            self._broker.refresh()
            self._rebalance()
            if look():
                return True
            if self._signal.take_interrupt():
                return False
            self._check_open()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            longest = FOLLOW_SECONDS if self._broker.read_only else LOOK_AGAIN_SECONDS
            self._signal.wait(min(remaining, longest))

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
        self._commit_positions(self._positions() if offsets is None else dict(offsets))
        self._wait_for_commits()

    def group_metadata(self) -> GroupMetadata:
        group = self._needed_group()
        return self._broker.groups.metadata(group, self._member_id)

    def close(self) -> None:
        """Commits what was taken (with auto commit) and leaves the group. Twice is once."""
        if self._closed or self._session.forked:
            return
        try:
            if self._auto_commit:
                self._commit_positions(self._moved())
                self._wait_for_commits()
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
            if reader.position != UNKNOWN_POSITION
        }

    def _moved(self) -> dict[TopicPartition, int]:
        """The positions that are not those last committed or begun at."""
        return dict(self._positions().items() - self._committed.items())

    def _commit_positions(self, offsets: dict[TopicPartition, int]) -> None:
        if offsets:
            groups = self._broker.groups
            self._committing = groups.commit(self._needed_group(), self._member_id, offsets)
            self._committed |= offsets

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
        """Gives up and takes over what the group's division asks for."""
        if self._member_id is None:
            return
        group, groups = self._needed_group(), self._broker.groups
        if groups.settled(group, self._member_id):
            return
        if surplus := groups.surplus(group, self._member_id):
            if self._auto_commit:
                moved = {tp: offset for tp, offset in self._moved().items() if tp in surplus}
                self._commit_positions(moved)
            self._wait_for_commits()
            groups.release(group, self._member_id, surplus)
        self._take_over(sorted(groups.claim(group, self._member_id)))

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


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"{name} is {value!r}{did_you_mean(value, choices)}; one of {known}")


def _abandon(groups: Groups, group: str | None, member_id: str | None, signal: Signal) -> None:
    """What is left to do for a consumer that was closed or forgotten."""
    signal.detach()
    if group is not None and member_id is not None:
        groups.leave(group, member_id)
