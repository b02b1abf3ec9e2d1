"""`map_async`: rows that wait for the answers of a coroutine function."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.errors import ProcessingError, ProductionError, TopologyError
from processors.operators.chunk import Chunk
from processors.operators.map_async import MapAsyncOperator
from processors.state.memory import MemoryStore
from processors.state.segmented import SegmentedState
from processors.testing import TopologyTestDriver
from streamlog.client.contract import TopicPartition
from streamlog.serdes import BYTES, LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.map_async import WaitingRow

CHANGELOG = "a-asked-changelog"


def make(function: Any, *, processing: Any = "fail", value: Any = int, **options: Any) -> App:
    app = App("a", processing=processing, dead_letters="letters")
    stream = app.stream("in", value=value)
    stream.map_async(function, name="asked", **options).to("out", value="json")
    return app


async def never() -> Any:
    return await asyncio.get_running_loop().create_future()


async def twice(number: int) -> int:
    await asyncio.sleep(100 - number)
    return number * 2


class Remote:
    """An external system: it notes who asks, and answers only what it is told to."""

    def __init__(self, *, closed: bool = False) -> None:
        self.asked: list[Any] = []
        self.closed = closed
        self.at_once = 0
        self.most_at_once = 0
        self.failures = 0

    async def __call__(self, value: Any) -> Any:
        self.asked.append(value)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.closed:
                await never()
            await asyncio.sleep(1)
            if self.failures:
                self.failures -= 1
                raise ConnectionError("gone")
            return f"<{value}>"
        finally:
            self.at_once -= 1


# Order.


@pytest.mark.parametrize("chunk_size", [1, 3, 4_096])
@pytest.mark.parametrize("commit_every", [1, 4, 100])
def test_results_come_in_the_order_of_the_rows(chunk_size: int, commit_every: int) -> None:
    driver = TopologyTestDriver(make(twice), chunk_size=chunk_size, commit_every=commit_every)
    assert driver.run("in", range(10)).values("out") == [2 * number for number in range(10)]


def test_without_order_results_come_as_the_answers_do() -> None:
    driver = TopologyTestDriver(make(twice, ordered=False), commit_every=10)
    assert driver.run("in", range(10)).values("out") == [18, 16, 14, 12, 10, 8, 6, 4, 2, 0]


def test_each_partition_has_its_own_order_and_waits_for_no_other() -> None:
    async def slow_for_one(number: int) -> int:
        return await never() if number == 1 else number

    driver = TopologyTestDriver(make(slow_for_one), partitions=2)
    for number in (1, 2, 3):
        driver.pipe("in", number, partition=number % 2)
    assert driver.values("out") == [2]


def test_keys_timestamps_and_headers_stay_and_null_values_are_asked_too() -> None:
    async def show(value: Any) -> str:
        return repr(value)

    driver = TopologyTestDriver(make(show))
    driver.pipe("in", 7, key="k", timestamp=5, headers=[("h", b"1"), ("n", None)])
    driver.pipe("in", None, timestamp=3)
    found = [(r.key, r.value, r.timestamp, r.headers) for r in driver.records("out")]
    assert found == [("k", "7", 5, [("h", b"1"), ("n", None)]), (None, "None", 3, [])]


def test_one_operator_may_ask_after_another_and_behind_a_table() -> None:
    app = App("a")

    async def plus_one(number: int) -> int:
        await asyncio.sleep(number)
        return number + 1

    counts = app.stream("in", value=str).group_by(lambda word: word).count()
    asked = counts.to_stream().map_async(plus_one, name="one", value=int)
    asked.map_async(plus_one, name="two", value=int).to("out", value=int)
    driver = TopologyTestDriver(app, commit_every=3)
    driver.run("in", ["a", "b", "a"])
    assert driver.items("out") == [("a", 4), ("b", 3)]


# Concurrency, attempts, time.


def test_no_more_calls_are_made_at_once_than_the_operator_may_make_in_the_process() -> None:
    remote = Remote()
    driver = TopologyTestDriver(make(remote, concurrency=3), partitions=4, commit_every=20)
    for number in range(20):
        driver.pipe("in", number, partition=number % 4)
    assert remote.most_at_once == 3
    assert len(driver.values("out")) == 20


def test_an_attempt_that_fails_is_followed_by_as_many_as_were_asked_for() -> None:
    remote = Remote()
    remote.failures = 3
    driver = TopologyTestDriver(make(remote, retries=3))
    assert driver.run("in", [7]).values("out") == ["<7>"]
    assert remote.asked == [7, 7, 7, 7]


def test_behind_the_last_attempt_the_application_fails_with_the_origin() -> None:
    remote = Remote()
    remote.failures = 3
    driver = TopologyTestDriver(make(remote, retries=1))
    with pytest.raises(ProcessingError, match=r"asked.*in-0 at offset 0.*ConnectionError: gone"):
        driver.run("in", [("k", 7)])


def test_only_the_chosen_errors_are_followed_by_another_attempt() -> None:
    remote = Remote()
    remote.failures = 1
    driver = TopologyTestDriver(make(remote, retries=3, retry_on=[TimeoutError, KeyError]))
    with pytest.raises(ProcessingError):
        driver.run("in", [7])
    assert remote.asked == [7]


def test_an_attempt_that_takes_too_long_is_ended_and_counts_as_failed() -> None:
    attempts: list[int] = []

    async def slow_at_first(number: int) -> int:
        attempts.append(number)
        await asyncio.sleep(60 if len(attempts) == 1 else 1)
        return number

    driver = TopologyTestDriver(make(slow_at_first, timeout="5s", retries=1))
    assert driver.run("in", [7]).values("out") == [7]
    attempts.clear()
    driver = TopologyTestDriver(make(slow_at_first, timeout="5s"))
    with pytest.raises(ProcessingError, match="no answer within 5000 ms"):
        driver.run("in", [8])


def test_a_timeout_that_the_function_raises_by_itself_stays_what_it_is() -> None:
    async def fails(number: int) -> int:
        raise TimeoutError("of its own")

    with pytest.raises(ProcessingError, match="of its own"):
        TopologyTestDriver(make(fails, timeout="5s")).run("in", [7])


def test_the_pauses_between_attempts_double() -> None:
    times: list[float] = []

    async def fails(number: int) -> int:
        times.append(asyncio.get_running_loop().time())
        raise ConnectionError

    driver = TopologyTestDriver(make(fails, retries=3, backoff="1s", processing="skip"))
    driver.run("in", [7])
    assert [round(each - times[0]) for each in times] == [0, 1, 3, 7]


def test_what_an_attempt_does_to_its_value_the_next_one_does_not_see() -> None:
    seen: list[Any] = []

    async def changes(order: dict[str, int]) -> int:
        seen.append(dict(order))
        order["n"] += 1
        if len(seen) == 1:
            raise ConnectionError
        return order["n"]

    app = make(changes, value="json", retries=1)
    assert TopologyTestDriver(app).run("in", [{"n": 1}]).values("out") == [2]
    assert seen == [{"n": 1}, {"n": 1}]


def test_a_function_that_cancels_itself_has_failed() -> None:
    async def cancels(number: int) -> int:
        raise asyncio.CancelledError

    with pytest.raises(ProcessingError, match="cancelling"):
        TopologyTestDriver(make(cancels)).run("in", [7])


# Policies.


async def odd_ones_fail(number: int) -> int:
    await asyncio.sleep(10 - number)
    if number % 2:
        raise ValueError(number)
    return number


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_that_fail_are_skipped_and_counted_and_the_others_go_on(ordered: bool) -> None:
    app = make(odd_ones_fail, processing="skip", ordered=ordered)
    driver = TopologyTestDriver(app, commit_every=5)
    driver.run("in", range(5))
    assert sorted(driver.values("out")) == [0, 2, 4]
    assert driver.skipped() == {"skipped": 2}


def test_dead_letters_say_which_record_they_were() -> None:
    driver = TopologyTestDriver(make(odd_ones_fail, processing="dead_letter"), partitions=2)
    driver.pipe("in", 2, partition=1)
    driver.pipe("in", 3, key="k", timestamp=9, partition=1, headers=[("h", b"1")])
    (letter,) = driver.records("letters")
    headers = dict(letter.headers)
    assert (letter.key, letter.timestamp) == (b"k", 9)
    assert letter.value == (3).to_bytes(8, "big")
    assert headers["h"] == b"1"
    told = ("operator", "topic", "partition", "offset", "message")
    assert [headers[f"__streams.errors.{name}"] for name in told] == [
        b"asked", b"in", b"1", b"1", b"3"
    ]  # fmt: skip


def test_what_fails_behind_an_answer_is_reported_with_the_record_that_was_asked_about() -> None:
    app = App("a", processing="dead_letter", dead_letters="letters")
    asked = app.stream("in", value=int).map_async(twice, name="one", value=int)
    asked = asked.map_async(odd_ones_fail, name="two", value=int)
    asked.map(lambda number: 1 // (number - 4)).to("out", value="json")
    driver = TopologyTestDriver(app, commit_every=4)
    driver.run("in", [1, 2, 3])
    headers = [dict(letter.headers) for letter in driver.records("letters")]
    assert [each["__streams.errors.offset"] for each in headers] == [b"1"]
    assert driver.values("out") == [-1, 0]


def test_rows_that_wait_behind_a_table_are_reported_with_its_changelog() -> None:
    app = App("a", processing="dead_letter", dead_letters="letters")
    counts = app.stream("in", value=str).group_by(lambda word: word).count(name="counts")
    counts.to_stream().map_async(odd_ones_fail, name="asked", value=int).to("out", value=int)
    driver = TopologyTestDriver(app)
    driver.run("in", ["a"])
    (letter,) = driver.records("letters")
    assert dict(letter.headers)["__streams.errors.topic"] == b"a-counts-changelog"


def test_a_value_that_cannot_be_kept_has_failed_in_production_where_it_arrives() -> None:
    app = App("a")
    app.stream("in", value=int).map(lambda n: object()).map_async(twice, name="asked").to("out")
    with pytest.raises(ProductionError, match="offset 0"):
        TopologyTestDriver(app).run("in", [1])


# What waits.


def test_what_is_answered_before_the_commit_leaves_nothing_in_the_changelog() -> None:
    driver = TopologyTestDriver(make(twice), commit_every=5)
    driver.run("in", range(10))
    assert driver.records(CHANGELOG, key=bytes, value=bytes) == []


def test_positions_are_committed_behind_rows_that_wait_and_a_restart_asks_again_in_order() -> None:
    remote = Remote(closed=True)
    driver = TopologyTestDriver(make(remote), commit_every=2)
    driver.run("in", [("a", 1), ("b", 2), ("a", 3), ("c", 4)])
    assert driver.values("out") == []
    assert [
        record.value is None for record in driver.records(CHANGELOG, key=bytes, value=bytes)
    ] == [False] * 4
    remote.asked.clear()
    driver.restart()
    driver.commit()
    assert remote.asked == [1, 2, 3, 4]
    assert driver.values("out") == []
    remote.closed = False
    driver.restart()
    driver.commit()
    assert driver.items("out") == [("a", "<1>"), ("b", "<2>"), ("a", "<3>"), ("c", "<4>")]
    assert [record.value for record in driver.records(CHANGELOG, key=bytes, value=bytes)] == [
        None
    ] * 4
    driver.restart()
    driver.commit()
    assert driver.values("out") == []


def test_new_rows_are_behind_those_that_waited_through_a_restart() -> None:
    remote = Remote(closed=True)
    driver = TopologyTestDriver(make(remote))
    driver.run("in", [1, 2])
    remote.closed = False
    driver.restart()
    assert driver.run("in", [3]).values("out") == ["<1>", "<2>", "<3>"]


def test_an_abort_ends_what_is_in_flight_and_begins_again_from_what_is_committed() -> None:
    remote = Remote(closed=True)
    app = App("a")
    stream = app.stream("in", value=int)
    stream.map_async(remote, name="asked").to("out", value="json")
    stream.map(lambda number: 1 // number).to("parts", value=int)
    driver = TopologyTestDriver(app)
    driver.run("in", [1, 2])
    with pytest.raises(ProcessingError):
        driver.run("in", [0])
    assert remote.at_once == 2
    remote.closed = False
    remote.asked.clear()
    driver.commit()
    assert remote.asked == [1, 2]
    assert driver.values("out") == ["<1>", "<2>"]


def test_a_failed_row_that_waited_does_not_come_back() -> None:
    remote = Remote(closed=True)
    driver = TopologyTestDriver(make(remote, processing="skip"))
    driver.run("in", [1])
    remote.closed, remote.failures = False, 1
    driver.restart()
    driver.commit()
    assert driver.skipped() == {"skipped": 1}
    driver.restart()
    driver.commit()
    assert (driver.values("out"), remote.asked) == ([], [1, 1])


class Reading(MemoryStore):
    """Notes how many keys each read is of."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads.append(len(keys))
        return super().get_many(keys)


