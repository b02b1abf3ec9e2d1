"""Windows computed from their definition over the whole input give what the operators give.

The definitions know nothing of states, chunks or closing: they look at all records at once. What
is compared is each final result with the record that closed its window, in order, and which
records are late; and what every update was. The operators run in chunks of one record and of
several, with caches that forget and restarts in between.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App, Hopping, Tumbling
from processors.testing import TopologyTestDriver

Row = tuple[str | None, str | None, int]
Result = tuple[tuple[str, int, int], str, int]

rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["x", "y", "z", None]),
        st.integers(0, 60),
    ),
    max_size=30,
)
"""Keys and values with nulls, times out of order."""

END: Row = ("zz", "end", 10_000)
"""A record that closes every window before it, and is in no result that is looked at."""


def counted(records: list[Row]) -> list[tuple[int, str, str, int, int]]:
    """What is not skipped: place, key, value, timestamp, and stream time behind it."""
    found: list[tuple[int, str, str, int, int]] = []
    stream_time = -1
    for place, (key, value, timestamp) in enumerate(records):
        if key is not None and value is not None:
            stream_time = max(stream_time, timestamp)
            found.append((place, key, value, timestamp, stream_time))
    return found


def fixed_windows(
    records: list[Row], size: int, advance: int, grace: int
) -> tuple[list[tuple[int, Result]], list[int]]:
    """Final results with the place of the record that closed them; and the late records."""
    members: dict[tuple[int, str], list[tuple[str, int]]] = defaultdict(list)
    late: list[int] = []
    taken = counted(records)
    for place, key, value, timestamp, stream_time in taken:
        starts = [s for s in range(0, timestamp + 1, advance) if s <= timestamp < s + size]
        entered = [s for s in starts if s + size > stream_time - grace]
        for start in entered:
            members[start, key].append((value, timestamp))
        if not entered:
            late.append(place)
    closed: list[tuple[int, Result]] = []
    for (start, key), values in members.items():
        at = [place for place, *_, now in taken if start + size <= now - grace]
        if at:
            text = "".join(value for value, _ in values)
            latest = max(timestamp for _, timestamp in values)
            closed.append((at[0], ((key, start, start + size), text, latest)))
    closed.sort(key=lambda row: (row[0], row[1][0][1], row[1][0][0]))
    return closed, late


def concatenate(so_far: str, value: str) -> str:
    return so_far + value


def run(
    records: list[Row],
    window: Any,
    emit: str,
    *,
    chunk: int = 1,
    commit_every: int = 1,
    restart_every: int = 0,
    **options: Any,
) -> tuple[list[Result], list[Result], list[str | None]]:
    """Concatenations, counts, and the values of late records, in order."""
    app = App("a")
    group = app.stream("in", value=str).group_by_key()
    texts = group.windowed_by(window, late_to="late").aggregate(
        "", concatenate, merge=concatenate, value=str, emit=emit
    )
    texts.to_stream().to("texts")
    group.windowed_by(window).count(emit=emit).to_stream().to("counts")
    driver = TopologyTestDriver(app, commit_every=commit_every, chunk_size=chunk, **options)
    for place, (key, value, timestamp) in enumerate(records):
        if restart_every and place % restart_every == restart_every - 1:
            driver.commit()
            driver.restart()
        driver.pipe("in", value, key=key, timestamp=timestamp)
    driver.commit()
    late = [record.value for record in driver.records("late")] if "late" in driver.topics else []
    return read(driver, "texts"), read(driver, "counts"), late


def read(driver: TopologyTestDriver, topic: str) -> list[Any]:
    if topic not in driver.topics:
        return []
    found = driver.records(topic)
    return [((*each.key,), each.value, each.timestamp) for each in found]


def as_counts(results: list[Result]) -> list[Any]:
    return [(key, len(text), timestamp) for key, text, timestamp in results]


@settings(max_examples=150)
@given(rows, st.integers(1, 12), st.integers(1, 12), st.integers(0, 15))
def test_time_windows_are_those_of_the_definition(
    records: list[Row], size: int, advance: int, grace: int
) -> None:
    records = [*records, END]
    advance = min(size, advance)
    window = (
        Tumbling(size, grace=grace)
        if advance == size
        else Hopping(size, advance=advance, grace=grace)
    )
    closed, late = fixed_windows(records, size, advance, grace)
    expected = [result for _, result in closed]
    for options in (
        {"chunk": 1},
        {"chunk": 7, "commit_every": 7},
        {"chunk": 4_096, "commit_every": 4_096},
        {"chunk": 3, "commit_every": 5, "cache_bytes": 0},
        {"restart_every": 4},
    ):
        texts, counts, late_values = run(records, window, "final", **options)
        assert texts == expected
        assert counts == as_counts(expected)
        assert late_values == [records[place][1] for place in late]


@settings(max_examples=50)
@given(rows, st.integers(1, 12), st.integers(1, 12), st.integers(0, 15))
def test_every_update_of_time_windows_builds_up_to_the_definition(
    records: list[Row], size: int, advance: int, grace: int
) -> None:
    advance = min(size, advance)
    window = Hopping(size, advance=advance, grace=grace)
    every, counts, _ = run(records, window, "every")
    assert counts == as_counts(every)
    for options in ({"chunk": 7, "commit_every": 7}, {"restart_every": 3, "cache_bytes": 0}):
        assert run(records, window, "every", **options)[:2] == (every, counts)
    last = {key: (value, timestamp) for key, value, timestamp in every}
    closed, _ = fixed_windows([*records, END], size, advance, grace)
    assert last == {key: (value, timestamp) for _, (key, value, timestamp) in closed}
    latest, counts, _ = run(records, window, "latest", commit_every=6, chunk=4)
    assert {key: (value, timestamp) for key, value, timestamp in latest} == last
    assert counts == as_counts(latest)
