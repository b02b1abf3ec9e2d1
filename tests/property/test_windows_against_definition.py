"""Windows computed from their definition over the whole input give what the operators give.

The definitions know nothing of states, chunks or closing: they look at all records at once. What
is compared is each final result with the record that closed its window, in order, and which
records are late; and what every update was. The operators run in chunks of one record and of
several, with caches that forget and restarts in between.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App, CountWindow, Hopping, Session, Sliding, Tumbling
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

END: Row = ("zz", "e", 10_000)
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


def sessions(records: list[Row], gap: int) -> list[Result]:
    """What hangs together, where nothing is late."""
    times: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for place, key, value, timestamp, _ in counted(records):
        times[key].append((timestamp, place, value))
    found: list[Result] = []
    for key, members in times.items():
        members.sort()
        runs = [[members[0]]]
        for before, member in pairwise(members):
            if member[0] - before[0] > gap:
                runs.append([])
            runs[-1].append(member)
        for run_of in runs:
            text = "".join(sorted(value for *_, value in run_of))
            found.append(((key, run_of[0][0], run_of[-1][0]), text, run_of[-1][0]))
    return sorted(found, key=lambda row: (row[0][2], row[0][1], row[0][0]))


class NaiveSessions:
    """The rule as it is written, over a list that is never cleaned up."""

    def __init__(self, records: list[Row], gap: int, grace: int) -> None:
        self.every: list[Any] = []
        self.final: list[Any] = []
        self.late: list[str] = []
        known: list[tuple[int, int, str, str]] = []  # end, start, key, text
        swept = -(10**9)
        for _, key, value, timestamp, stream_time in counted(records):
            closed = stream_time - gap - grace
            for end, start, other, text in sorted(known):
                if swept <= end < closed:
                    self.final.append(((other, start, end), text, end))
            swept = max(swept, closed)
            met = [
                each
                for each in sorted(known)
                if each[2] == key
                and each[0] >= max(timestamp, closed) - gap
                and each[1] <= timestamp + gap
            ]
            start = min([timestamp, *(each[1] for each in met)])
            end = max([timestamp, *(each[0] for each in met)])
            if end < closed:
                self.late.append(value)
                continue
            for each in met:
                known.remove(each)
                if (start, end) != (timestamp, timestamp):
                    self.every.append(((key, each[1], each[0]), None, each[0]))
            text = "".join(each[3] for each in met) + value
            known.append((end, start, key, text))
            self.every.append(((key, start, end), text, end))


@settings(max_examples=100)
@given(rows, st.integers(1, 12))
def test_sessions_are_those_of_the_definition_where_nothing_is_late(
    records: list[Row], gap: int
) -> None:
    expected = sessions(records, gap)
    texts, counts, late = run([*records, END], Session(gap, grace=100), "final", commit_every=9)
    assert [(key, "".join(sorted(text)), end) for key, text, end in texts] == expected
    assert counts == as_counts(texts)
    assert not late


@settings(max_examples=150)
@given(rows, st.integers(1, 12), st.integers(0, 15))
def test_sessions_follow_the_rule_record_by_record(
    records: list[Row], gap: int, grace: int
) -> None:
    records = [*records, END]
    naive = NaiveSessions(records, gap, grace)
    for options in (
        {"chunk": 1},
        {"chunk": 7, "commit_every": 7},
        {"chunk": 4_096, "commit_every": 4_096},
        {"chunk": 3, "commit_every": 5, "cache_bytes": 0},
        {"restart_every": 4},
    ):
        texts, counts, late = run(records, Session(gap, grace=grace), "final", **options)
        assert texts == naive.final
        assert counts == as_counts(naive.final)
        assert late == naive.late
        texts, counts, late = run(records, Session(gap, grace=grace), "every", **options)
        assert texts == naive.every
        assert counts == [
            (key, text and len(text), timestamp) for key, text, timestamp in naive.every
        ]
        assert late == naive.late


@settings(max_examples=100)
@given(rows, st.integers(1, 12), st.integers(0, 15), st.integers(1, 9))
def test_the_latest_changes_of_sessions_build_up_to_the_same_table(
    records: list[Row], gap: int, grace: int, commit_every: int
) -> None:
    naive = NaiveSessions(records, gap, grace)
    window = Session(gap, grace=grace)
    found = [
        run(records, window, "latest", commit_every=commit_every, chunk=chunk, **options)[:2]
        for chunk, options in ((1, {}), (4, {}), (3, {"cache_bytes": 0}))
    ]
    assert found[0] == found[1] == found[2]
    texts, counts = found[0]
    assert table(texts) == table(naive.every)
    assert table(counts) == {
        key: (len(text), timestamp) for key, (text, timestamp) in table(naive.every).items()
    }
    if commit_every == 1:
        assert [row for row in texts if row[1] is not None] == [
            row for row in naive.every if row[1] is not None
        ]


def table(changes: list[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value, timestamp in changes:
        if value is None:
            del found[key]  # nothing is taken back that was not there
        else:
            found[key] = (value, timestamp)
    return found


def sliding(records: list[Row], difference: int) -> list[Result]:
    """A window before each record and one behind it, where nothing is late."""
    by_key: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for _, key, value, timestamp, _ in counted(records):
        by_key[key].append((timestamp, value))
    found: list[Result] = []
    for key, members in by_key.items():
        starts = {max(timestamp - difference, 0) for timestamp, _ in members}
        starts |= {timestamp + 1 for timestamp, _ in members}
        for start in starts:
            inside = [each for each in members if start <= each[0] <= start + difference]
            if inside:
                text = "".join(sorted(value for _, value in inside))
                latest = max(timestamp for timestamp, _ in inside)
                found.append(((key, start, start + difference), text, latest))
    return sorted(found, key=lambda row: (row[0][1], row[0][0]))


@settings(max_examples=150)
@given(rows, st.integers(1, 15))
def test_sliding_windows_are_those_of_the_definition_where_nothing_is_late(
    records: list[Row], difference: int
) -> None:
    expected = sliding(records, difference)
    window = Sliding(difference, grace=100)
    for options in ({"commit_every": 1}, {"commit_every": 9, "chunk": 5}, {"restart_every": 4}):
        texts, counts, late = run([*records, END], window, "final", **options)
        assert [(key, "".join(sorted(text)), end) for key, text, end in texts] == expected
        assert counts == as_counts(texts)
        assert not late


@settings(max_examples=150)
@given(rows, st.integers(1, 12), st.integers(0, 15))
def test_sliding_windows_are_final_once_with_their_last_update(
    records: list[Row], difference: int, grace: int
) -> None:
    window = Sliding(difference, grace=grace)
    every = run(records, window, "every")
    latest = run(records, window, "latest", commit_every=5, chunk=3)
    final = run([*records, END], window, "final")
    last = table(every[0])
    assert table(latest[0]) == last
    assert final[0] == sorted(
        ((key, *changed) for key, changed in last.items()),
        key=lambda row: (closing_place(records, row[0][2], grace), row[0][1], row[0][0]),
    )
    assert final[1] == as_counts(final[0])
    for options in (
        {"chunk": 7, "commit_every": 7},
        {"chunk": 3, "commit_every": 5, "cache_bytes": 0},
        {"restart_every": 3, "cache_bytes": 0},
    ):
        assert run(records, window, "every", **options) == every
        assert run([*records, END], window, "final", **options) == final


def closing_place(records: list[Row], end: int, grace: int) -> int:
    """The record that closes a window whose end is inclusive."""
    taken = counted([*records, END])
    return next(place for place, *_, now in taken if end < now - grace)


WINDOWS = [
    Tumbling(7, grace=5),
    Hopping(9, advance=4, grace=3),
    Session(4, grace=5),
    Sliding(6, grace=4),
    CountWindow(3, advance=2),
]


@settings(max_examples=60)
@given(rows, st.sampled_from(WINDOWS), st.sampled_from(["latest", "every"]), st.integers(1, 7))
def test_each_change_says_what_the_last_one_said_was_there(
    records: list[Row], window: Any, emit: Any, commit_every: int
) -> None:
    app = App("a")
    group = app.stream("in", value=str).group_by_key().windowed_by(window)
    lists = group.aggregate(list, append, merge=lambda a, b: a + b, emit=emit)
    lists.changes().to("changes")
    driver = TopologyTestDriver(app, commit_every=commit_every, chunk_size=3)
    for key, value, timestamp in records:
        driver.pipe("in", value, key=key, timestamp=timestamp)
    driver.commit()
    there: dict[Any, Any] = {}
    for record in driver.records("changes") if "changes" in driver.topics else []:
        old, new = record.value
        if not (isinstance(window, Sliding) and old is None and new == there.get(record.key)):
            assert old == there.get(record.key)
        there[record.key] = new


def append(so_far: list[str], value: str) -> list[str]:
    so_far.append(value)
    return so_far
