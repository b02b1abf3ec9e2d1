"""Any small topology over any input does what a naive interpreter does, record by record.

The interpreter knows nothing of chunks, lanes or caches: it takes one record after the other
through the nodes as they were written, and every aggregate is one dictionary. With `every`, the
output of every sink is compared in order; with `latest`, what each commit gives, which folds that
do not depend on the order of rows make comparable.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from processors import App
from processors.errors import CopartitionError, TopologyError
from processors.testing import TopologyTestDriver
from streamlog.partitioner import partition_for

SOURCES = ("s0", "s1")

Value = int | None

MAPS: dict[str, Any] = {
    "double": lambda v: None if v is None else v * 2 % 1_009,
    "drop_sevens": lambda v: None if v is None or v % 7 == 0 else v,
}
FILTERS: dict[str, Any] = {
    "odd": lambda v: v is not None and v % 2 == 1,
    "all": lambda v: True,
    "none": lambda v: False,
}
FLAT_MAPS: dict[str, Any] = {
    "split": lambda v: [] if v is None else [v, v + 1, None][: v % 4],
    "lazily": lambda v: (n for n in range((v or 0) % 3)),
}
KEYS: dict[str, Any] = {
    "mod3": lambda v: None if v is None else f"m{v % 3}",
    "mod5": lambda v: None if v is None else f"m{v % 5}",
    "one": lambda v: "one",
}
FOLDS: dict[str, Any] = {
    "count": lambda old, v: (old or 0) + 1,
    "sum": lambda old, v: v if old is None else (old + v) % 1_009,
    "max": lambda old, v: v if old is None else max(old, v),
}
ORDERED_FOLDS: dict[str, Any] = {
    **FOLDS,
    "chain": lambda old, v: v if old is None else (old * 3 + v) % 1_009,
    "vanish": lambda old, v: None if old is not None and (old + v) % 3 == 0 else (old or 0) + v,
}


class Instruction(NamedTuple):
    """One node: an operation on earlier streams, which are given by their numbers."""

    operation: str
    argument: str
    inputs: tuple[int, ...]


class Row(NamedTuple):
    key: str | None
    value: Value
    timestamp: int
    task: int


class Piped(NamedTuple):
    topic: str
    key: str | None
    value: Value
    timestamp: int
    partition: int


@dataclass
class Program:
    instructions: list[Instruction]
    folds: dict[str, Any]
    emit: Any
    partitions: int
    exchange_partitions: int | None

    def build(self) -> App:
        """The same program for the real thing; each stream from number 2 on is a node."""
        app = App("p")
        streams: list[Any] = [app.stream(topic, value=int) for topic in SOURCES]
        for number, (operation, argument, inputs) in enumerate(self.instructions, len(SOURCES)):
            stream, name = streams[inputs[0]], f"n{number}"
            match operation:
                case "map":
                    made = stream.map(MAPS[argument], name=name)
                case "filter":
                    made = stream.filter(FILTERS[argument], name=name)
                case "flat_map":
                    made = stream.flat_map(FLAT_MAPS[argument], name=name)
                case "map_key":
                    made = stream.map_key(KEYS[argument], name=name)
                case "merge":
                    made = stream.merge(streams[inputs[1]], name=name)
                case "to":
                    stream.to(f"out{number}", value=int, name=name)
                    made = stream
                case "group_by":
                    key, fold = argument.split(":")
                    grouped = stream.group_by(
                        KEYS[key], value=int, partitions=self.exchange_partitions, name=f"g{number}"
                    )
                    made = self._aggregate(grouped, fold, name)
                case _:
                    grouped = stream.group_by_key(value=int, name=f"g{number}")
                    made = self._aggregate(grouped, argument, name)
            streams.append(made)
        return app

    def _aggregate(self, grouped: Any, fold: str, name: str) -> Any:
        if fold == "count":
            return grouped.count(name=name, emit=self.emit).to_stream()
        if fold == "sum":
            function = self.folds[fold]
            table = grouped.aggregate(int, function, value=int, name=name, emit=self.emit)
            return table.to_stream()
        return grouped.reduce(self.folds[fold], name=name, emit=self.emit).to_stream()


@dataclass
class Interpreter:
    """Runs a program record by record, one dictionary an aggregate."""

    program: Program
    exchanges: dict[int, int]
    """For each node that is an exchange, the number of tasks that receive; others move nothing."""
    states: dict[int, dict[str, tuple[Value, int]]] = field(default_factory=dict)
    dirty: dict[int, list[str]] = field(default_factory=dict)
    written: dict[str, list[Row]] = field(default_factory=dict)

    def run(self, record: Piped) -> None:
        row = Row(record.key, record.value, record.timestamp, record.partition)
        rows: list[list[Row]] = [[row] if record.topic == topic else [] for topic in SOURCES]
        self._run(rows, flush=False)

    def commit(self) -> None:
        self._run([[] for _ in SOURCES], flush=True)

    def _run(self, rows: list[list[Row]], *, flush: bool) -> None:
        for number, instruction in enumerate(self.program.instructions, len(SOURCES)):
            given = [row for source in instruction.inputs for row in rows[source]]
            rows.append(self._node(number, instruction, given, flush=flush))

    def _node(
        self, number: int, instruction: Instruction, rows: list[Row], *, flush: bool
    ) -> list[Row]:
        operation, argument, _ = instruction
        match operation:
            case "map":
                return [row._replace(value=MAPS[argument](row.value)) for row in rows]
            case "filter":
                return [row for row in rows if FILTERS[argument](row.value)]
            case "flat_map":
                return [
                    row._replace(value=value)
                    for row in rows
                    for value in FLAT_MAPS[argument](row.value)
                ]
            case "map_key":
                return [row._replace(key=KEYS[argument](row.value)) for row in rows]
            case "merge":
                return sorted(rows, key=lambda row: row.task)
            case "to":
                in_order = sorted(rows, key=lambda row: row.task)
                self.written.setdefault(f"out{number}", []).extend(in_order)
                return rows
            case _:
                if operation == "group_by":
                    key, argument = argument.split(":")
                    rows = [row._replace(key=KEYS[key](row.value)) for row in rows]
                return self._aggregate(number, argument, rows, flush=flush)

    def _aggregate(self, number: int, fold: str, rows: list[Row], *, flush: bool) -> list[Row]:
        rows = [row for row in rows if row.key is not None and row.value is not None]
        if number in self.exchanges:
            count = self.exchanges[number]
            rows = sorted(rows, key=lambda row: row.task)
            rows = [row._replace(task=partition_for(row.key.encode(), count)) for row in rows]
            rows = sorted(rows, key=lambda row: row.task)
        state = self.states.setdefault(number, {})
        dirty = self.dirty.setdefault(number, [])
        results: list[Row] = []
        for row in rows:
            old, timestamp = state.get(row.key, (None, -1))
            if fold == "sum" and old is None:
                old = 0
            new = self.program.folds[fold](old, row.value)
            latest = row.timestamp if timestamp == -1 else max(timestamp, row.timestamp)
            state[row.key] = (new, latest)
            if new is None:
                del state[row.key]
            results.append(Row(row.key, new, latest, row.task))
            if row.key not in dirty:
                dirty.append(row.key)
        if self.program.emit == "every":
            return results
        if not flush:
            return []
        keys, self.dirty[number] = dirty, []
        return [Row(key, *state[key], 0) for key in keys]


def draw_program(
    draw: Any, folds: dict[str, Any], emit: str, *, exchange_partitions: int | None
) -> Program:
    instructions: list[Instruction] = []
    for number in range(draw(st.integers(2, 8))):
        earlier = st.integers(0, number + len(SOURCES) - 1)
        operation = draw(
            st.sampled_from(
                ["map", "filter", "flat_map", "map_key", "merge", "to", "to"]
                + ["group_by", "group_by_key"] * 2
            )
        )
        choices: dict[str, list[str]] = {
            "map": list(MAPS),
            "filter": list(FILTERS),
            "flat_map": list(FLAT_MAPS),
            "map_key": list(KEYS),
            "group_by": [f"{key}:{fold}" for key in KEYS for fold in folds],
            "group_by_key": list(folds),
        }
        argument = draw(st.sampled_from(choices.get(operation, [""])))
        inputs = (draw(earlier), draw(earlier)) if operation == "merge" else (draw(earlier),)
        assume(len(set(inputs)) == len(inputs))
        instructions.append(Instruction(operation, argument, inputs))
    last = len(instructions) + len(SOURCES) - 1
    instructions.append(Instruction("to", "", (last,)))
    partitions = draw(st.integers(1, 3))
    return Program(instructions, folds, emit, partitions, exchange_partitions)


def draw_input(draw: Any, partitions: int) -> list[Piped]:
    return draw(
        st.lists(
            st.builds(
                Piped,
                st.sampled_from(SOURCES),
                st.sampled_from([None, "m0", "m1", "m2", "other"]),
                st.none() | st.integers(0, 40),
                st.integers(0, 20),
                st.integers(0, partitions - 1),
            ),
            max_size=30,
        )
    )


def in_order(app: App, records: list[Piped]) -> list[Piped]:
    """Lowest timestamp at the head of any source partition, ties in the order of the sources."""
    topics = [source.topic for source in app.plan().topology.sources]
    queues: dict[tuple[int, int], list[Piped]] = {}
    for record in records:
        queues.setdefault((topics.index(record.topic), record.partition), []).append(record)
    order: list[Piped] = []
    while any(queues.values()):
        heads = ((queue[0].timestamp, at) for at, queue in queues.items() if queue)
        order.append(queues[min(heads)[1]].pop(0))
    return order


def exchange_tasks(driver: TopologyTestDriver) -> dict[int, int]:
    plan = driver.plan
    return {
        int(node.path[1:]): 1 if plan.runs_as_one(sub) else plan.partitions[node]
        for sub in plan.topology.subtopologies
        for node in sub.receives
    }


def start(program: Program, **options: Any) -> tuple[App, TopologyTestDriver]:
    try:
        app = program.build()
        return app, TopologyTestDriver(
            app,
            partitions=program.partitions,
            commit_every=10**9,
            order="timestamps",
            **options,
        )
    except (CopartitionError, TopologyError):
        assume(False)
        raise


def pipe(driver: TopologyTestDriver, records: list[Piped]) -> None:
    for topic, key, value, timestamp, partition in records:
        # A key stands in the partition of its hash, as producers put it.
        chosen = partition if key is None else None
        driver.pipe(topic, value, key=key, timestamp=timestamp, partition=chosen)


def placed(program: Program, records: list[Piped]) -> list[Piped]:
    return [
        record
        if record.key is None
        else record._replace(partition=partition_for(record.key.encode(), program.partitions))
        for record in records
    ]


@st.composite
def ordered_runs(draw: Any) -> tuple[Program, list[list[Piped]], int, int]:
    exchange = draw(st.none() | st.integers(1, 3))
    program = draw_program(draw, ORDERED_FOLDS, "every", exchange_partitions=exchange)
    commits = [draw_input(draw, program.partitions) for _ in range(draw(st.integers(1, 3)))]
    return (
        program,
        commits,
        draw(st.sampled_from([1, 2, 7, 100])),
        draw(st.sampled_from([0, 1 << 20])),
    )


@given(ordered_runs())
@settings(max_examples=150)
def test_every_result_comes_where_the_interpreter_gives_it(
    run: tuple[Program, list[list[Piped]], int, int],
) -> None:
    program, commits, chunk_size, cache_bytes = run
    app, driver = start(program, chunk_size=chunk_size, cache_bytes=cache_bytes)
    interpreter = Interpreter(program, exchange_tasks(driver))
    for records in commits:
        pipe(driver, records)
        driver.commit()
        for record in in_order(app, placed(program, records)):
            interpreter.run(record)
    for topic in {f"out{number}" for number in sinks(program)}:
        found = [(record.key, record.value, record.timestamp) for record in driver.records(topic)]
        assert found == [row[:3] for row in interpreter.written.get(topic, [])]
    for number, state in interpreter.states.items():
        assert dict(driver.store(f"n{number}").items()) == {k: v[0] for k, v in state.items()}


@st.composite
def unordered_runs(draw: Any) -> tuple[Program, list[list[Piped]], int]:
    program = draw_program(draw, FOLDS, "latest", exchange_partitions=None)
    commits = [draw_input(draw, program.partitions) for _ in range(draw(st.integers(1, 3)))]
    return program, commits, draw(st.sampled_from([1, 2, 7, 100]))


@given(unordered_runs())
@settings(max_examples=150)
def test_each_commit_gives_the_latest_results_of_the_interpreter(
    run: tuple[Program, list[list[Piped]], int],
) -> None:
    program, commits, chunk_size = run
    app, driver = start(program, chunk_size=chunk_size)
    interpreter = Interpreter(program, exchange_tasks(driver))
    for records in commits:
        pipe(driver, records)
        driver.commit()
        for record in in_order(app, placed(program, records)):
            interpreter.run(record)
        interpreter.commit()
        for topic in {f"out{number}" for number in sinks(program)}:
            found = [(each.key, each.value, each.timestamp) for each in driver.records(topic)]
            expected = [row[:3] for row in interpreter.written.pop(topic, [])]
            assert Counter(found) == Counter(expected)


def sinks(program: Program) -> list[int]:
    return [
        number
        for number, instruction in enumerate(program.instructions, len(SOURCES))
        if instruction.operation == "to"
    ]
