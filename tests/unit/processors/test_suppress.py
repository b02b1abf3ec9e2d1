"""suppress: until the window closes, for a time, within limits; restarts; what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from users_serdes import Picky

from processors import App, Session, Sliding, Tumbling, Unlimited
from processors.errors import ProductionError, SuppressFullError, TopologyError
from processors.state.cached import DEFAULT_CACHE_BYTES
from processors.testing import TopologyTestDriver

Piped = tuple[str, Any, int]


def table(app: App) -> Any:
    return app.table("in", value=str, emit="every")


def drive(
    *rows: Piped,
    until: Any = 2,
    commit_every: int = 1,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    **limits: Any,
) -> Any:
    app = App("a")
    table(app).suppress(until, name="s", **limits).to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=commit_every, cache_bytes=cache_bytes)
    pipe(driver, *rows)
    return driver


def pipe(driver: TopologyTestDriver, *rows: Piped) -> None:
    for key, value, timestamp in rows:
        driver.pipe("in", value, key=key, timestamp=timestamp)


def out(driver: TopologyTestDriver) -> list[Any]:
    if "out" not in driver.topics:
        return []
    return [(each.key, each.value, each.timestamp) for each in driver.records("out")]


def test_the_last_update_goes_on_when_the_time_of_the_first_is_over() -> None:
    driver = drive(("k1", "v1", 0), ("k1", "v2", 1))
    assert out(driver) == []
    pipe(driver, ("k2", "v", 2))
    assert out(driver) == [("k1", "v2", 1)]


def test_a_deletion_waits_and_goes_on_too() -> None:
    driver = drive(("k", "v", 0), ("k", None, 1), ("j", "x", 5), ("j", "y", 7))
    assert out(driver) == [("k", None, 1), ("j", "y", 7)]


def test_a_late_update_is_due_at_once() -> None:
    driver = drive(("k", "v", 10), ("j", "late", 3))
    assert out(driver) == [("j", "late", 3)]


def test_the_oldest_go_early_where_there_is_no_room() -> None:
    driver = drive(("b", "1", 5), ("a", "2", 5), ("c", "3", 6), until=100, max_records=2)
    assert out(driver) == [("a", "2", 5)]


def test_bytes_are_counted_with_their_keys() -> None:
    driver = drive(("a", "x" * 100, 1), ("b", "y", 2), until=100, max_bytes=120)
    assert out(driver) == [("a", "x" * 100, 1)]
    pipe(driver, ("b", "y" * 200, 3))
    assert out(driver) == [("b", "y" * 200, 3)]


def test_it_fails_where_it_was_told_to() -> None:
    with pytest.raises(SuppressFullError, match=r"2 updates of .* max_records=1 allow") as caught:
        drive(("a", "1", 1), ("b", "2", 2), until=100, max_records=1, full="fail")
    assert (caught.value.operator, caught.value.records) == ("s", 2)


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_key_that_cannot_be_kept_has_failed_in_production(policy: Any) -> None:
    app = App("a", production=policy)
    updates = app.table("in", key=Picky(), value=str, emit="every")
    updates.suppress(2, name="s").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=10)
    driver.pipe_bytes("in", b"x", key=b"good", timestamp=0)
    driver.commit()
    for key, timestamp in [(b"good", 1), (b"bad", 1), (b"late", 2)]:
        driver.pipe_bytes("in", b"y", key=key, timestamp=timestamp)
    if policy == "fail":
        with pytest.raises(
            ProductionError, match=r"s: .* in-0 at offset 2 with key .bad.: .*a bad one"
        ):
            driver.commit()
    else:
        driver.commit()
        assert driver.skipped() == {"skipped": 1}
        assert out(driver) == [("good", "y", 1)]


def test_what_waits_survives_a_restart_with_its_time_and_its_sums() -> None:
    driver = drive(("a", "1", 1), ("b", "2", 2), until=10, max_records=2)
    driver.restart()
    pipe(driver, ("c", "3", 3))
    assert out(driver) == [("a", "1", 1)]
    driver.restart()
    pipe(driver, ("b", "2b", 12))
    assert out(driver) == [("b", "2b", 12)]


rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", None]), st.integers(0, 40)),
    max_size=25,
)


@given(rows, st.integers(0, 10), st.sampled_from([None, 1, 2]))
def test_chunks_and_restarts_change_nothing(
    records: list[Piped], until: int, most: int | None
) -> None:
    def run(commit_every: int, restart: int) -> list[Any]:
        driver = drive(until=until, max_records=most, commit_every=commit_every)
        found: list[Any] = []
        for place, row in enumerate(records):
            if restart and place % restart == 0:
                driver.commit()
                found += out(driver)
                driver.restart()
            pipe(driver, row)
        driver.commit()
        return found + out(driver)

    expected = run(1, 0)
    assert run(7, 0) == run(1, 3) == run(100, 0) == expected


wide = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "yy", None]), st.integers(0, 30)).map(
        lambda row: (row[0], row[1], row[2] * 300)
    ),
    max_size=40,
)


@given(wide, st.sampled_from([0, 900, 2_000, 5_000]), st.sampled_from([None, 2]))
def test_what_is_due_goes_on_by_time_and_key(
    records: list[Piped], until: int, most: int | None
) -> None:
    """Over segments of a second, whatever leaves the cache."""
    waiting: dict[str, tuple[int, str | None, int]] = {}
    expected: list[Any] = []
    now = 0
    for key, value, timestamp in records:
        now = max(now, timestamp)
        since = waiting[key][0] if key in waiting else timestamp
        waiting[key] = (since, value, timestamp)
        order = sorted(waiting, key=lambda each: (waiting[each][0], each))
        over = 0 if most is None else len(order) - most
        for place, each in enumerate(order):
            if waiting[each][0] + until <= now or place < over:
                expected.append((each, *waiting.pop(each)[1:]))
    for cache_bytes, commit_every in ((DEFAULT_CACHE_BYTES, 100), (0, 3), (0, 1)):
        driver = drive(
            *records,
            until=until,
            max_records=most,
            commit_every=commit_every,
            cache_bytes=cache_bytes,
        )
        driver.commit()
        assert out(driver) == expected


def test_nothing_of_what_waits_must_stay_in_memory() -> None:
    driver = drive(until="1h", cache_bytes=0)
    pipe(driver, *((f"k{number}", "v" * 10, number * 700) for number in range(300)))
    state = driver._stores.named("s")[0]  # pyright: ignore[reportPrivateUsage] # no view tells it
    assert sum(len(segment.entries) for segment in state.segments.values()) == 0
    pipe(driver, ("last", "v", 3_600_000 + 300 * 700))
    assert [row[0] for row in out(driver)] == [f"k{number}" for number in range(300)]


def test_segments_that_are_over_leave_nothing_behind() -> None:
    driver = drive(until=1_000)
    pipe(driver, *(("k", "v", second * 5_000) for second in range(20)))
    driver.restart()
    state = driver._stores.named("s")[0]  # pyright: ignore[reportPrivateUsage] # no view tells it
    assert len(state.starts()) <= 3


@given(rows, st.sampled_from([Tumbling(7, grace=3), Session(4, grace=1), Sliding(5, grace=2)]))
def test_until_the_window_closes_is_final(records: list[Piped], window: Any) -> None:
    """But for sessions that a late record goes into behind their end: those come later."""
    records = [*records, ("zz", "end", 1_000), ("zz", "end", 2_000)]

    def run(suppress: bool) -> list[Any]:
        app = App("a")
        group = app.stream("in", value=str).group_by_key().windowed_by(window)
        emit: Any = "every" if suppress else "final"
        counts = group.count(emit=emit)
        (counts.suppress("window_close") if suppress else counts).to_stream().to("out")
        driver = TopologyTestDriver(app)
        pipe(driver, *records)
        return sorted(((*key,), value, timestamp) for key, value, timestamp in out(driver))

    if not isinstance(window, Session):
        assert run(suppress=True) == run(suppress=False)
    else:
        assert set(run(suppress=True)) <= set(run(suppress=False))


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda app: table(app).suppress("window_close"), TopologyError, "needs a windowed table"),
        (lambda app: table(app).suppress(-1), ValueError, "must not be negative"),
        (lambda app: table(app).suppress("soon"), ValueError, "suppress at 'in.table.suppress'"),
        (lambda app: table(app).suppress(1, max_records=0), ValueError, "max_records=0: must"),
        (lambda app: table(app).suppress(1, full="stop"), ValueError, "choose 'emit' or 'fail'"),
        (
            lambda app: windowed(app, Tumbling(1)).suppress("window_close", full="emit"),
            ValueError,
            "would give results of windows that are still open",
        ),
        (
            lambda app: windowed(app, Unlimited()).suppress("window_close"),
            TopologyError,
            "close by no time",
        ),
        (
            lambda app: app.table("in", versioned=10).suppress(1),
            TopologyError,
            "suppress a table without versioned=",
        ),
    ],
)
def test_misuse_is_refused_when_the_graph_is_built(
    build: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        build(App("a"))
    assert said in str(caught.value)


def windowed(app: App, window: Any) -> Any:
    return app.stream("in", value=str).group_by_key().windowed_by(window).count()


def test_what_waits_is_shared_with_nobody() -> None:
    app = App("a")
    updates = app.table("in", emit="every")
    updates.suppress(2).to_stream().to("out")
    updates.to_stream().peek(lambda value: value.append("changed")).to("beside")
    driver = TopologyTestDriver(app, commit_every=10, chunk_size=1)
    driver.pipe("in", ["a"], key="k", timestamp=0)
    driver.pipe("in", ["b"], key="l", timestamp=9)
    driver.commit()
    assert driver.values("beside") == [["a", "changed"], ["b", "changed"]]
    assert driver.items("out") == [("k", ["a"])]
