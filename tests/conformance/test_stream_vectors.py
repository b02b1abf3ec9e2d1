"""Every operator answers what Kafka Streams answers, record by record.

Each line of vectors/streams.jsonl is a scenario: a topology with its parameters, the records that
went in, and what has to come out after each of them. The topologies are built as a user builds
them. Each scenario runs record by record over memory and over RocksDB with empty caches, in chunks
of 7 and 4,096 records, where the concatenation of the outputs is compared, and through restarts,
which drop the state and restore it from the changelogs: before three of the records, chosen by
hash, or before every one (`--all-restarts`).
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import pytest

import processors
from processors import App
from processors.state.cached import range_end
from processors.state.rocksdb import RocksDB
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from processors.state.byte_store import ByteStore

VECTORS = Path(__file__).parents[1] / "vectors" / "streams.jsonl"
SCENARIOS = [json.loads(line) for line in VECTORS.read_text().splitlines()]

Row = tuple[str | None, str | None, int]


# The topologies, by their names in the file.


def agg(app: App, scenario: dict[str, Any]) -> Any:
    grouped = app.stream("L", value=str).group_by_key()
    return grouped.aggregate("", concatenate, value=str, emit="every").to_stream()


def reduce(app: App, scenario: dict[str, Any]) -> Any:
    grouped = app.stream("L", value=str).group_by_key()
    return grouped.reduce(concatenate, emit="every").to_stream()


def cogroup(app: App, scenario: dict[str, Any]) -> Any:
    left = app.stream("L", value=str).group_by_key()
    right = app.stream("R", value=str).group_by_key()
    both = left.cogroup(
        lambda so_far, value: f"{so_far}L{value}",
        (right, lambda so_far, value: f"{so_far}R{value}"),
    )
    return both.aggregate("", value=str, emit="every").to_stream()


def tagg(app: App, scenario: dict[str, Any]) -> Any:
    items = app.table("L", value=str, emit="every").items()
    grouped = items.group_by(
        lambda item: item[1][:1], select=lambda item: item[0] + item[1][1:], value=str
    )
    table = grouped.aggregate(
        "",
        lambda so_far, value: f"{so_far}+{value}",
        remove=lambda so_far, value: f"{so_far}-{value}",
        value=str,
        emit="every",
    )
    return table.to_stream()


def table(app: App, scenario: dict[str, Any]) -> Any:
    made = app.table("L", value=str, emit="every")
    if scenario.get("filter"):
        made = made.filter(lambda value: not value.startswith("x"))
    if "suppress_ms" in scenario:
        most = scenario.get("suppress_max")
        made = made.suppress(until=scenario["suppress_ms"], max_records=most, full="emit")
    return made.to_stream()


def window(app: App, scenario: dict[str, Any]) -> Any:
    size, advance, grace = scenario["size"], scenario["advance"], scenario["grace"]
    if size == advance:
        windows = processors.Tumbling(size, grace=grace)
    else:
        windows = processors.Hopping(size, advance=advance, grace=grace)
    return windowed(app, windows, scenario)


def session(app: App, scenario: dict[str, Any]) -> Any:
    return windowed(app, processors.Session(scenario["gap"], grace=scenario["grace"]), scenario)


def sliding(app: App, scenario: dict[str, Any]) -> Any:
    return windowed(app, processors.Sliding(scenario["size"], grace=scenario["grace"]), scenario)


def ss(app: App, scenario: dict[str, Any]) -> Any:
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    return left.join(
        right,
        join,
        before=scenario["before"],
        after=scenario["after"],
        grace=scenario["grace"],
        how=scenario["kind"],
    )


def tt(app: App, scenario: dict[str, Any]) -> Any:
    left = app.table("L", value=str, versioned=history(scenario, "left"), emit="every")
    right = app.table("R", value=str, versioned=history(scenario, "right"), emit="every")
    name = "joined" if scenario.get("materialize") else None
    return left.join(right, join, how=scenario["kind"], name=name).to_stream()


def st(app: App, scenario: dict[str, Any]) -> Any:
    left = app.stream("L", value=str)
    right = app.table("R", value=str, versioned=scenario.get("versioned_ms"))
    return left.join(right, join, how=scenario["kind"], grace=scenario.get("grace"))


def gt(app: App, scenario: dict[str, Any]) -> Any:
    left = app.stream("L", value=str)
    return left.join(app.global_table("R", value=str), join, key=foreign, how=scenario["kind"])


def fk(app: App, scenario: dict[str, Any]) -> Any:
    left = app.table("L", value=str, emit="every")
    right = app.table("R", value=str, emit="every")
    return left.join(right, join, foreign_key=foreign, how=scenario["kind"]).to_stream()


BUILD: Final[dict[str, Callable[[App, dict[str, Any]], Any]]] = {
    made.__name__: made
    for made in (agg, reduce, cogroup, tagg, table, window, session, sliding, ss, tt, st, gt, fk)
}


def windowed(app: App, windows: Any, scenario: dict[str, Any]) -> Any:
    grouped = app.stream("L", value=str).group_by_key().windowed_by(windows)
    emit = "final" if scenario.get("emit") == "close" else "every"
    made = grouped.aggregate("", concatenate, merge=concatenate, value=str, emit=emit)
    if scenario.get("suppress") == "window-close":
        made = made.suppress(until="window_close")
    items = made.to_stream().items()
    keyed = items.map_key(lambda item: f"{item[0].key}@[{item[0].start},{item[0].end}]")
    return keyed.map(lambda item: item[1])


def concatenate(so_far: str, value: str) -> str:
    return so_far + value


def join(left: str | None, right: str | None) -> str:
    return f"{left or 'null'}-{right or 'null'}"


def foreign(value: str) -> str | None:
    _, bar, key = value.partition("|")
    return key if bar else None


def history(scenario: dict[str, Any], side: str) -> int | None:
    kept = scenario.get(f"{side}_versioned_ms", -1)
    return None if kept < 0 else kept


# The runs.


class OneFamily:
    """The stores of all scenarios in one column family, told apart by a prefix each.

    To open a database, or a family of it, takes longer than a scenario.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._made = count()

    def store(self, name: str) -> ByteStore:
        return Prefixed(self._store, next(self._made).to_bytes(4, "big"))

    def drop(self, name: str) -> None:
        """A dropped store's prefix is not used again."""

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Prefixed:
    def __init__(self, store: Any, prefix: bytes) -> None:
        self._store = store
        self._prefix = prefix

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._store.get_many([self._prefix + key for key in keys])

    def write(self, items: Iterable[tuple[bytes, bytes | None]], position: Any) -> None:
        self._store.write([(self._prefix + key, value) for key, value in items], position)

    def range(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        first = self._prefix + (start or b"")
        last = range_end(self._prefix) if end is None else self._prefix + end
        for key, value in self._store.range(first, last):
            yield key[len(self._prefix) :], value

    def position(self) -> Any:
        return self._store.position()

    def flush(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def rocksdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneFamily]:
    database = RocksDB(tmp_path_factory.mktemp("vectors"))
    yield OneFamily(database.store("all"))
    database.close()


def start(scenario: dict[str, Any], **options: Any) -> TopologyTestDriver:
    app = App("vectors")
    BUILD[scenario["topology"]](app, scenario).to("out", value=str)
    return TopologyTestDriver(app, **options)


def check_each(driver: TopologyTestDriver, scenario: dict[str, Any], restarts: set[int]) -> None:
    """Pipes one record after the other and compares what comes out after each."""
    steps = zip(scenario["inputs"], scenario["expected"], strict=True)
    for number, ((topic, key, value, timestamp), expected) in enumerate(steps):
        if number in restarts:
            driver.restart()
        driver.pipe(topic, value, key=key, timestamp=timestamp)
        found = [[record.key, record.value, record.timestamp] for record in driver.records("out")]
        assert found == expected, f"after input {number}: {scenario['inputs'][number]}"


def every(scenarios: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario["name"])


def test_all_scenarios_run() -> None:
    assert len(SCENARIOS) == 766
    assert {scenario["topology"] for scenario in SCENARIOS} == set(BUILD)


@every(SCENARIOS)
def test_each_record_gives_what_is_expected(scenario: dict[str, Any]) -> None:
    check_each(start(scenario), scenario, set())


@every(SCENARIOS)
def test_each_record_gives_what_is_expected_over_rocksdb(
    scenario: dict[str, Any], rocksdb: OneFamily
) -> None:
    with start(scenario, state=rocksdb, cache_bytes=0) as driver:
        check_each(driver, scenario, set())


@pytest.mark.parametrize("size", [7, 4_096])
@every(SCENARIOS)
def test_chunks_give_the_same_outputs(scenario: dict[str, Any], size: int) -> None:
    driver = start(scenario, commit_every=size, chunk_size=size)
    for topic, key, value, timestamp in scenario["inputs"]:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    driver.assert_output("out", [tuple(row) for rows in scenario["expected"] for row in rows])


@every(SCENARIOS)
def test_restarts_change_nothing(scenario: dict[str, Any], request: pytest.FixtureRequest) -> None:
    places = range(len(scenario["inputs"]))
    if request.config.getoption("--all-restarts"):
        restarts = set(places)
    else:
        by_hash = sorted(places, key=lambda place: crc32(f"{scenario['name']}:{place}".encode()))
        restarts = set(by_hash[:3])
    check_each(start(scenario), scenario, restarts)
