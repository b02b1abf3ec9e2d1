"""Joins of streams against their definition: every pair of rows that is in the window.

The result of a run, after all windows have closed, is compared with what the definition says of
the whole input: each pair that meets, once, and each row of a preserved side that is in none. Rows
come out of order, within grace, so that both know the same. Then, whatever the order: neither the
size of chunks, nor restarts, nor a cache that holds nothing changes any output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import App
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE = 300
"""Times are multiples of a third of a buffer's least span, so that rows are in several of them."""


class Case(NamedTuple):
    how: str
    before: int
    after: int
    grace: int
    rows: list[tuple[str, str, str, int]]


class Out(NamedTuple):
    key: Any
    value: Any
    timestamp: int


@st.composite
def cases(draw: st.DrawFn, *, orderly: bool) -> Case:
    """Rows whose timestamps go up; some are late, where `orderly` as far as no window minds."""
    before = draw(st.integers(-3, 6))
    after = draw(st.integers(max(-3, -before), 6))
    grace = draw(st.integers(0, 5))
    most = min(grace, max(before, 0), max(after, 0)) if orderly else 12
    now = 20
    rows: list[tuple[str, str, str, int]] = []
    for number in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 0, 1, 1, 2, 7]))
        late = draw(st.integers(0, most))
        side, key = draw(st.sampled_from("LR")), draw(st.sampled_from("aab"))
        rows.append((side, key, f"{side}{number}", (now - late) * SCALE))
    how = draw(st.sampled_from(["inner", "left", "right", "outer"]))
    return Case(how, before * SCALE, after * SCALE, grace * SCALE, rows)


def drive(case: Case, **options: Any) -> TopologyTestDriver:
    app = App("a")
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    window: Any = {"before": case.before, "after": case.after, "grace": case.grace}
    joined = left.join(right, lambda left, right: f"{left}-{right}", how=case.how, **window)  # type: ignore[arg-type] # drawn from the four
    joined.to("out", value=str)
    return TopologyTestDriver(app, **options)


def pipe(driver: TopologyTestDriver, rows: Sequence[tuple[str, str, str, int]]) -> list[Out]:
    for topic, key, value, timestamp in rows:
        driver.pipe(topic, value, key=key, timestamp=timestamp)
    driver.commit()
    return [Out(record.key, record.value, record.timestamp) for record in driver.records("out")]


def define(case: Case) -> list[Out]:
    """What the join is of the whole input."""
    lefts = [row for row in case.rows if row[0] == "L"]
    rights = [row for row in case.rows if row[0] == "R"]
    pairs = [
        (left, right)
        for left in lefts
        for right in rights
        if left[1] == right[1] and left[3] - case.before <= right[3] <= left[3] + case.after
    ]
    found = [Out(left[1], f"{left[2]}-{right[2]}", max(left[3], right[3])) for left, right in pairs]
    if case.how in ("left", "outer"):
        met = {left[2] for left, _ in pairs}
        found += [Out(row[1], f"{row[2]}-None", row[3]) for row in lefts if row[2] not in met]
    if case.how in ("right", "outer"):
        met = {right[2] for _, right in pairs}
        found += [Out(row[1], f"None-{row[2]}", row[3]) for row in rights if row[2] not in met]
    return sorted(found)


@settings(max_examples=150)
@given(cases(orderly=True))
def test_the_final_result_is_what_the_definition_says(case: Case) -> None:
    found = pipe(drive(case), [*case.rows, ("L", "end", "end", 1_000 * SCALE)])
    assert sorted(row for row in found if row.key != "end") == define(case)


@settings(max_examples=60)
@given(cases(orderly=False), st.sets(st.integers(0, 24), max_size=3))
def test_chunks_restarts_and_caches_change_nothing(case: Case, restarts: set[int]) -> None:
    rows = [*case.rows, ("L", "end", "end", 1_000 * SCALE)]
    wanted = pipe(drive(case), rows)
    assert pipe(drive(case, commit_every=1_000), rows) == wanted
    assert pipe(drive(case, commit_every=7), rows) == wanted
    assert pipe(drive(case, cache_bytes=0, chunk_size=1), rows) == wanted
    driver = drive(case, cache_bytes=0)
    found: list[Out] = []
    for number, row in enumerate(rows):
        if number in restarts:
            driver.restart()
        found += pipe(driver, [row])
    assert found == wanted
