"""One instance of an agent, fed by hand: what joins when, and what an event that fails leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.agents import Agent, Keyed, OutsideEventError, Store
from processors.agents.declaration import Sink
from processors.agents.instance import AgentInstance
from processors.errors import AgentError, CorruptStoreError
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from streamlog.client.contract import FetchedColumns, Record
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STR, INT, JSON = serde_for(str), serde_for(int), serde_for("json")
counts = Store("counts", key=STR, value=INT, default=int)
lists = Store("lists", key=STR, value=JSON, default=list)


class Bench:
    """An instance over memory stores, with every failure reported into a list."""

    def __init__(
        self, function: Callable[[Any], Any], *, fails: bool = False, sink_value: Any = int
    ) -> None:
        self.states = {
            store.name: KeyValueState(
                store.name, store.key_serde, store.value_serde, MemoryStore(), None
            )
            for store in (counts, lists)
        }
        self.reports: list[tuple[str, int, object, str]] = []
        self._fails = fails
        sink = Sink(topic="out", key=STR, value=serde_for(sink_value))
        agent = Agent(name="a", function=function, topic="in", key=STR, value=STR, sink=sink)
        self.instance = AgentInstance(agent, 0, 0, self.states, self.report, lambda: None)
        self.next_offset = 0

    def report(self, kind: str, operator: str, record: Record, error: Exception) -> None:
        self.reports.append((kind, record.offset, record.value, type(error).__name__))
        if self._fails:
            raise error

    def feed(self, *values: bytes | None, skip: int = 0) -> None:
        first = self.next_offset
        self.next_offset = first + len(values) + skip
        self.instance.feed(
            FetchedColumns(
                "in",
                0,
                [b"k"] * len(values),
                list(values),
                [100 + first + index for index in range(len(values))],
                [first + index for index in range(len(values))],
                None,
                self.next_offset,
            )
        )

    def count(self, name: str = "counts") -> dict[str, Any]:
        return dict(self.states[name].items())


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def run(bench: Bench, *values: bytes | None) -> None:
    async def drive() -> None:
        bench.instance.start()
        bench.feed(*values)
        await settle()
        await bench.instance.stop()

    asyncio.run(drive())


async def count_words(lines: Any) -> Any:
    async for line in lines:
        for word in line.split():
            counts[word] += 1
            yield Keyed(word, counts[word])


def test_finished_events_join_and_their_sends_keep_the_order() -> None:
    bench = Bench(count_words)
    run(bench, b"a b", b"a")
    sends = bench.instance.take_sends()
    assert bench.count() == {"a": 2, "b": 1}
    assert sends.keys == [b"a", b"b", b"a"]
    assert [int.from_bytes(value or b"", "big") for value in sends.values] == [1, 1, 2]
    assert sends.timestamps == [100, 100, 101]
    assert bench.instance.position == 2
    assert len(bench.instance.take_sends()) == 0


def test_an_event_in_flight_is_behind_the_position_and_in_no_store() -> None:
    async def slow(lines: Any) -> Any:
        async for line in lines:
            counts[line] += 1
            yield counts[line]
            if line == "slow":
                await asyncio.Event().wait()

    bench = Bench(slow)
    run(bench, b"fast", b"slow", b"never")
    assert bench.count() == {"fast": 1}
    assert bench.instance.take_sends().keys == [b"k"]
    assert bench.instance.position == 1
    assert bench.instance.busy()


def test_an_event_reads_what_it_wrote_and_the_store_does_not() -> None:
    seen: list[Any] = []

    async def agent(lines: Any) -> None:
        async for line in lines:
            counts[line] = 5
            lists["l"] = [*lists["l"], line]
            lists["l"].append("lost: a copy")
            seen.append((counts[line], counts.get("x"), "x" in counts, lists["l"], dict(counts)))
            if line == "b":
                del counts["a"]
                seen.append(("a" in counts, dict(counts), len(counts)))
                await asyncio.Event().wait()

    bench = Bench(agent)
    run(bench, b"a", b"b")
    assert seen == [
        (5, None, False, ["a"], {"a": 5}),
        (5, None, False, ["a", "b"], {"a": 5, "b": 5}),
        (False, {"b": 5}, 1),
    ]
    assert bench.count() == {"a": 5}
    assert bench.count("lists") == {"l": ["a"]}


def test_a_failing_event_is_reported_and_leaves_nothing_and_the_agent_goes_on() -> None:
    async def agent(lines: Any) -> Any:
        async for line in lines:
            counts[line] += 1
            yield counts[line]
            if line == "bad":
                raise LookupError(line)

    bench = Bench(agent)
    run(bench, b"a", b"bad", b"c")
    assert bench.count() == {"a": 1, "c": 1}
    assert len(bench.instance.take_sends()) == 2
    assert bench.reports == [("processing", 1, b"bad", "LookupError")]
    assert bench.instance.position == 3


def test_a_value_that_cannot_be_read_is_reported_when_its_turn_comes() -> None:
    async def agent(lines: Any) -> None:
        async for line in lines:
            counts[line] += 1
            if line == "b":
                await asyncio.Event().wait()

    bench = Bench(agent)
    run(bench, b"\xff", b"a", b"\xfe", b"b", b"\xfd")
    assert [report[:3] for report in bench.reports] == [
        ("deserialization", 0, b"\xff"),
        ("deserialization", 2, b"\xfe"),
    ]
    assert bench.instance.position == 3


def test_a_result_that_cannot_be_written_takes_its_whole_event_with_it() -> None:
    async def agent(lines: Any) -> Any:
        async for line in lines:
            counts[line] += 1
            yield 1
            yield "no number"

    bench = Bench(agent)
    run(bench, b"a")
    assert bench.count() == {}
    assert len(bench.instance.take_sends()) == 0
    assert bench.reports == [("production", 0, b"a", "SerializationError")]


@pytest.mark.parametrize("bad", [b"\xff", b"raise"])
def test_with_the_policy_to_fail_the_instance_stops_and_takes_no_other_event(bad: bytes) -> None:
    async def agent(lines: Any) -> None:
        while True:
            try:
                async for line in lines:
                    counts[line] += 1
                    if line == "raise":
                        raise LookupError
            except ValueError:
                counts["caught"] += 1

    bench = Bench(agent, fails=True)
    run(bench, b"a", bad, b"c")
    assert bench.count() == {"a": 1}
    assert bench.instance.error is not None
    assert bench.instance.position == 1


def test_a_store_outside_an_event_is_refused() -> None:
    with pytest.raises(OutsideEventError, match="counts"):
        counts["a"] = 1

    async def agent(lines: Any) -> None:
        counts["early"] = 1
        async for _ in lines:
            pass

    bench = Bench(agent)
    run(bench, b"a")
    assert isinstance(bench.instance.error, OutsideEventError)


def test_a_default_that_can_be_changed_is_fresh_for_every_key() -> None:
    seen = Store("lists", key=STR, value=JSON, default=[])

    async def collect(lines: Any) -> None:
        async for line in lines:
            known = seen[line]
            known.append(line)
            seen[line] = known

    bench = Bench(collect)
    run(bench, b"a", b"b", b"a")
    assert bench.count("lists") == {"a": ["a", "a"], "b": ["b"]}


def test_a_store_refuses_keys_and_values_of_another_kind_and_none() -> None:
    errors: list[str] = []
    told: list[str] = []

    async def agent(lines: Any) -> None:
        async for _ in lines:
            for key, value in ((1, 1), ("a", "x"), ("a", None)):
                try:
                    counts[key] = value
                except Exception as error:
                    errors.append(type(error).__name__)
                    told.append(str(error))
            with pytest.raises(SerializationError, match="not int 5; store 'counts' has keys as"):
                counts.get(5)
            try:
                del counts["missing"]
            except KeyError:
                errors.append("KeyError")

    bench = Bench(agent)
    run(bench, b"a")
    assert errors == ["SerializationError", "SerializationError", "ValueError", "KeyError"]
    assert told[1] == (
        "serde int: int expected, not str 'x'; store 'counts' has keys as str and values as int: "
        "app.store(..., key=, value=) chooses others"
    )
    assert bench.count() == {}


def test_items_and_records_show_keys_and_where_an_event_came_from() -> None:
    seen: list[Any] = []

    async def agent(lines: Any) -> None:
        async for item in lines.items():
            seen.append(item)
            break
        async for record in lines.records():
            seen.append((record.topic, record.offset, record.timestamp, record.key, record.value))

    run(Bench(agent), b"a", None)
    assert seen == [("k", "a"), ("in", 1, 101, "k", None)]


def test_an_agent_that_returns_is_called_again_and_one_that_takes_nothing_is_an_error() -> None:
    calls: list[str] = []

    async def one_at_a_time(lines: Any) -> None:
        async for line in lines:
            calls.append(line)
            return

    bench = Bench(one_at_a_time)
    run(bench, b"a", b"b")
    assert calls == ["a", "b"]
    assert bench.instance.error is None

    async def nothing(lines: Any) -> None:
        return

    bench = Bench(nothing)
    run(bench, b"a")
    assert "without taking an event" in str(bench.instance.error)


def test_a_failure_outside_an_event_names_the_agent_and_its_topic() -> None:
    async def unprepared(lines: Any) -> None:
        raise LookupError("no such service")

    bench = Bench(unprepared)
    run(bench, b"a")
    error = bench.instance.error
    assert isinstance(error, AgentError)
    assert str(error) == (
        "agent a: its function failed outside an event of in-0: LookupError: no such service"
    )
    assert isinstance(error.__cause__, LookupError)


def test_what_was_yielded_is_sent_as_it_was_then() -> None:
    async def reuse(lines: Any) -> Any:
        result: dict[str, int] = {}
        async for _ in lines:
            for number in (1, 2):
                result["n"] = number
                yield result

    bench = Bench(reuse, sink_value="json")
    run(bench, b"a")
    assert bench.instance.take_sends().values == [b'{"n":1}', b'{"n":2}']


def test_a_task_that_outlives_its_event_writes_nothing_into_the_next() -> None:
    errors: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def forgetful(lines: Any) -> None:
        async for line in lines:

            async def add(line: str = line) -> None:
                try:
                    counts[line] = 1
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    counts[f"late {line}"] = 1
                except OutsideEventError as error:
                    errors.append(str(error))

            tasks.append(asyncio.create_task(add()))
            await asyncio.sleep(0)
            if line == "b":
                await asyncio.gather(*tasks)

    bench = Bench(forgetful)
    run(bench, b"a", b"b")
    assert bench.count() == {"a": 1, "b": 1, "late b": 1}
    assert len(errors) == 1


def test_a_store_that_cannot_be_read_is_no_events_fault() -> None:
    """The tasks die and are restored; a policy would leave the event out."""

    class Damaged(MemoryStore):
        def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
            raise CorruptStoreError("db", "Corruption")

    bench = Bench(count_words)
    bench.states["counts"].store = Damaged()
    run(bench, b"a")
    assert isinstance(bench.instance.error, CorruptStoreError)
    assert bench.reports == []
    assert bench.instance.position == 0


def test_a_paused_instance_finishes_its_event_and_takes_no_other() -> None:
    bench = Bench(count_words)

    async def drive() -> None:
        bench.instance.start()
        bench.instance.pause()
        bench.feed(b"a")
        await settle()
        assert bench.instance.position == 0
        bench.instance.resume()
        await settle()
        assert bench.instance.position == 1
        await bench.instance.stop()

    asyncio.run(drive())


def test_the_position_moves_past_what_is_no_record() -> None:
    bench = Bench(count_words)

    async def drive() -> None:
        bench.instance.start()
        bench.feed(skip=3)
        assert bench.instance.position == 3
        bench.feed(b"a", skip=2)
        bench.feed(skip=1)
        assert bench.instance.position == 3
        await settle()
        assert bench.instance.position == 7
        assert not bench.instance.busy()
        await bench.instance.stop()

    asyncio.run(drive())


def test_what_is_no_agent_is_refused() -> None:
    def plain(lines: Any) -> None: ...

    async def yields(lines: Any) -> Any:
        yield 1

    with pytest.raises(TypeError, match="async def"):
        Agent(name="a", function=plain, topic="in", key=STR, value=STR)
    with pytest.raises(TypeError, match="to="):
        Agent(name="a", function=yields, topic="in", key=STR, value=STR)


def test_what_a_default_makes_must_come_back_as_what_it_is() -> None:
    seen = App("a").store("lists", default=lambda: set[str]())

    async def note(lines: Any) -> Any:
        async for line in lines:
            seen[line] = seen[line] | {line}
            yield 1

    bench = Bench(note, fails=True)
    run(bench, b"x")
    assert bench.reports == [("processing", 0, b"x", "TypeError")]
    assert bench.count("lists") == {}
