"""How a topology is run changes nothing of what comes out, whatever the topology.

Random topologies of up to six operators (tests/streams/stream_programs.py) over records with nulls
and times that jump back. With `every`, the output is compared record by record; with `latest`,
where updates between two commits are one, what each key has in the end.
"""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_machine import LogMachine
from one_family import OneFamily
from stream_programs import Composer, TableComposer, build, make_input, make_program

from processors.state.cached import KeyValueState
from processors.state.rocksdb import RocksDB
from processors.testing import TopologyTestDriver
from processors.topology.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream_programs import Row, Word

RECORDS = 40
numbers = count()
TINY, LARGE = 0, 1 << 20
NO_TABLES = ("subscriptions", "processor time")
"""The kinds of stores that have something else than what a key has."""


class Case(NamedTuple):
    program: list[Word]
    rows: list[Row]


class Way(NamedTuple):
    """One way to run a topology.

    Attributes:
        commits: The records behind which there is a commit; there is one at the end, too.
        restarts: The commits behind which the state is lost and restored.
    """

    chunk_size: int = 1
    state: str = "memory"
    cache_bytes: int = LARGE
    rules: tuple[str, ...] = tuple(RULES)
    exchange: str = "memory"
    commits: frozenset[int] = frozenset(range(RECORDS))
    restarts: frozenset[int] = frozenset()


places = st.frozensets(st.integers(0, RECORDS - 1))
ways = st.builds(
    Way,
    chunk_size=st.sampled_from([1, 7, 4_096]),
    state=st.sampled_from(["memory", "rocksdb"]),
    cache_bytes=st.sampled_from([TINY, LARGE]),
    rules=st.sampled_from([(), tuple(RULES), *[(name,) for name in RULES]]),
    commits=places,
    restarts=places,
)


@st.composite
def cases(draw: Any, composer: type[Composer] | None = None) -> Case:
    random = draw(st.randoms(use_true_random=False))
    program = make_program(random, composer) if composer else make_program(random)
    return Case(program, make_input(random, program, RECORDS))


@pytest.fixture(scope="module")
def rocksdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneFamily]:
    database = RocksDB(tmp_path_factory.mktemp("random"))
    yield OneFamily(database.store("all"))
    database.close()


class Ran(NamedTuple):
    """What came out, in order, and what the tables have in the end, by their stores' names.

    A group that has become empty counts 0; with `latest` it may never have been there.
    """

    out: list[tuple[Any, ...]]
    tables: dict[str, dict[Any, Any]]


def run(
    case: Case, way: Way, rocksdb: OneFamily, *, emit: Any = "every", partitions: int = 1
) -> Ran:
    app = build(case.program, emit=emit, optimize=way.rules)
    driver = TopologyTestDriver(
        app,
        partitions=partitions,
        commit_every=RECORDS + 1,
        chunk_size=way.chunk_size,
        exchange=way.exchange,  # type: ignore[arg-type]
        cache_bytes=way.cache_bytes,
        state=rocksdb if way.state == "rocksdb" else "memory",  # type: ignore[arg-type]
    )
    for number, (topic, key, value, timestamp) in enumerate(case.rows):
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        if number in way.commits:
            driver.commit()
            if number in way.restarts:
                driver.restart()
    driver.commit()
    out = driver.records("out") if "out" in driver.topics else []
    return Ran(
        [(each.partition, each.key, each.value, each.timestamp) for each in out],
        {
            spec.name: {key: each for key, each in driver.store(spec.name).items() if each != 0}
            for spec in driver.plan.stores
            if spec.layout == "keyed" and spec.kind not in NO_TABLES
        },
    )


def common(one: Ran, other: Ran) -> list[str]:
    """The stores of both: rules may do with fewer."""
    return [name for name in one.tables if name in other.tables]


def latest(ran: Ran) -> dict[Any, Any]:
    """The values that keys have in the end."""
    last = {key: value for _, key, value, _ in ran.out}
    return {key: value for key, value in last.items() if value is not None}


