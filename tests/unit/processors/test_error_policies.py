"""A record that cannot be handled: fail, skip with a counter, or dead letter with its own bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from users_serdes import Careless

from processors import App
from processors.errors import DeserializationError, ProcessingError, ProductionError, RecordError
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.client.contract import Record


def raise_for(bad: int, error: type[Exception]) -> Callable[..., Any]:
    """A function of the last argument that raises for one value."""

    def function(*arguments: int) -> Any:
        if arguments[-1] == bad:
            raise error(f"no {bad}")
        return arguments[-1]

    return function


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "map": lambda stream, function: stream.map(function),
    "map_key": lambda stream, function: stream.map_key(lambda value: str(function(value))),
    "filter": lambda stream, function: stream.filter(lambda value: function(value) >= 0),
    "flat_map": lambda stream, function: stream.flat_map(lambda value: [function(value)]),
    "group_by": lambda stream, function: (
        stream.group_by(lambda value: str(function(value))).reduce(max, emit="every").to_stream()
    ),
    "reduce": lambda stream, function: (
        stream.group_by_key().reduce(lambda old, new: function(old, new), emit="every").to_stream()
    ),
    "aggregate": lambda stream, function: (
        stream.group_by_key()
        .aggregate(int, lambda old, new: function(old, new), value=int, emit="every")
        .to_stream()
    ),
}


def driver_for(
    operator: str, function: Callable[..., Any], *, chunk_size: int = 100, **policies: Any
) -> TopologyTestDriver:
    app = App("a", **policies)
    OPERATORS[operator](app.stream("in", value=int), function).to("out", value=int)
    return TopologyTestDriver(app, commit_every=100, chunk_size=chunk_size)


def pipe_five(driver: TopologyTestDriver) -> None:
    for number in range(5):
        driver.pipe("in", number, key="k", timestamp=number, headers=[("n", b"%d" % number)])
    driver.commit()


def letters(driver: TopologyTestDriver, topic: str = "a-dead-letters") -> list[Record]:
    return driver.records(topic, key=bytes, value=bytes)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("error", [ValueError, StopIteration])
@pytest.mark.parametrize("place", [1, 2, 4])
def test_fail_names_operator_topic_partition_offset_and_key(
    operator: str, error: type[Exception], place: int
) -> None:
    driver = driver_for(operator, raise_for(place, error))
    with pytest.raises(ProcessingError) as caught:
        pipe_five(driver)
    failure = caught.value
    assert failure.operator.startswith("in.")
    assert operator in failure.operator
    assert (failure.topic, failure.partition, failure.offset) == ("in", 0, place)
    assert failure.key == b"k"
    assert isinstance(failure.error, error)
    assert f"in-0 at offset {place} with key 'k'" in str(failure)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("error", [ValueError, StopIteration])
@pytest.mark.parametrize("place", [1, 2, 4])
@pytest.mark.parametrize("chunk_size", [1, 100])
def test_skip_counts_and_all_others_come_out(
    operator: str, error: type[Exception], place: int, chunk_size: int
) -> None:
    driver = driver_for(operator, raise_for(place, error), processing="skip", chunk_size=chunk_size)
    pipe_five(driver)
    assert driver.values("out") == [number for number in range(5) if number != place]
    assert driver.skipped() == {"skipped": 1}
    assert "a-dead-letters" not in driver.topics


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("place", [1, 4])
def test_a_dead_letter_is_the_source_record_with_headers_that_say_what_happened(
    operator: str, place: int
) -> None:
    driver = driver_for(operator, raise_for(place, ValueError), processing="dead_letter")
    pipe_five(driver)
    assert driver.values("out") == [number for number in range(5) if number != place]
    (letter,) = letters(driver)
    assert (letter.key, letter.value, letter.timestamp) == (b"k", place.to_bytes(8), place)
    assert letter.headers[0] == ("n", b"%d" % place)
    said = {name.removeprefix("__streams.errors."): text for name, text in letter.headers[1:]}
    assert said["exception"] == b"builtins.ValueError"
    assert said["message"] == b"no %d" % place
    assert said["topic"] == b"in"
    assert said["partition"] == b"0"
    assert said["offset"] == b"%d" % place
    assert operator.encode() in (said["operator"] or b"")
    assert b"raise error" in (said["stacktrace"] or b"")
    assert driver.skipped() == {"dead_letters": 1}


def test_the_topic_for_dead_letters_can_be_named() -> None:
    policies = {"processing": "dead_letter", "dead_letters": "graves"}
    driver = driver_for("map", raise_for(2, ValueError), **policies)
    pipe_five(driver)
    assert len(letters(driver, "graves")) == 1


def unreadable(**policies: Any) -> TopologyTestDriver:
    app = App("a", **policies)
    app.stream("in", key=int, value=int).filter(lambda value: True).to("out")
    driver = TopologyTestDriver(app, commit_every=100)
    good = (7).to_bytes(8)
    for key, value, timestamp in (
        (good, good, 1),
        (good, b"short", 2),
        (b"short", good, 3),
        (good, good, -1),
        (good, good, 4),
    ):
        driver.pipe_bytes("in", value, key=key, timestamp=timestamp, partition=0)
    return driver


def test_records_that_cannot_be_read_and_records_without_a_time() -> None:
    driver = unreadable(deserialization="dead_letter")
    driver.commit()
    assert [record.offset for record in driver.records("out")] == [0, 1]
    assert driver.skipped() == {"dead_letters": 3}
    found = letters(driver)
    assert [(each.key, each.value) for each in found] == [
        ((7).to_bytes(8), b"short"), (b"short", (7).to_bytes(8)), ((7).to_bytes(8),) * 2,
    ]  # fmt: skip
    told = [dict(each.headers) for each in found]
    assert [headers["__streams.errors.offset"] for headers in told] == [b"1", b"2", b"3"]
    assert told[2]["__streams.errors.message"] == b"the timestamp is -1: negative or missing"


@pytest.mark.parametrize(
    ("key", "value", "error", "said"),
    [
        (b"\xff", b"v", DeserializationError, "careless: UnicodeDecodeError"),
        (b"k", b"\xff", DeserializationError, "careless: UnicodeDecodeError"),
        (b"worse", b"v", ProductionError, "careless: KeyError: 'worse'"),
        (b"k", b"worse", ProductionError, "careless: KeyError: 'worse'"),
    ],
)
def test_whatever_a_serde_of_the_users_raises_goes_by_the_policy(
    key: bytes, value: bytes, error: type[RecordError], said: str
) -> None:
    def drive(policy: Any) -> TopologyTestDriver:
        app = App("a", deserialization=policy, production=policy)
        lines = app.stream("in", key=Careless(), value=Careless())
        lines.group_by_key().reduce(max).to_stream().to("out")
        driver = TopologyTestDriver(app, commit_every=100)
        for number, row in enumerate([(b"a", b"1"), (key, value), (b"b", b"2")]):
            driver.pipe_bytes("in", row[1], key=row[0], timestamp=number, partition=0)
        driver.commit()
        return driver

    with pytest.raises(error, match=said) as caught:
        drive("fail")
    assert (caught.value.topic, caught.value.offset, caught.value.key) == ("in", 1, key)
    driver = drive("skip")
    assert driver.items("out") == [("a", "1"), ("b", "2")]
    assert driver.skipped() == {"skipped": 1}


def test_a_record_that_cannot_be_read_fails_by_default() -> None:
    with pytest.raises(DeserializationError, match="in: cannot be read for the record of in-0 at"):
        unreadable().commit()


def test_a_negative_timestamp_fails_by_default() -> None:
    app = App("a")
    app.stream("in", value=str).to("out")
    said = r"the timestamp is -1: negative or missing; stream\(..., invalid_timestamp=\) leaves"
    with pytest.raises(DeserializationError, match=said):
        TopologyTestDriver(app).pipe("in", "x", timestamp=-1)


@pytest.mark.parametrize("exchange", ["memory", "topic"])
def test_results_that_cannot_be_written(exchange: Any) -> None:
    def build(**policies: Any) -> TopologyTestDriver:
        app = App("a", **policies)
        made = app.stream("in", value=int).map(lambda n: object() if n == 1 else n)
        made.group_by(lambda n: n if n == 3 else "k").reduce(lambda old, new: new, name="last")
        made.to("out")
        return TopologyTestDriver(app, commit_every=100, exchange=exchange)

    with pytest.raises(ProductionError, match="a result cannot be written"):
        pipe_five(build())
    driver = build(production="skip")
    pipe_five(driver)
    assert driver.values("out") == [0, 2, 3, 4]
    assert driver.store("last")["k"] == 4
    assert driver.skipped() == {"skipped": 3}  # the object twice, and the key that is no str


def test_one_row_of_many_fails_and_its_sisters_come_out() -> None:
    app = App("a", processing="dead_letter")
    words = app.stream("in", value=str).flat_map(str.split)
    words.map(int).to("out", value=int)
    driver = TopologyTestDriver(app).run("in", ["1 x 2 y", "3"])
    assert driver.values("out") == [1, 2, 3]
    assert [letter.value for letter in letters(driver)] == [b"1 x 2 y", b"1 x 2 y"]


def test_dead_letters_belong_to_the_transaction() -> None:
    app = App("a", processing="dead_letter")
    stream = app.stream("in", value=int).map(lambda n: 1 // n)
    stream.to("out", value=int)
    app.stream("poison", value=int)
    driver = TopologyTestDriver(app, commit_every=100)
    driver.pipe("in", 0)
    driver.pipe_bytes("poison", b"short")
    with pytest.raises(RecordError):
        driver.commit()
    driver.run("in", [1])
    assert driver.topics == {"in", "poison", "out"}


@pytest.mark.parametrize(
    "to",
    [
        {"topic": "out"},
        {"topic": lambda row: "out", "topics": ["out"]},
        {"topic": "out", "partition": lambda row, count: [0, 0]},
    ],
)
def test_a_result_that_its_topic_cannot_hold_is_a_failure_of_production(to: Any) -> None:
    def driver(**policies: Any) -> TopologyTestDriver:
        app = App("a", **policies)
        large = app.stream("in", value=int).map(lambda size: "x" * size)
        large.to(**to, value=str, name="sink")
        return TopologyTestDriver(app, commit_every=100)

    sizes = [1, 2_000_000, 3, 600_000, 600_000]
    skipping = driver(production="skip").run("in", sizes)
    copies = 2 if "partition" in to else 1
    found = list(map(len, skipping.values("out")))
    assert found == [each for each in (1, 3, 600_000, 600_000) for _ in range(copies)]
    assert skipping.skipped() == {"skipped": 1}
    with pytest.raises(ProductionError, match=r"sink: .*in-0 at offset 1 .*'out'.*max\.message"):
        driver().run("in", sizes)
