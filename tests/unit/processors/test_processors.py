"""Processors of the user's own: what they see and send, their timers, their stores, misuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from processors import App, Context, Row
from processors.errors import ProcessingError, ProcessorError, TopologyError
from processors.testing import TopologyTestDriver


def lines(**options: Any) -> tuple[App, Any]:
    app = App("a", **options)
    return app, app.stream("in", value=str)


def test_a_function_returns_a_row_or_a_pair_or_nothing() -> None:
    app, stream = lines()

    def choose(row: Row, context: Context) -> Any:
        match row.value:
            case "row":
                return Row("k", "made", 77, {"h": "1"})
            case "pair":
                return ("p", "made")
            case _:
                return None

    stream.process(choose, value=str).to("out")
    driver = TopologyTestDriver(app, commit_every=10)
    for value in ("row", "nothing", "pair"):
        driver.pipe("in", value, timestamp=5, headers=[("was", b"0")])
    driver.commit()
    found = [(r.key, r.value, r.timestamp, r.headers) for r in driver.records("out")]
    assert found == [("k", "made", 77, [("h", b"1")]), ("p", "made", 5, [("was", b"0")])]


def test_a_generator_gives_any_number_and_a_context_sends_at_any_time() -> None:
    app, stream = lines()

    def spell(row: Row, context: Context) -> Any:
        for letter in row.value:
            yield (letter, row.value)
        context.forward("last", key="z", timestamp=9, headers=[("n", b"1")])

    stream.process(spell, value=str).to("out")
    driver = TopologyTestDriver(app, commit_every=10)
    driver.run("in", [("k", "ab"), ("k", "")])
    found = [(r.key, r.value, r.timestamp, len(r.headers)) for r in driver.records("out")]
    assert found == [("a", "ab", 0, 0), ("b", "ab", 0, 0), ("z", "last", 9, 1), ("z", "last", 9, 1)]


def test_values_only_leaves_keys_alone() -> None:
    app, stream = lines()
    stream.process_values(lambda value, context: context.key + value).to("out", value=str)
    stream.process_values(lambda value, context: None).to("nothing", value=str)
    stream.process_values(lambda value, context: (c for c in value)).to("letters", value=str)
    driver = TopologyTestDriver(app).run("in", [("k", "ab")])
    assert driver.items("out") == [("k", "kab")]
    assert driver.values("nothing") == []
    assert driver.items("letters") == [("k", "a"), ("k", "b")]
    app, stream = lines()
    stream.process_values(lambda value, context: context.forward(key="other")).to("out")
    with pytest.raises(ProcessingError, match="process_values leaves keys alone; use process"):
        TopologyTestDriver(app).run("in", ["x"])


def test_a_record_has_coordinates_and_a_processor_a_sense_of_time() -> None:
    app, stream = lines()

    class Look:
        def init(self, context: Context) -> None:
            self.context = context

        def process(self, row: Row) -> Any:
            context = self.context
            return (row.key, [*context.coordinates, context.stream_time, context.wall_clock])

    stream.filter(lambda value: value != "no").process(Look).to("out")
    driver = TopologyTestDriver(app, commit_every=10)
    driver.advance_wall_clock(1_000)
    for number, value in enumerate(["a", "no", "b"]):
        driver.pipe("in", value, timestamp=10 - number)
    driver.commit()
    assert driver.values("out") == [["in", 0, 0, 10, 1_000], ["in", 0, 2, 10, 1_000]]


class Ticking:
    """Sends the time of every call of a timer."""

    interval = 10
    wall_clock = False

    def init(self, context: Context) -> None:
        self.context = context
        self.timer = context.schedule(self.interval, self.tick, wall_clock=self.wall_clock)

    def process(self, row: Row) -> None:
        if row.value == "stop":
            self.timer.cancel()
        self.context.forward()

    def tick(self, now: int) -> None:
        self.context.forward(now, key="tick")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (5, "headers=5: give .*not iterable"),
        ({"n": 5}, "header 'n': its value is 5"),
        ([("n",)], "give .name, value. pairs"),
        ({b"n": b"5"}, "names are texts"),
    ],
)
@pytest.mark.parametrize("sends", [True, False])
def test_headers_that_are_none_fail_their_record(sends: bool, headers: Any, said: str) -> None:
    def drive(policy: Any) -> TopologyTestDriver:
        app, stream = lines(processing=policy)

        def run(row: Row, context: Context) -> Any:
            if row.value != "bad":
                yield row
            elif sends:
                context.forward("x", headers=headers)
            else:
                yield row
                yield row.replace(headers=headers)

        stream.process(run).to("out", value=str)
        driver = TopologyTestDriver(app, commit_every=9)
        for value in ("a", "bad", "b"):
            driver.pipe("in", value, headers=[("h", b"1")])
        driver.commit()
        return driver

    with pytest.raises(ProcessingError, match=said) as caught:
        drive("fail")
    assert caught.value.offset == 1
    found = [(record.value, record.headers) for record in drive("skip").records("out")]
    assert found == [("a", [("h", b"1")]), ("b", [("h", b"1")])]


@pytest.mark.parametrize(
    ("time", "said"),
    [(0.5, "is no timestamp"), (-1, "negative or missing"), (1 << 62, "too late for windows")],
)
def test_times_that_no_record_can_have_are_refused_wherever_a_processor_says_one(
    time: Any, said: str
) -> None:
    def run(use: Any) -> None:
        app, stream = lines()
        stores = [app.state_store("prices"), app.state_store("visits", kind="session")]
        stream.process(lambda row, context: use(row, context), stores=stores).to("out")
        with pytest.raises(ProcessingError, match=said):
            TopologyTestDriver(app).pipe("in", "x", key="k")

    run(lambda row, context: row.replace(timestamp=time))
    run(lambda row, context: context.forward("x", timestamp=time))
    run(lambda row, context: context.store("prices").put("k", 1, timestamp=time))
    run(lambda row, context: context.store("visits").put("k", time, time, 1))


def test_a_timer_of_stream_time_is_called_once_a_jump_and_behind_the_record() -> None:
    app, stream = lines()
    stream.process(Ticking).to("out")
    for chunk_size in (1, 3, 100):
        driver = TopologyTestDriver(app, commit_every=100, chunk_size=chunk_size)
        for timestamp in (23, 25, 29, 30, 12, 71, 79, 80):
            driver.pipe("in", "x", timestamp=timestamp)
        driver.commit()
        ticks = [(r.key, r.value, r.timestamp) for r in driver.records("out")]
        places = [place for place, tick in enumerate(ticks) if tick[0] == "tick"]
        assert [tick for tick in ticks if tick[0] == "tick"] == [
            ("tick", 23, 23),
            ("tick", 30, 30),
            ("tick", 71, 71),
            ("tick", 80, 80),
        ]
        assert places == [1, 5, 8, 11]


def test_when_a_timer_is_due_outlives_a_restart() -> None:
    app, stream = lines()
    stream.process(Ticking, name="ticking").to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", timestamp=23)
    driver.restart()
    driver.pipe("in", "x", timestamp=29)
    driver.pipe("in", "x", timestamp=31)
    assert [r.value for r in driver.records("out") if r.key == "tick"] == [23, 31]


def test_a_cancelled_timer_is_not_called() -> None:
    app, stream = lines()
    stream.process(Ticking).to("out")
    driver = TopologyTestDriver(app, commit_every=100)
    for timestamp, value in ((5, "x"), (15, "stop"), (25, "x")):
        driver.pipe("in", value, timestamp=timestamp)
    driver.commit()
    assert [r.value for r in driver.records("out") if r.key == "tick"] == [5]


def test_a_timer_of_the_wall_clock_is_called_once_a_jump_an_interval_after_the_start() -> None:
    app, stream = lines()

    class ByClock(Ticking):
        wall_clock = True
        interval = 100

    stream.process(ByClock).to("out")
    driver = TopologyTestDriver(app, wall_clock_ms=1_000)
    driver.advance_wall_clock(99)
    driver.advance_wall_clock(0)
    assert driver.records("out") == []
    driver.pipe("in", "x", timestamp=7)
    assert driver.values("out") == ["x"]
    driver.advance_wall_clock(350)
    assert [(r.key, r.value, r.timestamp) for r in driver.records("out")] == [("tick", 1_449, 7)]
    driver.advance_wall_clock(50)
    assert driver.values("out") == []
    driver.advance_wall_clock(1)
    assert driver.values("out") == [1_500]


def test_what_a_failed_record_wrote_and_sent_is_taken_back() -> None:
    app, stream = lines(processing="skip")
    store = app.state_store("seen")

    def fail_late(row: Row, context: Context) -> Any:
        seen = context.store(store)
        seen.put(row.key, {"value": row.value})
        seen.put("all", row.value)
        yield (row.key, row.value)
        if row.value == "bad":
            raise ValueError("no")

    stream.process(fail_late, stores=[store], value=str).to("out")
    for chunk_size in (1, 100):
        driver = TopologyTestDriver(app, commit_every=100, chunk_size=chunk_size)
        driver.run("in", [("a", "1"), ("b", "bad"), ("a", "bad"), ("c", "2")])
        assert driver.items("out") == [("a", "1"), ("c", "2")]
        assert dict(driver.store("seen").items()) == {
            "a": {"value": "1"},
            "all": "2",
            "c": {"value": "2"},
        }
        assert driver.skipped() == {"skipped": 2}


@pytest.mark.parametrize("kind", ["window", "session"])
def test_a_failed_record_moves_no_store_s_time_and_drops_nothing(kind: Any) -> None:
    app, stream = lines(processing="skip")
    store = app.state_store("kept", kind, value=str, retention=10)

    def put(row: Row, context: Context) -> None:
        kept, time = context.store(store), row.timestamp
        span = (time,) if kind == "window" else (time, time)
        kept.put(row.key, *((row.value, *span) if kind == "window" else (*span, row.value)))
        if row.value == "bad":
            raise ValueError("no")

    stream.process(put, stores=[store]).to("out")
    for commit_every in (1, 100):
        driver = TopologyTestDriver(app, commit_every=commit_every)
        for value, time in (("first", 5), ("bad", 100), ("late", 0), ("next", 12)):
            driver.pipe("in", value, key="k", timestamp=time)
        driver.commit()
        assert len(list(driver.store("kept").items())) == 2  # of "first" and "next"


def test_a_value_in_a_store_changes_only_by_being_put() -> None:
    app, stream = lines()
    store = app.state_store("lists")

    def append(row: Row, context: Context) -> Any:
        kept = context.store("lists").get(row.key, [])
        kept.append(row.value)
        if row.value != "lost":
            context.store("lists").put(row.key, kept)
        kept.append("also lost")

    stream.process(append, stores=[store]).to("out")
    driver = TopologyTestDriver(app, commit_every=100)
    driver.run("in", [("a", "1"), ("a", "lost"), ("a", "2")])
    assert driver.store("lists")["a"] == ["1", "2"]


def test_a_key_of_another_type_is_no_key() -> None:
    app, stream = lines()
    store = app.state_store("numbers", key=int, value=int)

    def use(row: Row, context: Context) -> Any:
        numbers = context.store(store)
        numbers.put(1, 10)
        numbers.get(1.0)

    stream.process(use, stores=[store]).to("out")
    with pytest.raises(ProcessingError, match="SerializationError"):
        TopologyTestDriver(app).run("in", ["x"])


def test_state_is_restored_and_tasks_have_their_own() -> None:
    app, stream = lines()
    store = app.state_store("counts", value=int)

    def count(row: Row, context: Context) -> Any:
        counts = context.store(store)
        counts[row.key] = counts.get(row.key, 0) + 1
        return (row.key, counts[row.key])

    stream.process(count, stores=[store], name="counting").to("out", value=int)
    driver = TopologyTestDriver(app, partitions=3, cache_bytes=0)
    rows = [(key, "x") for key in "abcabcab"]
    driver.run("in", rows[:5])
    driver.restart()
    driver.run("in", rows[5:])
    assert sorted(driver.items("out")) == sorted(
        [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3), ("c", 1), ("c", 2)]
    )
    assert "a-counts-changelog" in driver.topics


class NoProcess:
    pass


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda app, s: s.process("x"), "in.process.*'x' cannot be called"),
        (lambda app, s: s.process(NoProcess), "class NoProcess has no method process"),
        (lambda app, s: s.process(print, stores=["gone"]), "'gone' is no store for processors"),
        (
            lambda app, s: s.process(print, stores=[App("b").state_store("theirs")]),
            "'theirs' is no store for processors of this application",
        ),
        (lambda app, s: s.process(print, stores=[app.store("agents")]), "app.state_store"),
        (lambda app, s: (app.state_store("x"), app.state_store("x")), "two operators are named"),
    ],
)
def test_misuse_is_refused_where_it_is_written(build: Any, message: str) -> None:
    app, stream = lines()
    with pytest.raises(TopologyError, match=message):
        build(app, stream)


def test_a_store_belongs_to_one_processor() -> None:
    app, stream = lines()
    store = app.state_store("shared")
    stream.process(print, stores=[store], name="first")
    with pytest.raises(TopologyError, match="second: store 'shared' is attached to 'first' alre"):
        stream.process(print, stores=["shared"], name="second")


def test_a_stranger_to_a_store_is_told_the_remedy() -> None:
    app, stream = lines()
    app.state_store("theirs")
    mine = app.state_store("mine")

    def use(row: Row, context: Context) -> Any:
        context.store("theirs")

    stream.process(use, stores=[mine], name="p").to("out")
    with pytest.raises(ProcessingError, match=r"'theirs' is not attached.*attached: 'mine'"):
        TopologyTestDriver(app).run("in", ["x"])


def test_kinds_and_retention_are_checked() -> None:
    app = App("a")
    wrong: Any = "heap"
    with pytest.raises(ValueError, match="kind='heap': choose one of 'key_value', 'timestamped'"):
        app.state_store("s", wrong)
    with pytest.raises(ValueError, match="retention is for stores that keep time"):
        app.state_store("s", retention="1h")


def test_a_timer_is_made_when_a_task_starts_and_a_failing_one_of_the_clock_is_told() -> None:
    app, stream = lines()

    def late(row: Row, context: Context) -> Any:
        context.schedule(5, print)

    stream.process(late).to("out")
    with pytest.raises(ProcessingError, match=r"schedule\(\) is called in init"):
        TopologyTestDriver(app).run("in", ["x"])

    class Failing(Ticking):
        wall_clock = True

        def tick(self, now: int) -> None:
            raise ValueError("no")

    app, stream = lines()
    stream.process(Failing).to("out")
    driver = TopologyTestDriver(app)
    driver.advance_wall_clock(0)
    with pytest.raises(ProcessorError, match="a timer of the wall clock raised ValueError"):
        driver.advance_wall_clock(10)


def test_what_is_no_row_is_refused() -> None:
    app, stream = lines()
    stream.process(lambda row, context: "text").to("out")
    with pytest.raises(ProcessingError, match=r"'text' is no row: give a Row, or a pair"):
        TopologyTestDriver(app).run("in", ["x"])


@pytest.mark.parametrize("interval", ["10ms", timedelta(milliseconds=10)])
def test_the_interval_of_a_timer_is_any_duration(interval: Any) -> None:
    app, stream = lines()
    stream.process(type("Timed", (Ticking,), {"interval": interval})).to("out")
    driver = TopologyTestDriver(app)
    driver.pipe("in", "x", timestamp=25)
    driver.pipe("in", "x", timestamp=29)
    driver.pipe("in", "x", timestamp=30)
    assert [record.key for record in driver.records("out")].count("tick") == 2


@pytest.mark.parametrize(
    ("interval", "function", "told"),
    [
        ("soon", print, r"schedule='soon': .*'10s'"),
        (0, print, r"schedule\(0\): at least a millisecond"),
        (1.5, print, r"schedule=1\.5: give milliseconds"),
        ("1s", None, "schedule: None cannot be called"),
    ],
)
def test_a_timer_that_cannot_be_is_refused_when_its_task_starts(
    interval: Any, function: Any, told: str
) -> None:
    class Wrong:
        def init(self, context: Context) -> None:
            context.schedule(interval, function)

        def process(self, row: Row) -> None: ...

    app, stream = lines()
    stream.process(Wrong).to("out")
    with pytest.raises(ProcessorError, match=told):
        TopologyTestDriver(app)