class Listener:
    """Takes questions and answers none by itself."""

    def __init__(self) -> None:
        self.asked: list[WaitingRow] = []

    def ask(self, row: WaitingRow) -> None:
        self.asked.append(row)

    def forget(self, asker: MapAsyncOperator) -> None:
        self.asked.clear()


def asking(store: MemoryStore, caller: Listener) -> MapAsyncOperator:
    return MapAsyncOperator(
        "a/asked",
        SegmentedState("asked", LONG, BYTES, store, TopicPartition(CHANGELOG, 0)),
        STRING,
        LONG,
        caller,
        None,  # type: ignore[arg-type] # nothing fails
        lambda tickets: [("in", 0, ticket) for ticket in tickets],
        ordered=True,
        concurrency=1,
        with_headers=False,
    )


def take(operator: MapAsyncOperator, numbers: range) -> None:
    rows = list(numbers)
    operator.process(Chunk([f"k{number}" for number in rows], rows, [0] * len(rows), rows))


def commit(operator: MapAsyncOperator) -> None:
    operator.flush(0)
    operator.state.on_committed()
    operator.state.checkpoint(None)


def test_behind_a_restart_a_commit_looks_once_for_all_rows_that_came_and_went() -> None:
    store, caller = Reading(), Listener()
    begun = asking(store, caller)
    take(begun, range(10))
    commit(begun)
    restarted = asking(store, caller)
    caller.asked.clear()
    take(restarted, range(10, 30))
    for row in caller.asked[:5]:
        row.answer(0, None)
    assert restarted.answers(30) is not None
    store.reads.clear()
    commit(restarted)
    assert store.reads == [25]
    assert len(list(restarted.state.rows())) == 25


