"""All stores of a worker: one database, a state each, checkpointed and flushed together.

A checkpoint writes what is committed, and the changelog offset that it reflects, into the
database's memory. A flush makes that durable; it costs a file a store, so it follows only when
much would have to be replayed after a crash, or when time has passed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from processors.state.cached import DEFAULT_CACHE_BYTES, KeyValueState
from processors.state.position import NO_BOOT_ID, Position
from processors.state.segmented import SegmentedState
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from processors.state.byte_store import ByteStore
    from processors.state.state import State
    from processors.topology.partitioning import StoreSpec
    from streamlog.client.contract import Log
    from streamlog.clock import Clock

FLUSH_RECORDS: Final = 1_000_000
FLUSH_PERIOD_MS: Final = 60_000
RENEWAL_MS: Final = 3_600_000
"""So old a checkpoint may get beside others, though its store has not changed: behind one of a day
a changelog may have dropped tombstones."""

StoreKey = tuple[str, int]


class Database(Protocol):
    """Where the byte stores of a worker live together."""

    def store(self, name: str) -> ByteStore: ...

    def drop(self, name: str) -> None: ...

    def flush(self) -> None:
        """May run in another thread."""
        ...

    def close(self) -> None: ...


class Stores:
    """The states by store name and partition. Owned by the loop's thread.

    Args:
        boot_id: This machine's boot, where the log promises nothing over the loss of power.
    """

    def __init__(
        self, database: Database, log: Log, clock: Clock, boot_id: UUID = NO_BOOT_ID
    ) -> None:
        self.states: dict[StoreKey, State] = {}
        self._database = database
        self._log = log
        self._clock = clock
        self._boot_id = boot_id
        self.positions: dict[TopicPartition, int] = {}
        """The offsets of the streams that were committed last: of stores of source topics."""
        self.reused: set[StoreKey] = set()
        """The stores whose changelog is a source topic."""
        self._topic_ids: dict[str, UUID] = {}
        self._offsets: dict[TopicPartition, int] = {}
        self._flushed_ms = clock.now_ms()
        self._renewed_ms = clock.now_ms()
        self._records_since_flush = 0
        self._flushing: asyncio.Task[None] | None = None

    def add(self, spec: StoreSpec, partition: int, cache_bytes: int) -> State:
        """Opens a store. What it holds must be restored before the state is used."""
        self._topic_ids[spec.changelog] = self._log.topic(spec.changelog).topic_id
        at = TopicPartition(spec.changelog, partition)
        store = self._database.store(byte_store_name(spec.name, partition))
        state = make_state(spec, store, at, cache_bytes)
        self.states[spec.name, partition] = state
        if spec.is_source:
            self.reused.add((spec.name, partition))
        return state

    def rebuild(self, state: State) -> None:
        """Empties a store whose content cannot be trusted."""
        name = byte_store_name(state.name, state.changelog.partition)
        self._database.drop(name)
        state.store = self._database.store(name)

    def begin(self) -> None:
        """All are restored: what is empty need not be asked what it has of a key."""
        for state in self.states.values():
            state.complete = next(iter(state.store.range()), None) is None

    def position_at(self, topic_id: UUID, offset: int) -> Position:
        """The position of a store that reflects its changelog up to `offset`, as of now."""
        return Position(
            topic_id=topic_id,
            offset=offset,
            wall_time_ms=self._clock.now_ms(),
            boot_id=self._boot_id,
        )

    def committed_bytes(self) -> int:
        """What waits for a checkpoint, estimated."""
        return sum(state.committed_bytes for state in self.states.values())

    def checkpoint(self) -> None:
        """Writes what is committed, with the changelog ends; call it while no transaction is open.

        Between an acknowledged commit and the next send, the durable end of a changelog is the
        end of what was committed to it.
        """
        if self._clock.now_ms() - self._renewed_ms >= RENEWAL_MS:
            self._checkpoint(list(self.states.values()))
        else:
            self._checkpoint([state for state in self.states.values() if state.has_committed()])

    async def checkpoint_last(self) -> None:
        """At a stop, of all stores. With the markers of the last commit nothing is behind them.

        So the next start can trust them however old they are: no tombstone can be missing.
        """
        await asyncio.to_thread(self._log.sync)
        self._checkpoint(list(self.states.values()))

    def _checkpoint(self, changed: Sequence[State]) -> None:
        ends = self._log.end_offsets(
            [state.changelog for state in changed], isolation="read_uncommitted"
        )
        for key in self.reused:
            changelog = self.states[key].changelog
            if changelog in ends:
                ends[changelog] = self.positions[changelog]
        if len(changed) == len(self.states):
            self._renewed_ms = self._clock.now_ms()
        for state in changed:
            changelog = state.changelog
            end = ends[changelog]
            self._records_since_flush += end - self._offsets.get(changelog, end)
            self._offsets[changelog] = end
            state.checkpoint(self.position_at(self._topic_ids[changelog.topic], end))
        if changed and self._is_flush_due():
            self._start_flush()

    async def settle(self) -> None:
        """Waits for a flush under way; raises what it raised."""
        if self._flushing is not None:
            flushing, self._flushing = self._flushing, None
            await flushing

    def flush(self) -> None:
        """Makes the database durable; what its positions name in the log is so before."""
        self._log.sync()
        self._database.flush()

    def _is_flush_due(self) -> bool:
        return (
            self._records_since_flush >= FLUSH_RECORDS
            or self._clock.now_ms() - self._flushed_ms >= FLUSH_PERIOD_MS
        )

    def _start_flush(self) -> None:
        if self._flushing is not None:
            if not self._flushing.done():
                return
            self._flushing.result()
        self._records_since_flush = 0
        self._flushed_ms = self._clock.now_ms()
        flush = asyncio.to_thread(self.flush)
        self._flushing = asyncio.get_running_loop().create_task(flush)


def make_state(
    spec: StoreSpec,
    store: ByteStore,
    changelog: TopicPartition,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> State:
    """The state of one partition of a store, by its layout."""
    made = SegmentedState if spec.layout == "segmented" else KeyValueState
    return made(spec.name, spec.key, spec.value, store, changelog, cache_bytes)


def byte_store_name(store: str, partition: int) -> str:
    return f"{store}-{partition}"
