"""Aggregates over time windows: late records, failures, restarts, clean-up, mutable results."""

from __future__ import annotations

from typing import Any

import pytest

from processors import (
    App,
    Calendar,
    CountWindow,
    Hopping,
    Session,
    Sliding,
    Tumbling,
    Unlimited,
    Windowed,
)
from processors.testing import TopologyTestDriver

Piped = tuple[str, Any, int]


def pipe(driver: TopologyTestDriver, *rows: Piped) -> None:
    for key, value, timestamp in rows:
        driver.pipe("in", value, key=key, timestamp=timestamp)


def drive(window: Any, emit: Any, *rows: Piped, late_to: Any = None, **options: Any) -> Any:
    app = App("a")
    group = app.stream("in", value=str).group_by_key().windowed_by(window, late_to=late_to)
    group.reduce(lambda so_far, value: so_far + value, emit=emit, name="r").to_stream().to("out")
    driver = TopologyTestDriver(app, **options)
    pipe(driver, *rows)
    driver.commit()
    return driver


def out(driver: TopologyTestDriver) -> list[Any]:
    if "out" not in driver.topics:
        return []
    return [((*each.key,), each.value, each.timestamp) for each in driver.records("out")]


def test_a_final_result_is_not_lost_in_a_gap() -> None:
    driver = drive(
        Tumbling(10_000, grace=5_000),
        "final",
        ("k", "a", 1_000),
        ("k", "b", 9_000),
        ("k", "c", 24_000),
        ("k", "d", 60_000),
        ("k", "e", 200_000),
    )
    assert [value for _, value, _ in out(driver)] == ["ab", "c", "d"]


def test_a_window_closes_with_the_record_that_ends_its_grace() -> None:
    driver = drive(Tumbling(10, grace=5), "final", ("k", "a", 1), ("j", "x", 3), ("k", "b", 9))
    pipe(driver, ("k", "c", 14))
    assert out(driver) == []
    pipe(driver, ("k", "d", 15))
    assert out(driver) == [(("j", 0, 10), "x", 3), (("k", 0, 10), "ab", 9)]


@pytest.mark.parametrize("emit", ["latest", "every", "final"])
def test_a_late_record_is_counted_and_goes_to_its_topic_as_it_came(emit: str) -> None:
    driver = drive(Hopping(10, advance=5), emit, ("k", "a", 20), late_to="late")
    driver.pipe("in", "late", key="k", timestamp=3, headers=[("h", b"1")])
    (record,) = driver.records("late")
    assert (record.key, record.value, record.timestamp) == ("k", "late", 3)
    assert record.headers == [("h", b"1")]
    pipe(driver, ("k", "in time for the newer one", 16))
    assert driver.records("late") == []
    assert driver.late_records() == {"r": 1}


def test_late_records_can_be_worked_on() -> None:
    driver = drive(
        Tumbling(10),
        "latest",
        ("k", "a", 20),
        ("k", "b", 1),
        late_to=lambda late: late.map(str.upper).to("late", value=str),
    )
    assert driver.values("late") == ["B"]


def test_a_restart_between_a_final_result_and_a_late_record_changes_nothing() -> None:
    driver = drive(Tumbling(10), "final", ("k", "a", 1), ("k", "b", 12), late_to="late")
    assert out(driver) == [(("k", 0, 10), "a", 1)]
    driver.restart()
    pipe(driver, ("k", "late", 5))
    assert driver.values("late") == ["late"]
    pipe(driver, ("k", "c", 40))
    assert out(driver) == [(("k", 10, 20), "b", 12)]


@pytest.mark.parametrize("emit", ["latest", "every", "final"])
def test_closed_windows_leave_the_store(emit: str) -> None:
    driver = drive(Tumbling(10), emit, ("k", "a", 1), ("j", "b", 12), ("k", "c", 25))
    driver.restart()
    assert len(list(driver.store("r").items())) == 1


