"""The engine by itself: what it wants, what a round does, commit, abort, drain."""

from __future__ import annotations

from typing import Any

import pytest

from processors import App
from processors.errors import ProcessingError
from processors.runtime.engine import Engine
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.topology.partitioning import choose_partitions
from streamlog.client.contract import FetchedColumns, TopicPartition
from streamlog.partitioner import partition_for

REPARTITION = "wc-words-repartition"


def word_count(emit: Any = "latest") -> App:
    app = App("wc")
    words = app.stream("lines", value=str).flat_map(str.split)
    counts = words.group_by(lambda word: word, name="words").count(name="counts", emit=emit)
    counts.to_stream().to("out")
    return app


def make_engine(
    app: App, partitions: int = 2, *, cache_bytes: int = 1 << 20, **options: Any
) -> Engine:
    application = app.plan()
    topics = {source.topic: partitions for source in application.topology.sources}
    plan = choose_partitions(application.topology, topics)
    stores = {
        (spec.name, partition): KeyValueState(
            spec.name,
            spec.key,
            spec.value,
            MemoryStore(),
            TopicPartition(spec.changelog, partition),
            cache_bytes,
        )
        for spec in plan.stores
        for partition in range(spec.partitions)
    }
    return Engine(plan, stores, policies=application.policies, **options)


def lines(
    partition: int, *rows: tuple[str, int], start: int = 0, next_offset: int | None = None
) -> FetchedColumns:
    """Rows of `lines` as (value, timestamp), from an offset on."""
    offsets = list(range(start, start + len(rows)))
    return FetchedColumns(
        topic="lines",
        partition=partition,
        keys=[None] * len(rows),
        values=[value.encode() for value, _ in rows],
        timestamps=[timestamp for _, timestamp in rows],
        offsets=offsets,
        headers=None,
        next_offset=start + len(rows) if next_offset is None else next_offset,
    )


def drained(engine: Engine, chunk_size: int = 100) -> int:
    total = 0
    while count := engine.run_round(chunk_size):
        total += count
    return total


def rows_of(engine: Engine, topic: str) -> list[tuple[bytes | None, bytes | None, int]]:
    output = engine.take_outputs().get((topic, None))
    if output is None:
        return []
    return list(zip(output.keys, output.values, output.timestamps, strict=True))


def long(number: int) -> bytes:
    return number.to_bytes(8)


def test_it_wants_every_source_that_has_nothing_waiting() -> None:
    engine = make_engine(word_count())
    assert engine.sources == engine.wants() == [("lines", 0), ("lines", 1)]
    engine.feed(lines(1, ("a", 1)))
    assert engine.wants() == [("lines", 0)]
    assert engine.buffered_rows() == 1


def test_a_round_ends_where_a_fetched_run_ends() -> None:
    engine = make_engine(word_count())
    engine.feed(lines(0, ("a", 1), ("a", 9)))
    engine.feed(lines(1, ("b", 2)))
    assert engine.run_round(100) == 2
    assert engine.wants() == [("lines", 1)]
    engine.feed(lines(1, ("b", 3), start=1))
    assert engine.run_round(100) == 1


def test_without_input_nothing_runs() -> None:
    engine = make_engine(word_count())
    assert engine.run_round(100) == 0
    engine.flush()
    assert engine.take_outputs() == {}
    assert engine.positions() == {}


def test_a_commit_has_outputs_changelogs_and_positions() -> None:
    engine = make_engine(word_count())
    engine.feed(lines(0, ("to be or not to be", 5)))
    drained(engine)
    assert engine.take_outputs() == {}
    engine.flush()
    assert engine.positions() == {("lines", 0): 1}
    outputs = engine.take_outputs()
    written = dict(zip(outputs["out", None].keys, outputs["out", None].values, strict=True))
    assert written == {b"to": long(2), b"be": long(2), b"or": long(1), b"not": long(1)}
    for partition in range(2):
        changelog = outputs["wc-counts-changelog", partition]
        for key, value in zip(changelog.keys, changelog.values, strict=True):
            assert key is not None
            assert partition_for(key, 2) == partition
            assert value == written[key]
        assert set(changelog.timestamps) == {5}
    engine.on_committed()


def test_positions_stand_behind_markers_and_aborted_data() -> None:
    engine = make_engine(word_count())
    engine.feed(lines(0, ("a", 1), ("b", 2), next_offset=7))
    engine.feed(lines(1, next_offset=3))
    engine.run_round(1)
    engine.flush()
    assert engine.positions() == {("lines", 0): 1, ("lines", 1): 3}
    engine.on_committed()
    engine.feed(lines(0, next_offset=9))
    drained(engine)
    engine.flush()
    assert engine.positions() == {("lines", 0): 9, ("lines", 1): 3}


def test_the_positions_of_a_flush_do_not_move_with_what_runs_during_the_commit() -> None:
    engine = make_engine(word_count())
    engine.feed(lines(0, ("a", 1), ("b", 2)))
    engine.run_round(1)
    engine.flush()
    engine.run_round(1)
    assert engine.positions() == {("lines", 0): 1}


