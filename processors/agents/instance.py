"""One instance of an agent: one partition, one event at a time, in an asyncio task of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from processors.agents.declaration import Keyed
from processors.agents.store import CURRENT, WriteSet
from processors.agents.stream import AgentStream
from processors.errors import AgentError, ProcessorsError, StateError
from processors.operators.columns import fill_gaps
from processors.operators.handover import deserialize_rows
from streamlog.client.contract import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processors.agents.declaration import Agent
    from processors.operators.operator import FailureKind
    from processors.state.cached import KeyValueState
    from streamlog.client.contract import FetchedColumns

LOW_WATER_ROWS: Final = 1_000
"""Below so many waiting events an instance wants more."""

EVENT: ContextVar[int] = ContextVar("event", default=-1)
"""The number of the event in hand, which tasks that its handling starts inherit."""

EVENTS_PER_TURN: Final = 64
"""After so many events the loop runs others, though the next event is there."""


class Report(Protocol):
    """Where a failed event is reported; `record` has the bytes of the topic.

    Raises where the policy is to fail.
    """

    def __call__(
        self, kind: FailureKind, operator: str, record: Record, error: Exception
    ) -> None: ...


class Sends:
    """What finished events sent, as columns, waiting for the commit."""

    def __init__(self) -> None:
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.timestamps: list[int] = []

    def __len__(self) -> int:
        return len(self.keys)


class _Run:
    """Fetched records on their way to the agent. `failed` has the rows that cannot be read."""

    __slots__ = ("columns", "failed", "keys", "values")

    def __init__(self, agent: Agent, columns: FetchedColumns) -> None:
        self.columns = columns
        self.failed: dict[int, Exception] = {}
        self.keys = self._read(agent.key, columns.keys)
        self.values = self._read(agent.value, columns.values)

    def _read(self, serde: Any, column: Sequence[bytes | None]) -> list[Any]:
        def fail(index: int, error: Exception) -> None:
            self.failed.setdefault(index, error)

        values, failed = deserialize_rows(serde, column, fail)
        fill_gaps(values, failed, None)
        return values

    def record(self, index: int, keys: Sequence[Any], values: Sequence[Any]) -> Record:
        columns = self.columns
        return Record(
            columns.topic,
            columns.partition,
            columns.offsets[index],
            columns.timestamps[index],
            keys[index],
            values[index],
            [] if columns.headers is None else columns.headers[index],
        )


class AgentInstance:
    """Feeds one partition's records to the agent and collects what its finished events did.

    `position` is behind the last finished event, so an event in flight at a commit is taken again
    after a crash. Owned by the loop's thread.

    Args:
        states: The stores' states of this partition.
        report: Told of events that fail.
        wake: Called after every event, and when the instance has failed.
    """

    def __init__(
        self,
        agent: Agent,
        partition: int,
        position: int,
        states: Mapping[str, KeyValueState],
        report: Report,
        wake: Callable[[], None],
    ) -> None:
        self.agent = agent
        self.partition = partition
        self.position = position
        self.finished = 0
        self.error: Exception | None = None
        self._path = f"agent {agent.name}"
        self._sets = {name: WriteSet(state) for name, state in states.items()}
        self._report = report
        self._wake = wake
        self._runs: deque[_Run] = deque()
        self._rows_waiting = 0
        self._index = -1
        self._in_event = False
        self._yielded: list[tuple[bytes | None, bytes | None]] = []
        self._unwritable: Exception | None = None
        self._sends = Sends()
        self._paused = False
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What the worker calls.

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._path)

    async def stop(self) -> None:
        """Cancels the agent; an event in flight is forgotten."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def feed(self, columns: FetchedColumns) -> None:
        """Takes records in; their offsets follow those of the last call."""
        if columns.offsets:
            self._runs.append(_Run(self.agent, columns))
            self._rows_waiting += len(columns.offsets)
            if not self._paused:
                self._ready.set()
        elif not self._runs:
            self.position = columns.next_offset
        else:
            self._runs[-1].columns.next_offset = columns.next_offset

    def wants(self) -> bool:
        return self._rows_waiting < LOW_WATER_ROWS

    def busy(self) -> bool:
        """Whether an event is in flight or waiting."""
        return self._in_event or self._rows_waiting > 0

    def pause(self) -> None:
        """Lets the event in flight finish, and gives no other until `resume`."""
        self._paused = True
        self._ready.clear()

    def resume(self) -> None:
        self._paused = False
        if self._rows_waiting:
            self._ready.set()

    def take_sends(self) -> Sends:
        """What finished events sent since the last call; it belongs to the open transaction."""
        sends, self._sends = self._sends, Sends()
        return sends

    # What the agent's code calls, by way of its stream and stores.

    async def next_event(self) -> None:
        self._end_event()
        if self.finished % EVENTS_PER_TURN == EVENTS_PER_TURN - 1:
            await asyncio.sleep(0)
        while not self._in_event:
            if self.error is not None:
                await asyncio.Event().wait()  # the task is cancelled here
            if not self._ready.is_set():
                await self._ready.wait()
            self._take_row()

    def value(self) -> Any:
        return self._runs[0].values[self._index]

    def key(self) -> Any:
        return self._runs[0].keys[self._index]

    def record(self) -> Record:
        run = self._runs[0]
        return run.record(self._index, run.keys, run.values)

    def write_set(self, store: str) -> WriteSet | None:
        if not self._in_event:
            return None
        if asyncio.current_task() is not self._task and EVENT.get() != self.finished:
            return None  # a task that an earlier event has started, and has not waited for
        return self._sets.get(store)

    # The life of an event.

    async def _run(self) -> None:
        CURRENT.set(self)
        try:
            while True:
                taken = self.finished
                try:
                    await self._run_function()
                    self._end_event()
                except StateError:
                    raise  # no event is at fault
                except Exception as error:
                    if not self._in_event:
                        raise
                    self._fail_event("processing", error)
                if self.error is not None:
                    return
                if self.finished == taken:
                    raise RuntimeError("it returned without taking an event")
        except ProcessorsError as error:
            self._stop_with(error)
        except Exception as error:
            failure = AgentError(self.agent.name, self.agent.topic, self.partition, error)
            failure.__cause__ = error
            self._stop_with(failure)

    async def _run_function(self) -> None:
        """One call of the agent's function; returns when that returns."""
        stream = AgentStream(self)
        if not self.agent.yields:
            await self.agent.function(stream)
            return
        async for result in self.agent.function(stream):
            if not self._in_event:
                raise RuntimeError("it yields before it has taken an event")
            try:  # now, as it may be changed in place later
                self._yielded.append(self._encode(result))
            except Exception as error:
                self._unwritable = self._unwritable or error

    def _take_row(self) -> None:
        """Takes the next waiting row in hand, if there is one and it can be read."""
        if self._rows_waiting == 0:
            self._ready.clear()
            return
        self._index += 1
        self._rows_waiting -= 1
        error = self._runs[0].failed.get(self._index)
        if error is None:
            self._in_event = True
            EVENT.set(self.finished)
        else:
            self._fail_event("deserialization", error)

    def _end_event(self) -> None:
        """The event in hand has finished: its write set joins, all of it or nothing."""
        if not self._in_event:
            return
        if self._unwritable is not None:
            self._fail_event("production", self._unwritable)
            return
        columns = self._runs[0].columns
        timestamp = columns.timestamps[self._index]
        for write_set in self._sets.values():
            write_set.join(timestamp)
        for key, value in self._yielded:
            self._sends.keys.append(key)
            self._sends.values.append(value)
            self._sends.timestamps.append(timestamp)
        self._leave_event()

    def _encode(self, result: Any) -> tuple[bytes | None, bytes | None]:
        sink = self.agent.sink
        assert sink is not None
        key, value = result if type(result) is Keyed else (self.key(), result)
        return (
            None if key is None else sink.key.serialize(key),
            None if value is None else sink.value.serialize(value),
        )

    def _fail_event(self, kind: FailureKind, error: Exception) -> None:
        """The event in hand goes the way of its policy, without its write set."""
        run = self._runs[0]
        for write_set in self._sets.values():
            write_set.discard()
        raw = run.record(self._index, run.columns.keys, run.columns.values)
        try:
            self._report(kind, self._path, raw, error)
        except Exception as failure:
            self._stop_with(failure)
        else:
            self._leave_event()

    def _stop_with(self, error: Exception) -> None:
        """Stops the instance for good. Not by raising it: the agent's own code might catch it."""
        self.error = error
        self._in_event = False
        assert self._task is not None
        self._task.cancel()
        self._wake()

    def _leave_event(self) -> None:
        self._in_event = False
        self._yielded.clear()
        self._unwritable = None
        self.finished += 1
        columns = self._runs[0].columns
        self.position = columns.offsets[self._index] + 1
        if self._index == len(columns.offsets) - 1:
            self.position = columns.next_offset
            self._runs.popleft()
            self._index = -1
        self._wake()