@pytest.mark.parametrize("emit", ["latest", "every"])
def test_null_keys_and_null_values_are_skipped_and_move_no_time(emit: str) -> None:
    driver = drive(Tumbling(10), emit, ("k", "a", 1))
    driver.pipe("in", "x", key=None, timestamp=99)
    driver.pipe("in", None, key="k", timestamp=99)
    pipe(driver, ("k", "b", 2))
    assert out(driver)[-1] == (("k", 0, 10), "ab", 2)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_record_that_fails_in_one_window_changes_none_and_is_reported_once(place: int) -> None:
    calls: list[str] = []

    def add(so_far: list[str], value: str) -> list[str]:
        so_far.append(value)
        calls.append(value)
        if value == "bad" and len([each for each in calls if each == "bad"]) == 2:
            raise ValueError("bad")
        return so_far

    app = App("a", processing="skip")
    group = app.stream("in", value=str).group_by_key().windowed_by(Hopping(10, advance=5))
    group.aggregate(list, add, emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=3, chunk_size=3)
    values = ["a", "b", "c"]
    values[place] = "bad"
    pipe(driver, *[("k", value, 7) for value in values])
    good = [value for value in values if value != "bad"]
    assert [value for _, value, _ in out(driver)] == [good[:1], good[:1], good, good]
    assert driver.skipped() == {"skipped": 1}


@pytest.mark.parametrize("emit", ["latest", "every", "final"])
def test_a_result_of_none_deletes_the_window_of_the_key(emit: str) -> None:
    app = App("a")
    group = app.stream("in", value=str).group_by_key().windowed_by(Tumbling(10))

    def add(so_far: str, value: str) -> str | None:
        return None if value == "delete" else so_far + value

    group.aggregate("", add, value=str, emit=emit).to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, ("k", "a", 1), ("j", "b", 2), ("k", "delete", 3), ("k", "c", 4), ("k", "d", 10))
    found = [(key[0], value, timestamp) for key, value, timestamp in out(driver)]
    if emit == "final":
        assert found == [("j", "b", 2), ("k", "c", 4)]
    else:
        assert found[:4] == [("k", "a", 1), ("j", "b", 2), ("k", None, 3), ("k", "c", 4)]


def test_latest_gives_the_last_result_of_a_window_though_it_has_closed_meanwhile() -> None:
    driver = drive(
        Tumbling(10), "latest", ("k", "a", 1), ("k", "b", 2), ("k", "c", 12), commit_every=3
    )
    assert out(driver) == [(("k", 0, 10), "ab", 2), (("k", 10, 20), "c", 12)]


def test_keys_are_written_in_the_format_of_kafka_streams() -> None:
    driver = drive(Tumbling(10), "latest", ("k", "a", 11))
    (record,) = driver.records("out", key=bytes)
    assert record.key == b"k" + (10).to_bytes(8, "big")


def test_results_of_windows_can_be_grouped_again() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by_key().windowed_by(Tumbling(10)).count()
    pairs = counts.to_stream().items()
    pairs.group_by(lambda pair: str(pair[0].start)).count().to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, ("a", "x", 1), ("b", "x", 2), ("a", "x", 12))
    assert driver.items("out") == [("0", 1), ("0", 2), ("10", 1)]


def test_unlimited_windows_take_all_from_their_start_on() -> None:
    driver = drive(Unlimited(start=10), "every", ("k", "a", 9), ("k", "b", 10), ("k", "c", 1 << 50))
    assert [(key[1], value) for key, value, _ in out(driver)] == [(10, "b"), (10, "bc")]


def test_calendar_windows_close_at_midnight() -> None:
    day = 86_400_000
    window = Calendar("day")
    driver = drive(window, "final", ("k", "a", 5), ("k", "b", day - 1), ("k", "c", day))
    assert out(driver) == [(("k", 0, day), "ab", day - 1)]


def test_json_keys_that_are_equal_in_python_stay_apart() -> None:
    app = App("a")
    group = app.stream("in", key="json", value=str).group_by_key().windowed_by(Tumbling(10))
    group.count().to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=4)
    for number, key in enumerate([1, True, 1.0, 1]):
        driver.pipe("in", "x", key=key, timestamp=number)
    found = [(repr(each.key.key), each.value) for each in driver.records("out")]
    assert found == [("1", 2), ("True", 1), ("1.0", 1)]


def test_a_mutable_result_that_is_changed_in_place_is_emitted_as_it_was() -> None:
    def append(so_far: list[str], value: str) -> list[str]:
        so_far.append(value)
        return so_far

    app = App("a")
    group = app.stream("in", value=str).group_by_key().windowed_by(Tumbling(10))
    group.aggregate(list, append, emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=3)
    pipe(driver, ("k", "a", 1), ("k", "b", 2), ("k", "c", 3))
    assert [value for _, value, _ in out(driver)] == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_a_key_of_a_window_is_a_windowed() -> None:
    driver = drive(Tumbling(10), "latest", ("k", "a", 11))
    assert driver.records("out")[0].key == Windowed("k", 10, 20)