def test_an_abort_forgets_and_the_same_records_give_the_same_again() -> None:
    engine = make_engine(word_count())
    engine.feed(lines(0, ("a a", 1)))
    drained(engine)
    engine.flush()
    assert rows_of(engine, "out") == [(b"a", long(2), 1)]
    engine.on_committed()
    for _ in range(2):
        engine.feed(lines(0, ("a b", 2), ("a", 3), start=1))
        engine.run_round(1)
        engine.flush()
        engine.run_round(1)
        engine.abort()
        assert engine.buffered_rows() == 0
        assert engine.take_outputs() == {}
    engine.feed(lines(0, ("a b", 2), ("a", 3), start=1))
    drained(engine)
    engine.flush()
    assert sorted(rows_of(engine, "out")) == [(b"a", long(4), 3), (b"b", long(1), 2)]


def test_after_a_failure_an_abort_leaves_nothing_behind() -> None:
    app = App("a")
    checked = app.stream("lines", value=str).map(lambda value: 1 // (value != "bad"))
    checked.group_by(lambda one: "all").count(name="n", emit="every").to_stream().to("out")
    engine = make_engine(app)
    engine.feed(lines(0, ("good", 1), ("bad", 2)))
    with pytest.raises(ProcessingError) as caught:
        drained(engine)
    error = caught.value
    assert (error.operator, error.topic, error.partition, error.offset) == (
        "lines.map", "lines", 0, 1,
    )  # fmt: skip
    assert isinstance(error.__cause__, ZeroDivisionError)
    engine.abort()
    engine.feed(lines(0, ("good", 1)))
    drained(engine)
    engine.flush()
    assert rows_of(engine, "out") == [(b"all", long(1), 1)]


@pytest.mark.parametrize("chunk_size", [1, 100])
def test_what_an_earlier_run_left_in_an_exchange_is_drained_first(chunk_size: int) -> None:
    ends = {TopicPartition(REPARTITION, 0): 2, TopicPartition(REPARTITION, 1): 5}
    engine = make_engine(word_count("every"), drain=ends)
    assert engine.is_draining
    assert engine.wants() == list(ends)
    words: dict[int, list[bytes]] = {0: [], 1: []}
    for number in range(20):
        word = f"w{number}".encode()
        words[partition_for(word, 2)].append(word)
    for partition, end in ((0, 2), (1, 4)):
        found = words[partition][:end]
        engine.feed(
            FetchedColumns(
                topic=REPARTITION,
                partition=partition,
                keys=list(found),
                values=[b""] * end,
                timestamps=[90] * end,
                offsets=list(range(end)),
                headers=None,
                next_offset=end,
            )
        )
    drained(engine, chunk_size)
    assert engine.wants() == [(REPARTITION, 1)]
    left = FetchedColumns(REPARTITION, 1, [], [], [], [], None, 5)
    engine.feed(left)
    assert not engine.is_draining
    assert engine.wants() == [("lines", 0), ("lines", 1)]
    engine.feed(lines(0, (words[0][0].decode(), 1)))
    drained(engine, chunk_size)
    engine.flush()
    assert engine.positions() == {**ends, ("lines", 0): 1}
    assert rows_of(engine, "out")[-1] == (words[0][0], long(2), 90)
    engine.on_committed()
    engine.feed(lines(0, ("x", 1), start=1))
    drained(engine, chunk_size)
    engine.abort()
    assert not engine.is_draining


def test_an_exchange_through_the_topic_runs_after_it_was_read_back() -> None:
    engine = make_engine(word_count(), exchange="topic")
    assert engine.sources == [("lines", 0), ("lines", 1), (REPARTITION, 0), (REPARTITION, 1)]
    engine.feed(lines(0, ("b a b", 5)))
    drained(engine)
    engine.flush()
    outputs = engine.take_outputs()
    assert set(outputs) == {(REPARTITION, None)}
    assert outputs[REPARTITION, None].keys == [b"b", b"a", b"b"]
    assert outputs[REPARTITION, None].values == [b"", b"", b""]


def test_a_failure_of_a_flushed_row_names_the_changelog() -> None:
    app = App("a")
    counts = app.stream("lines", value=str).group_by(str.strip, name="g").count(name="n")
    counts.to_stream().map(lambda count: 1 // (count - 1)).to("out")
    engine = make_engine(app, 1)
    engine.feed(lines(0, ("a", 1), ("a", 2), ("b", 3)))
    drained(engine)
    with pytest.raises(ProcessingError) as caught:
        engine.flush()
    error = caught.value
    assert (error.topic, error.partition, error.offset, error.key) == (
        "a-n-changelog",
        0,
        None,
        b"b",
    )
    assert "with key 'b'" in str(error)


def test_keys_that_do_not_fit_into_memory_ask_for_a_commit() -> None:
    engine = make_engine(word_count(), cache_bytes=1)
    assert not engine.must_commit()
    engine.feed(lines(0, *((f"w{number}", number) for number in range(50))))
    drained(engine)
    assert engine.must_commit()
