"""The size of a round changes nothing: with commits at the same records, the same output topics.

Every application here runs over four partitions with records out of order in time, in rounds of
1, 7 and 4,096 records; each output topic is compared record by record, timestamps and headers too.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from processors import App, CountWindow, Hopping, Session, Sliding, Tumbling
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.client.contract import Headers

RECORDS = 900
COMMIT_EVERY = 250
PARTITIONS = 4
WORDS = [f"w{number}" for number in range(60)]

Piped = tuple[str, str | None, str | None, int, "Headers"]


def scripted_input() -> list[Piped]:
    """Records of two topics: keys and values with nulls, time that jumps back, some headers."""
    rng = random.Random(7)
    rows: list[Piped] = []
    for number in range(RECORDS):
        words = " ".join(rng.choices(WORDS, k=rng.randint(0, 6)))
        rows.append(
            (
                rng.choice(["lines", "lines", "more"]),
                rng.choice([None, "k1", "k2", "k3", "k4", "k5"]),
                None if rng.random() < 0.05 else words,
                max(0, number + rng.randint(-80, 20)),
                [("n", str(number).encode())] if rng.random() < 0.2 else [],
            )
        )
    return rows


INPUT = scripted_input()


def split(line: str | None) -> list[str]:
    return [] if line is None else line.split()


def word_count(app: App, emit: Any) -> None:
    words = app.stream("lines", value=str).merge(app.stream("more", value=str)).flat_map(split)
    counts = words.group_by(lambda word: word).count(name="counts", emit=emit)
    counts.to_stream().to("out")


def counts_of_counts(app: App, emit: Any) -> None:
    words = app.stream("lines", value=str).flat_map(split)
    counts = words.group_by(lambda word: word).count(name="counts", emit=emit).to_stream()
    again = counts.group_by(lambda n: str(n % 5), partitions=3).count(name="again", emit=emit)
    again.to_stream().merge(counts).to("out")


def many_tasks_write_one_partition(app: App, emit: Any) -> None:
    words = app.stream("lines", value=str).flat_map(split)
    counts = words.group_by(lambda word: word).count(name="counts", emit=emit)
    counts.to_stream().items().map_key(lambda item: "all").map(list).to("out", partitions=1)


def branches_meet(app: App, emit: Any) -> None:
    lines = app.stream("lines", value=str)
    upper = lines.filter(lambda line: line).map(str.upper)
    upper.to("out", value=str)
    both = lines.merge(app.stream("more", value=str))
    both.group_by_key().reduce(max, name="longest", emit=emit).to_stream().to("out")
    both.to("out")


def results_that_vanish(app: App, emit: Any) -> None:
    def toggle(seen: list[str], word: str) -> list[str] | None:
        changed = [other for other in seen if other != word]
        return (changed if len(changed) < len(seen) else [*seen, word]) or None

    words = app.stream("lines", value=str).flat_map(split)
    sets = words.group_by(lambda word: word[:2]).aggregate(list, toggle, name="sets", emit=emit)
    sets.to_stream().to("out")


def survivors(app: App, emit: Any) -> None:
    """Failures in two operators: the dead letters come in the order of the records."""

    def second(line: str) -> str:
        return line.split()[1]

    lines = app.stream("lines", value=str)
    keyed = lines.filter(lambda line: len(line) > 1).map_key(second)
    keyed.group_by_key().count(name="counts", emit=emit).to_stream().to("out")


def windows(app: App, emit: Any) -> None:
    lines = app.stream("lines", value=str)
    words = lines.flat_map(split).group_by(lambda word: word[:2])
    tumbling = words.windowed_by(Tumbling(50, grace=30), late_to="late-words")
    tumbling.count(name="tumbling", emit=emit).to_stream().to("out")
    hopping = words.windowed_by(Hopping(60, advance=20, grace=10))
    hopping.reduce(max, value=str, name="hopping", emit=emit).to_stream().to("out")
    sessions = lines.group_by_key().windowed_by(Session(9, grace=20), late_to="late-lines")
    sessions.count(name="sessions", emit=emit).to_stream().to("out")
    sliding = lines.group_by_key().windowed_by(Sliding(15, grace=20))
    sliding.count(name="sliding", emit=emit).to_stream().to("out")
    counted = lines.group_by_key().windowed_by(CountWindow(5, advance=2))
    counted.count(name="counted", emit=emit).to_stream().to("out")


def final_windows(app: App, emit: Any) -> None:
    windows(app, "final")
    lines = app.stream("more", value=str).group_by_key()
    counts = lines.windowed_by(Tumbling(40)).count(emit=emit, name="more-counts")
    counts.suppress("window_close", name="held").to_stream().to("out")
    lines.count(emit=emit, name="all").suppress(30, max_records=3).to_stream().to("out")


APPLICATIONS = {
    build.__name__: build
    for build in (
        word_count,
        counts_of_counts,
        many_tasks_write_one_partition,
        branches_meet,
        results_that_vanish,
        survivors,
        windows,
        final_windows,
    )
}


def run(
    build: Callable[[App, Any], None], emit: str, *, chunk_size: int, exchange: Any = "memory"
) -> dict[str, list[tuple[Any, ...]]]:
    """All topics that the application wrote, record by record."""
    app = App("a", processing="dead_letter")
    build(app, emit)
    driver = TopologyTestDriver(
        app,
        partitions=PARTITIONS,
        commit_every=COMMIT_EVERY,
        chunk_size=chunk_size,
        exchange=exchange,
    )
    read = {source.topic for source in app.plan().topology.sources}
    for topic, key, value, timestamp, headers in INPUT:
        if topic in read:
            driver.pipe(topic, value, key=key, timestamp=timestamp, headers=headers)
    driver.commit()
    written: dict[str, list[tuple[Any, ...]]] = {}
    for topic in sorted(driver.topics - read):
        for record in driver.records(topic, key=bytes, value=bytes):
            shown = [header for header in record.headers if "stacktrace" not in header[0]]
            row = (record.offset, record.timestamp, record.key, record.value, shown)
            written.setdefault(f"{topic}-{record.partition}", []).append(row)
    return written


@pytest.mark.parametrize("emit", ["latest", "every"])
@pytest.mark.parametrize("name", APPLICATIONS)
def test_rounds_of_any_size_give_the_same_output(name: str, emit: str) -> None:
    expected = run(APPLICATIONS[name], emit, chunk_size=1)
    assert any(topic.startswith("out-") for topic in expected)
    assert any("changelog" in topic for topic in expected)
    for chunk_size in (7, 4_096):
        found = run(APPLICATIONS[name], emit, chunk_size=chunk_size)
        assert found.keys() == expected.keys()
        for topic, rows in expected.items():
            assert found[topic] == rows, (topic, chunk_size)


@pytest.mark.parametrize("chunk_size", [1, 7, 4_096])
def test_dead_letters_of_several_operators_come_in_the_order_of_their_records(
    chunk_size: int,
) -> None:
    def fail_for(rest: int) -> Callable[[int], int]:
        return lambda value: value if value % 3 != rest else 1 // 0

    app = App("a", processing="dead_letter")
    app.stream("in", value=int).map(fail_for(1)).map(fail_for(0)).to("out", value=int)
    driver = TopologyTestDriver(app, commit_every=100, chunk_size=chunk_size)
    for number in range(12):
        driver.pipe("in", number)
    driver.commit()
    letters = driver.records("a-dead-letters", value=int)
    assert [letter.value for letter in letters] == [0, 1, 3, 4, 6, 7, 9, 10]
    places = [dict(letter.headers)["__streams.errors.operator"] for letter in letters]
    assert places == [b"in.map.map", b"in.map"] * 4


@pytest.mark.parametrize("emit", ["latest", "every"])
@pytest.mark.parametrize("chunk_size", [7, 4_096])
def test_an_exchange_through_the_topic_gives_the_same_output(emit: str, chunk_size: int) -> None:
    in_memory = run(word_count, emit, chunk_size=chunk_size)
    through_topic = run(word_count, emit, chunk_size=chunk_size, exchange="topic")
    repartition = {topic for topic in through_topic if "repartition" in topic}
    assert len(repartition) == PARTITIONS
    headerless = {
        topic: [row[:4] for row in rows]
        for topic, rows in through_topic.items()
        if topic not in repartition
    }
    assert headerless == {topic: [row[:4] for row in rows] for topic, rows in in_memory.items()}