def sessions(emit: Any, *rows: Piped, gap: int = 5, grace: int = 0, **options: Any) -> Any:
    return drive(Session(gap, grace=grace), emit, *rows, **options)


def test_sessions_that_come_to_touch_become_one() -> None:
    driver = sessions("every", ("g", "a", 0), ("g", "b", 6), ("g", "c", 4))
    assert out(driver) == [
        (("g", 0, 0), "a", 0), (("g", 6, 6), "b", 6),
        (("g", 0, 0), None, 0), (("g", 6, 6), None, 6), (("g", 0, 6), "abc", 6),
    ]  # fmt: skip


def test_a_session_that_was_never_given_on_is_not_taken_back() -> None:
    rows = [("g", "a", 0), ("g", "b", 2), ("g", "c", 4)]
    driver = sessions("latest", *rows, commit_every=3)
    assert out(driver) == [(("g", 0, 4), "abc", 4)]
    driver.pipe("in", "d", key="g", timestamp=9)
    driver.pipe("in", "e", key="g", timestamp=11)
    driver.commit()
    assert out(driver) == [(("g", 0, 4), None, 4), (("g", 0, 11), "abcde", 11)]


def test_a_final_session_comes_once_its_gap_and_grace_are_over() -> None:
    driver = sessions("final", ("k", "a", 0), ("k", "b", 5), ("j", "c", 10))
    assert out(driver) == []
    pipe(driver, ("j", "d", 11))
    assert out(driver) == [(("k", 0, 5), "ab", 5)]


def test_sessions_survive_a_restart_and_close_behind_it() -> None:
    driver = sessions("final", ("k", "a", 0), ("k", "b", 5), late_to="late")
    driver.restart()
    pipe(driver, ("k", "c", 9), ("j", "x", 40))
    assert out(driver) == [(("k", 0, 9), "abc", 9)]
    driver.restart()
    pipe(driver, ("k", "late", 9))
    assert driver.values("late") == ["late"]
    assert out(driver) == []


def test_closed_sessions_leave_the_store() -> None:
    for emit in ("latest", "every", "final"):
        driver = sessions(emit, ("k", "a", 0), ("j", "b", 40))
        driver.restart()
        assert len(list(driver.store("r").items())) == 1


def test_a_merge_that_fails_changes_nothing() -> None:
    def merge(left: list[str], right: list[str]) -> list[str]:
        left.clear()
        raise ValueError("cannot")

    app = App("a", processing="skip")
    group = app.stream("in", value=str).group_by_key().windowed_by(Session(5))
    group.aggregate(
        list, lambda seen, value: [*seen, value], merge=merge, emit="every"
    ).to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, ("k", "a", 0), ("k", "b", 6), ("k", "bad", 3), ("k", "c", 8))
    assert [value for _, value, _ in out(driver)] == [["a"], ["b"], None, ["b", "c"]]
    assert driver.skipped() == {"skipped": 1}


def test_session_keys_are_written_in_the_format_of_kafka_streams() -> None:
    driver = sessions("latest", ("k", "a", 3), ("k", "b", 5), commit_every=2)
    (record,) = driver.records("out", key=bytes)
    assert record.key == b"k" + (5).to_bytes(8, "big") + (3).to_bytes(8, "big")


@pytest.mark.parametrize("emit", ["every", "latest"])
def test_a_mutable_result_is_not_shared_between_sliding_windows(emit: str) -> None:
    def append(so_far: list[str], value: str) -> list[str]:
        so_far.append(value)
        return so_far

    app = App("a")
    group = app.stream("in", value=str).group_by_key().windowed_by(Sliding(10))
    group.aggregate(list, append, emit=emit).to_stream().to("out")
    driver = TopologyTestDriver(app)
    pipe(driver, ("k", "a", 10), ("k", "b", 15), ("k", "c", 12))
    last = {key[1]: value for key, value, _ in out(driver)}
    assert last == {0: ["a"], 11: ["b", "c"], 5: ["a", "b", "c"], 13: ["b"]}


@pytest.mark.parametrize("window", [Tumbling(10), Session(10), Sliding(10), CountWindow(5)])
def test_each_result_has_the_headers_of_its_record(window: Any) -> None:
    app = App("a")
    group = app.stream("in", value=str).group_by_key()
    group.windowed_by(window).count(emit="every").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=10)
    for number in (1, 2):
        driver.pipe("in", "x", key="k", timestamp=5, headers={"n": str(number)})
    driver.commit()
    found = [record.headers for record in driver.records("out")]
    assert found == [[("n", b"1")], [("n", b"2")]]