@given(cases(), ways, st.integers(1, 2))
@settings(max_examples=150, derandomize=True)
def test_no_way_to_run_a_topology_changes_a_record_of_its_output(
    rocksdb: OneFamily, case: Case, way: Way, partitions: int
) -> None:
    expected = run(case, Way(), rocksdb, partitions=partitions)
    found = run(case, way, rocksdb, partitions=partitions)
    assert found.out == expected.out
    for name in common(expected, found):
        assert found.tables[name] == expected.tables[name], name


@given(cases(), ways)
@settings(max_examples=60, derandomize=True)
def test_an_exchange_through_its_topic_changes_no_record_where_each_is_committed(
    rocksdb: OneFamily, case: Case, way: Way
) -> None:
    """With a commit behind each record, nothing of it is on its way when the next one comes."""
    expected = run(case, Way(), rocksdb)
    committing = way._replace(exchange="topic", commits=Way().commits)
    found = run(case, committing, rocksdb)
    assert found.out == expected.out
    for name in common(expected, found):
        assert found.tables[name] == expected.tables[name], name


@given(cases(TableComposer), ways, st.sampled_from(["memory", "topic"]))
@settings(max_examples=80, derandomize=True)
def test_tables_that_give_their_latest_values_come_to_the_same_end(
    rocksdb: OneFamily, case: Case, way: Way, exchange: str
) -> None:
    expected = run(case, Way(), rocksdb)
    found = run(case, way._replace(exchange=exchange), rocksdb, emit="latest")
    assert latest(found) == latest(expected)
    for name in common(expected, found):
        assert found.tables[name] == expected.tables[name], name


# Over a real log: the process dies between two steps, and its state with it.


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogMachine]:
    with LogMachine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@given(cases(), ways, places)
@settings(max_examples=40, derandomize=True)
def test_a_process_that_dies_in_its_transactions_changes_no_record(
    rocksdb: OneFamily, machine: LogMachine, case: Case, way: Way, deaths: frozenset[int]
) -> None:
    expected = run(case, Way(), rocksdb)
    try:
        found = run_over_log(machine, case, way, deaths)
    finally:
        machine.clear()
    assert found.out == expected.out
    for name in common(expected, found):
        assert found.tables[name] == expected.tables[name], name


def run_over_log(machine: LogMachine, case: Case, way: Way, deaths: frozenset[int]) -> Ran:
    """The state is in memory, and lost at each death, with what was not committed."""
    app = build(case.program, f"random-{next(numbers)}", optimize=way.rules)
    life = machine.start(app, chunk_size=way.chunk_size, cache_bytes=way.cache_bytes)
    pending: set[str] = set()
    for number, (topic, key, value, timestamp) in enumerate(case.rows):
        # Records of several topics come in the order of their times if they come again.
        if pending - {topic}:
            life.commit()
            pending.clear()
        machine.send(topic, key, value, timestamp, partition=0)
        machine.flush()
        pending.add(topic)
        life.run()
        if number in way.commits:
            life.commit()
            pending.clear()
        if number in deaths:
            life.send()
            life.restart()
            life.run()
    life.work()
    keyed = {
        name for (name, _), state in life.stores.states.items() if isinstance(state, KeyValueState)
    }
    return Ran(
        [(each.partition, each.key, each.value, each.timestamp) for each in machine.read("out")],
        {
            name: {key: each for key, each in life.values(name).items() if each != 0}
            for name in keyed
        },
    )


# Compiled or not.

DIGEST = "d10739dec7e828729696bea091cced1a37109e15508d00563f379dd98ec6d7d9"
"""Of what 60 topologies give. It may change with what they mean, and with nothing else."""


def test_compiled_and_not_topologies_give_the_same(rocksdb: OneFamily) -> None:
    digest = sha256()
    for seed in range(60):
        random = Random(seed)
        program = make_program(random)
        case = Case(program, make_input(random, program, RECORDS))
        ran = run(case, Way(chunk_size=7, commits=frozenset(range(0, RECORDS, 9))), rocksdb)
        digest.update(json.dumps([program, ran.out]).encode())
    assert digest.hexdigest() == DIGEST
