"""map_batch, dedupe, rate_limit and take."""

from __future__ import annotations

from typing import Any

import pytest

from processors import App
from processors.errors import ProcessingError, TopologyError
from processors.testing import TopologyTestDriver

CHUNKS = [1, 3, 100]


def pipe(driver: TopologyTestDriver, *rows: tuple[str | None, Any, int]) -> TopologyTestDriver:
    for key, value, timestamp in rows:
        driver.pipe("in", value, key=key, timestamp=timestamp)
    driver.commit()
    return driver


def make(chunk_size: int = 100, build: Any = None, **options: Any) -> TopologyTestDriver:
    app = App("a", **options)
    build(app.stream("in", value=int)).to("out")
    return TopologyTestDriver(app, commit_every=100, chunk_size=chunk_size)


@pytest.mark.parametrize("chunk_size", CHUNKS)
@pytest.mark.parametrize("column", ["list", "numpy", "arrow"])
def test_a_function_takes_the_whole_column(column: Any, chunk_size: int) -> None:
    def double(values: Any) -> Any:
        if column == "list":
            return (n * 2 for n in values)
        if column == "numpy":
            return values * 2
        import pyarrow.compute as pc

        return pc.multiply(values, 2)

    driver = make(chunk_size, lambda s: s.map_batch(double, column=column))
    driver.run("in", [1, 2, 3, 4])
    assert driver.values("out") == [2, 4, 6, 8]


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_the_record_that_a_batch_failed_for_is_found(chunk_size: int) -> None:
    def invert(values: list[int]) -> list[float]:
        return [6 / n for n in values]

    driver = make(chunk_size, lambda s: s.map_batch(invert), processing="skip")
    driver.run("in", [1, 0, 3])
    assert driver.values("out") == [6.0, 2.0]
    assert driver.skipped() == {"skipped": 1}
    with pytest.raises(ProcessingError, match="in-0 at offset 1"):
        make(chunk_size, lambda s: s.map_batch(invert)).run("in", [1, 0, 3])


def test_a_batch_has_as_many_results_as_values() -> None:
    with pytest.raises(ProcessingError, match="gave 0 values for 1: one each is wanted"):
        make(build=lambda s: s.map_batch(lambda values: [])).run("in", [1])
    wrong: Any = "heap"
    with pytest.raises(ValueError, match="column='heap': choose 'list', 'numpy' or 'arrow'"):
        make(build=lambda s: s.map_batch(list, column=wrong))


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_what_was_seen_within_a_time_is_left_out(chunk_size: int) -> None:
    driver = make(chunk_size, lambda s: s.dedupe(lambda n: str(n % 10), within=10, name="d"))
    pipe(
        driver, ("k", 1, 0), ("k", 11, 10), ("k", 2, 10), ("k", 21, 11), ("k", 31, 21), ("k", 3, 0)
    )
    assert driver.values("out") == [1, 2, 21, 3]
    pipe(driver, ("k", 1, 1_000))
    assert driver.values("out") == [1]
    assert dict(driver.store("d.seen").items()) == {"1": 1_000}


def test_an_identity_of_another_kind_says_where_its_serde_is_chosen() -> None:
    driver = make(build=lambda s: s.dedupe(lambda n: n % 10, within=10, name="d"))
    said = "d: .* str expected, not int 1; identities are written as str, .* as identity="
    with pytest.raises(ProcessingError, match=said):
        driver.run("in", [1])
    driver = make(build=lambda s: s.dedupe(lambda n: n % 10, within=10, identity=int))
    assert driver.run("in", [1, 11]).values("out") == [1]


def test_what_was_seen_is_remembered_over_a_restart() -> None:
    driver = make(build=lambda s: s.dedupe(str, within="1h"))
    pipe(driver, ("k", 1, 0))
    driver.restart()
    pipe(driver, ("k", 1, 5), ("k", 2, 5))
    assert driver.values("out") == [1, 2]


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_so_many_of_a_key_pass_in_a_period(chunk_size: int) -> None:
    driver = make(chunk_size, lambda s: s.rate_limit(2, per=10))
    rows = [("a", n, time) for n, time in enumerate([0, 3, 9, 10, 12, 15, 8])]
    pipe(driver, *rows, ("b", 100, 15), (None, 101, 15))
    assert driver.values("out") == [0, 1, 3, 4, 100]


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_values_are_taken_by_the_number(chunk_size: int) -> None:
    driver = make(chunk_size, lambda s: s.take(3, name="t"))
    rows = [("ab"[n % 2], n, n) for n in range(7)]
    pipe(driver, *rows, (None, 7, 7))
    assert driver.items("out") == [("a", [0, 2, 4]), ("b", [1, 3, 5])]
    driver.restart()
    pipe(driver, ("a", 8, 8), ("a", 10, 10))
    assert driver.items("out") == [("a", [6, 8, 10])]


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_what_has_waited_long_goes_on(chunk_size: int) -> None:
    driver = make(chunk_size, lambda s: s.take(3, within=10))
    pipe(driver, ("a", 1, 0), ("a", 2, 9), ("b", 3, 5), ("a", 4, 12), ("c", 5, 30))
    found = [(r.key, r.value) for r in driver.records("out")]
    assert found == [("a", [1, 2]), ("a", [4]), ("b", [3])]


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_what_has_waited_just_so_long_goes_on(chunk_size: int) -> None:
    driver = make(chunk_size, lambda s: s.take(3, within=10))
    pipe(driver, ("a", 1, 0), ("b", 2, 10), ("c", 3, 13), ("d", 4, 22), ("e", 5, 23), ("f", 6, 30))
    found = [(r.key, r.value, r.timestamp) for r in driver.records("out")]
    assert found == [("a", [1], 10), ("b", [2], 22), ("c", [3], 30)]


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.take(0),
        lambda s: s.take(2, within=0),
        lambda s: s.rate_limit(0, per=1),
        lambda s: s.rate_limit(1, per=0),
        lambda s: s.dedupe(str, within=0),
    ],
)
def test_numbers_are_at_least_one(build: Any) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        make(build=build)


def test_what_identifies_is_a_function() -> None:
    with pytest.raises(TopologyError, match="'id' cannot be called"):
        make(build=lambda s: s.dedupe("id", within=1))


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_what_is_older_by_more_than_the_time_is_no_duplicate(chunk_size: int) -> None:
    driver = make(chunk_size, lambda s: s.dedupe(str, within=20))
    pipe(driver, ("k", 1, 100), ("k", 1, 10), ("k", 1, 110), ("k", 1, 90), ("k", 1, 121))
    assert [record.timestamp for record in driver.records("out")] == [100, 10, 121]