def test_rows_that_waited_before_a_restart_hold_others_back_at_once() -> None:
    store, caller = MemoryStore(), Listener()
    begun = asking(store, caller)
    take(begun, range(begun.bound))
    commit(begun)
    assert asking(store, caller).is_congested


# The cache.


def test_equal_questions_are_asked_once_also_at_the_same_time() -> None:
    remote = Remote()
    driver = TopologyTestDriver(make(remote, cache=10), commit_every=4)
    driver.run("in", [1, 2, 1, 1])
    driver.run("in", [2, 1])
    assert driver.values("out") == ["<1>", "<2>", "<1>", "<1>", "<2>", "<1>"]
    assert remote.asked == [1, 2]


def test_an_answer_is_asked_for_again_when_it_is_too_old() -> None:
    remote = Remote()
    driver = TopologyTestDriver(make(remote, cache=10, cache_ttl="1m"))
    driver.run("in", [1])
    driver.advance_wall_clock(59_999)
    driver.run("in", [1])
    assert remote.asked == [1]
    driver.advance_wall_clock(1)
    driver.run("in", [1])
    assert remote.asked == [1, 1]


def test_the_answers_that_were_asked_for_last_are_kept() -> None:
    remote = Remote()
    TopologyTestDriver(make(remote, cache=2)).run("in", [1, 2, 1, 3, 1, 2])
    assert remote.asked == [1, 2, 3, 2]


