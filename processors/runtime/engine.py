"""The engine: runs the tasks of a topology over what was fetched. Synchronous and pure.

Work goes in rounds. A round takes the next records in one order over all sources of all tasks, each
with a ticket, and runs them through the tasks level by level; what a task sends to another arrives
in the same round, at the next level, and inputs come together by ticket. So the end of a level is
the mark that its outputs are complete for the round, and how many records a round has changes
nothing about what comes out.

    feed ─> intake ─ round ─> level 0 ─ exchange ─> level 1 ─ ... ─> outbox ─> take_outputs
                                                      │
                                  flush, at a commit ─┘

A commit is `flush` (what stores held back runs down the graph in one pass), `positions` and
`take_outputs`, all for one transaction, and then `on_committed` or `abort`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from processors.operators.chunk import Chunk, join_chunks, merge_chunks
from processors.operators.map_async import MapAsyncOperator
from processors.operators.operator import Operator
from processors.operators.sink import MAX_MESSAGE_BYTES
from processors.runtime.build.endpoint import build_source
from processors.runtime.build.place import Parts
from processors.runtime.build.task import build_task
from processors.runtime.exchange import Exchange
from processors.runtime.intake import Intake
from processors.runtime.origins import Origins
from processors.runtime.outbox import Address, Output, RoundOutbox
from processors.runtime.policies import ErrorPolicies, FailureHandler
from processors.runtime.source_states import SourceStates
from processors.runtime.timekeeper import Timekeeper
from processors.state.budget import CacheBudget
from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.exchange import ExchangeNode
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from processors.operators.map_async import Caller
    from processors.runtime.round import Round
    from processors.runtime.task import Stage, Step, Task
    from processors.state.state import State
    from processors.topology.nodes.map_async import MapAsyncNode
    from processors.topology.nodes.node import Node
    from processors.topology.partitioning import PartitionedTopology
    from processors.topology.subtopology import Entry, SubTopology
    from streamlog.client.contract import FetchedColumns

ExchangeMode = Literal["memory", "topic"]


class Engine:
    """Runs all tasks of one application in one process. Owned by one thread.

    Args:
        plan: The topology and its partition counts.
        stores: By store name and partition, restored. The engine flushes and trims them.
        policies: What to do with records that fail.
        exchange: Whether rows that change tasks stay in memory or go through the repartition topic,
            where they run after the next commit: a switch for tests.
        drain: Repartition partitions that hold rows of an earlier run, and the offsets of their
            ends. They are wanted before all else, until they have been read.
        preload: Partitions of global tables, and the offsets of their ends: likewise, and they are
            read on behind it.
        max_bytes: The largest batch that a topic takes, as it is configured.
        partition_count: The partitions of a topic, None where there is no such topic; without it,
            those with which the sinks' topics are made.
        now_ms: The wall clock, for sources that take it where a record has no timestamp.
        caller: What calls the function of an asynchronous operator.

    Attributes:
        failures: Counts what the policies have skipped.
        records_in, records_out: Rows taken from sources and given to sinks since the start.
        effects_of_time: How many ticks left something to commit.
        effects_of_answers: How often answers from outside were taken.
    """

    def __init__(
        self,
        plan: PartitionedTopology,
        stores: Mapping[tuple[str, int], State],
        *,
        policies: ErrorPolicies | None = None,
        exchange: ExchangeMode = "memory",
        drain: Mapping[TopicPartition, int] | None = None,
        preload: Mapping[TopicPartition, int] | None = None,
        max_bytes: Callable[[str], int] = lambda _: MAX_MESSAGE_BYTES,
        partition_count: Callable[[str], int | None] | None = None,
        now_ms: Callable[[], int] = lambda: 0,
        caller: Callable[[MapAsyncNode], Caller] | None = None,
    ) -> None:
        policies = policies or ErrorPolicies()
        self.failures = FailureHandler(policies)
        self.records_in = 0
        self.effects_of_time = 0
        self.effects_of_answers = 0
        self._plan = plan
        self._stores = dict(stores)
        self._budget = CacheBudget(self._stores.values())
        self._next_ticket = 0
        self._outbox = RoundOutbox()
        self._origins = Origins(self.failures, policies, self._outbox, plan.topology.places)
        self._exchanges = _make_exchanges(plan)
        parts = Parts(
            plan=plan,
            stores=self._stores,
            exchanges=self._exchanges,
            failures=self._origins,
            outbox=self._outbox,
            coordinates=self._origins.coordinates,
            through_topic=exchange == "topic",
            max_bytes=max_bytes,
            partition_count=partition_count or plan.sink_topics.get,
            caller=caller or _no_caller,
        )
        self._tasks = [build_task(sub, partitions, parts) for sub, partitions in _tasks(plan)]
        self._stages = sorted(
            ((task, stage) for task in self._tasks for stage in task.stages),
            key=lambda item: (item[1].level, not item[0].subtopology.is_everywhere),
        )
        self._asking = [
            step.operator
            for _, stage in self._stages
            for step in stage.steps
            if isinstance(step.operator, MapAsyncOperator)
        ]
        self._time = Timekeeper(plan, self._stores, self._stages, through_topic=exchange == "topic")
        self._entries = {entry: build_source(entry, parts) for entry in plan.partitions}
        self._source_states = SourceStates(plan, self._stores, now_ms)
        self._local = {source.topic for source in plan.topology.sources if not source.in_log}
        self._source_numbers: dict[tuple[Entry, int], int] = {}
        # Through the topic, its rows never end, and there is nothing to be read before them.
        drained = dict(drain or {}) if exchange == "memory" else {}
        sources = self._choose_sources(exchange, drained)
        self._intake = Intake(sources, drained, dict(preload or {}))
        self._read = [source for source in sources if source.topic not in self._local]
        self._flushed_positions: dict[TopicPartition, int] = {}

    # Input.

    @property
    def sources(self) -> list[TopicPartition]:
        """The partitions to read from topics."""
        return self._read

    @property
    def all_sources(self) -> list[TopicPartition]:
        """As `sources`, with those that stand for what is in this process."""
        return [buffer.topic_partition for buffer in self._intake.buffers]

    def kept_position(self, topic: str) -> int:
        """How many rows of an iterable are committed."""
        return self._source_states.position(topic)

    def feed(self, columns: FetchedColumns) -> None:
        """Takes the next fetched run of a source partition."""
        reader = self._source_states.readers.get(columns.topic)
        if reader is not None:
            reader.read(columns)
        self._intake.feed(columns)

    def wants(self) -> list[TopicPartition]:
        """The source partitions that have nothing waiting.

        Whoever runs a round while one of these has more in its topic gives up the order by
        timestamp between it and the others.
        """
        return self._intake.wants()

    @property
    def is_draining(self) -> bool:
        """Whether rows of an earlier run still come from repartition topics."""
        return self._intake.is_draining()

    def buffered_rows(self) -> int:
        return self._intake.rows()

    def run_round(self, max_records: int, arrivals: Sequence[TopicPartition] | None = None) -> int:
        """Runs the next records, at most `max_records`; returns how many, 0 if none waits.

        Args:
            arrivals: The source of each of the next records, where they are to run in a given order
                and not in that of their timestamps.

        Raises:
            RecordError: a record failed and the policy is to fail. Only `abort` is left then.
        """
        taken = self._intake.next_round(self._next_ticket, max_records, arrivals)
        if taken is None:
            return 0
        current, active = taken
        self._next_ticket += len(current)
        self._origins.round = current
        number_in_round = {number: place for place, number in enumerate(active)}
        for task, stage in self._stages:
            task.run(stage, self._inputs(task, stage, current, number_in_round))
        self._end_round()
        self.records_in += len(current)
        self._budget.trim()
        return len(current)

    @property
    def goes_by_clock(self) -> bool:
        """Whether an operator wants to know the time."""
        return any(
            type(step.operator).tick is not Operator.tick
            for _, stage in self._stages
            for step in stage.steps
        )

    def tick(self, now_ms: int) -> None:
        """Runs what is due by the wall clock, in a round of its own."""
        before = self._next_ticket
        self._ask(lambda _, step, next_ticket: step.operator.tick(now_ms, next_ticket))
        if self._next_ticket > before or self._has_dirty():
            self.effects_of_time += 1

    @property
    def keeps_time(self) -> bool:
        """Whether time goes on without records somewhere."""
        return self._time.is_needed

    def look_at_sources(self, now_ms: int, at_end: Collection[TopicPartition]) -> None:
        """Sees which sources are quiet.

        Args:
            at_end: Those that have been read to their ends since the start, with nothing waiting.
        """
        self._time.look(now_ms, at_end, self._intake.positions())

    def find_due(self, now_ms: int) -> bool:
        """Whether something becomes of the time that has passed; then a commit is due."""
        is_due = self._time.find_due(now_ms)
        self.effects_of_time += is_due
        return is_due

    # What waits for something outside.

    @property
    def rows_waiting(self) -> int:
        """How many rows wait for answers, in memory and in stores."""
        return sum(operator.rows_waiting for operator in self._asking)

    @property
    def is_congested(self) -> bool:
        """Whether so much waits for answers that no further round should run."""
        return any(operator.is_congested for operator in self._asking)

    @property
    def has_answers(self) -> bool:
        return any(operator.has_answers for operator in self._asking)

    def take_answers(self) -> None:
        """Runs what has been answered down the graph, in a round of its own."""

        def answers(_: Task, step: Step, next_ticket: int) -> Chunk | None:
            operator = step.operator
            is_asking = isinstance(operator, MapAsyncOperator)
            return operator.answers(next_ticket) if is_asking else None

        self._ask(answers)
        self.effects_of_answers += 1

    # The commit.

    def must_commit(self) -> bool:
        """Whether what is not committed fills a store's memory."""
        return self._budget.is_full()

    def flush(self) -> None:
        """Runs what the stores held back down the graph; afterwards nothing waits anywhere.

        Once a commit: what is flushed stays `committing` until `on_committed` or `abort`.
        """
        self._time.begin_flush()
        self._ask(self._time.advance, lambda _, step, next_ticket: step.operator.flush(next_ticket))
        self._time.end_flush()
        self._flushed_positions = self._intake.positions()
        self._source_states.keep(self._flushed_positions)
        assert not self._has_dirty()
        for (store, _), state in self._stores.items():
            if state.changelog is not None and store not in self._plan.reused:
                self._outbox.add_columns(state.changelog, *state.committing_records())

    def positions(self) -> dict[TopicPartition, int]:
        """The offsets to commit with the last `flush`, of every topic that has ever moved."""
        if not self._local:
            return self._flushed_positions
        flushed = self._flushed_positions
        return {at: offset for at, offset in flushed.items() if at.topic not in self._local}

    def local_positions(self) -> dict[str, int]:
        """As `positions`, of what is in this process."""
        flushed = self._flushed_positions
        return {at.topic: offset for at, offset in flushed.items() if at.topic in self._local}

    def take_outputs(self) -> dict[Address, Output]:
        """What has to be written since the last call, by topic and partition.

        Sinks and dead letters have partition None: the key chooses it. Changelog rows, which come
        with `flush`, name theirs.
        """
        return self._outbox.take()

    @property
    def waiting_bytes(self) -> int:
        """About how much `take_outputs` would give."""
        return self._outbox.waiting_bytes

    @property
    def rows_exchanged(self) -> dict[str, int]:
        """Rows that were handed over in memory since the start, by the grouping's path."""
        return {node.path: exchange.rows for node, exchange in self._exchanges.items()}

    @property
    def late_records(self) -> dict[str, int]:
        """Records that came too late for all of their windows since the start, by operator."""
        late: dict[str, int] = {}
        for task in self._tasks:
            for stage in task.stages:
                for step in stage.steps:
                    operator = step.operator
                    if operator.late_records:
                        late[operator.path] = late.get(operator.path, 0) + operator.late_records
        return late

    @property
    def records_out(self) -> int:
        return self._outbox.rows_of_sinks

    def on_committed(self) -> None:
        """The transaction of the last `flush` is durable."""
        self._intake.committed = self._flushed_positions
        self._time.on_committed()
        for state in self._stores.values():
            state.on_committed()

    def abort(self) -> None:
        """Forgets everything since the last commit, what was fed included: seek back and feed."""
        self._intake.clear()
        self._source_states.clear()
        self._outbox.clear()
        self._origins.clear()
        for exchange in self._exchanges.values():
            exchange.clear()
        for task in self._tasks:
            task.end_round()
        for state in self._stores.values():
            state.on_aborted()
        self._time.clear()

    def _has_dirty(self) -> bool:
        return any(state.has_dirty() for state in self._stores.values())

    # Inside a round.

    def _choose_sources(
        self, exchange: ExchangeMode, drain: Mapping[TopicPartition, int]
    ) -> list[TopicPartition]:
        """All source partitions, in the order that breaks ties between equal timestamps."""
        sources: list[TopicPartition] = []
        for sub in self._plan.topology.subtopologies:
            for entry in sub.entries:
                for partition in range(self._plan.partitions[entry]):
                    source = TopicPartition(self._topic(entry), partition)
                    is_read = isinstance(entry, SourceNode) or exchange == "topic"
                    if is_read or source in drain:
                        self._source_numbers[entry, partition] = len(sources)
                        sources.append(source)
        return sources

    def _topic(self, entry: Entry) -> str:
        if isinstance(entry, SourceNode):
            return entry.topic
        return self._plan.topology.repartition_topic(entry)

    def _inputs(
        self, task: Task, stage: Stage, current: Round | None, number_in_round: Mapping[int, int]
    ) -> dict[Node, Chunk]:
        """The rows that wait for a stage of a task: from sources and from exchanges."""
        inputs: dict[Node, Chunk] = {}
        for entry in stage.entries:
            chunks: list[Chunk] = []
            if current is not None:
                chunks.append(self._source_rows(entry, task, current, number_in_round))
            if isinstance(entry, ExchangeNode):
                exchange = self._exchanges[entry]
                chunks.append(exchange.take(task.partitions[0]))
            rows = merge_chunks(chunks)
            if len(rows):
                inputs[entry] = rows
        return inputs

    def _source_rows(
        self, entry: Entry, task: Task, current: Round, number_in_round: Mapping[int, int]
    ) -> Chunk:
        places: list[int] = []
        for partition in task.partitions:
            number = self._source_numbers.get((entry, partition))
            if number is not None and number in number_in_round:
                places.append(number_in_round[number])
        operator = self._entries[entry]
        reads = self._plan.topology.reads[entry]
        rows = current.chunk(places, keys=reads.keys, headers=reads.headers)
        if not len(rows):
            return rows
        made = operator.process(rows)
        if isinstance(entry, SourceNode) and entry.idle_timeout_ms is not None:
            self._time.note(entry, task.partitions[0], made.timestamps)
        return made

    def _ask(self, *questions: Callable[[Task, Step, int], Chunk | None]) -> None:
        """Asks every step for rows of its own and runs them down the graph, in one pass."""

        def ask(task: Task, step: Step) -> Chunk | None:
            given: list[Chunk] = []
            for question in questions:
                rows = question(task, step, self._next_ticket)
                if rows is not None and len(rows):
                    self._next_ticket += len(rows)
                    self._origins.add_given(step.operator, rows)
                    given.append(rows)
            return join_chunks(given) if len(given) > 1 else next(iter(given), None)

        for task, stage in self._stages:
            task.ask(stage, self._inputs(task, stage, None, {}), partial(ask, task))
        self._end_round()

    def _end_round(self) -> None:
        assert all(exchange.is_empty() for exchange in self._exchanges.values())
        for task in self._tasks:
            task.end_round()
        self._origins.end_round()
        self._outbox.end_round()


def _no_caller(node: MapAsyncNode) -> Caller:
    raise LookupError(f"{node.path}: this engine was not told who calls its function")


def _tasks(plan: PartitionedTopology) -> list[tuple[SubTopology, tuple[int, ...]]]:
    """The tasks in the order in which they run, and the partitions that each has."""
    tasks: list[tuple[SubTopology, tuple[int, ...]]] = []
    for sub in plan.topology.subtopologies:
        partitions = range(plan.tasks[sub.index])
        if plan.runs_as_one(sub):
            tasks.append((sub, tuple(partitions)))
        else:
            tasks += [(sub, (partition,)) for partition in partitions]
    return tasks


def _make_exchanges(plan: PartitionedTopology) -> dict[ExchangeNode, Exchange]:
    topology = plan.topology
    return {
        node: Exchange(
            topology.repartition_topic(node),
            topology.reads[node],
            lanes=1 if plan.runs_as_one(sub) else plan.partitions[node],
            null_keys=node.null_keys,
            null_values=node.null_values,
        )
        for sub in topology.subtopologies
        for node in sub.receives
    }