def test_a_function_says_what_one_question_is() -> None:
    remote = Remote()
    app = make(remote, value="json", cache=9, cache_key=lambda order: order["user"])
    driver = TopologyTestDriver(app)
    driver.run("in", [{"user": "ann", "n": 1}, {"user": "ann", "n": 2}, {"user": "bob", "n": 3}])
    assert [asked["n"] for asked in remote.asked] == [1, 3]


def test_what_is_no_question_has_failed() -> None:
    app = make(Remote(), value="json", cache=9, cache_key=lambda order: order["tags"])
    with pytest.raises(ProcessingError, match="unhashable"):
        TopologyTestDriver(app).run("in", [{"tags": []}])


def test_failures_are_not_kept() -> None:
    remote = Remote()
    remote.failures = 1
    driver = TopologyTestDriver(make(remote, cache=9, processing="skip"))
    assert driver.run("in", [1, 1]).values("out") == ["<1>"]


def test_a_cached_answer_is_not_changed_by_who_was_given_it() -> None:
    async def look_up(number: int) -> list[int]:
        return [number]

    app = App("a")
    asked = app.stream("in", value=int).map_async(look_up, cache=9, name="asked")
    asked.map(lambda found: found.append(0) or found).to("out", value="json")
    driver = TopologyTestDriver(app, commit_every=2)
    assert driver.run("in", [1, 1]).run("in", [1]).values("out") == [[1, 0]] * 3


# Misuse, and what is drawn.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"concurrency": 0}, ValueError, "concurrency=0: must be at least 1"),
        ({"concurrency": 1.5}, TypeError, "concurrency=1.5: give a whole number"),
        ({"retries": -1}, ValueError, "retries=-1: must be at least 0"),
        ({"timeout": 0}, ValueError, "timeout=0: must be longer than zero"),
        ({"timeout": "soon"}, ValueError, "timeout='soon'"),
        ({"backoff": -1}, ValueError, "backoff=-1: must not be negative"),
        ({"retry_on": "all"}, TypeError, "retry_on='all'"),
        ({"retry_on": BaseException}, TypeError, "classes of exceptions"),
        ({"cache": 0}, ValueError, "cache=0: must be at least 1"),
        ({"cache_ttl": "1m"}, ValueError, "say how many: cache=1000"),
        ({"cache_key": len}, ValueError, "say how many: cache=1000"),
        ({"cache": 1, "cache_key": 7}, TopologyError, "cannot be called"),
    ],
)
def test_options_that_cannot_be_are_refused_at_build(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(twice, **options)


@pytest.mark.parametrize("function", [len, lambda value: value, 7])
def test_a_function_that_is_no_coroutine_function_is_refused(function: Any) -> None:
    with pytest.raises(TopologyError, match=r"map_async at 'asked'.*async"):
        make(function)


def test_records_of_topics_are_none_any_more_behind_an_asynchronous_operator() -> None:
    app = App("a")
    with pytest.raises(TopologyError, match="results, not records"):
        app.stream("in").map_async(twice).records()


def test_the_drawing_says_how_it_asks() -> None:
    app = make(
        twice, concurrency=7, ordered=False, timeout="2s", retries=2, cache=5, cache_ttl="1m"
    )
    told = app.describe()
    assert "map_async: twice, at most 7 at once, as answers come, timeout 2000 ms" in told
    assert "2 retries from 100 ms on, cache 5 for 60000 ms, key str, value int" in told
    assert "changelog a-asked-changelog" in told
