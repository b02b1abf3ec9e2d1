"""What sources say of time: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors import App
from processors.operators.mark import Mark, meet
from processors.runtime.times import SourceTimes
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.topology.timestamp import NEVER
from streamlog.client.contract import TopicPartition
from streamlog.serdes import LONG, STRING

if TYPE_CHECKING:
    from processors.topology.nodes.endpoint import SourceNode

AT = [TopicPartition("in", 0), TopicPartition("in", 1)]


class Case:
    """A source of two partitions with a timeout of 10 ms."""

    def __init__(self) -> None:
        app = App("a")
        app.stream("in", idle_timeout=10).to("out")
        (self.node,) = app.plan().topology.sources
        self.stores = [KeyValueState("t", STRING, LONG, MemoryStore(), None) for _ in AT]
        self.positions = dict.fromkeys(AT, 0)
        self.start()

    def start(self) -> None:
        node: SourceNode = self.node
        self.times = SourceTimes({node: list(zip(AT, self.stores, strict=True))})

    def take(self, partition: int, *timestamps: int) -> None:
        self.times.note(self.node, partition, list(timestamps))
        self.positions[AT[partition]] += len(timestamps)

    def look(self, now_ms: int, *ended: int) -> list[tuple[int, int]]:
        """The active and the idle time of each partition."""
        self.times.look(now_ms, {AT[partition] for partition in ended}, self.positions)
        marks = self.times.marks(now_ms)
        return [marks[self.node, at][:2] for at in (0, 1)]

    def commit(self) -> None:
        self.times.flush()
        for state in self.stores:
            state.on_committed()


def test_a_backlog_is_never_idle_however_long_it_takes() -> None:
    case = Case()
    case.take(0, 100)
    assert case.look(0) == [(100, -1), (-1, -1)]
    assert case.look(1_000, 1) == [(100, -1), (-1, -1)]
    case.take(0, 200)
    assert case.look(1_010, 1) == [(200, -1), (NEVER, 200)]
    assert case.look(5_000, 0, 1) == [(200, -1), (NEVER, 200)]
    assert case.look(5_010, 0, 1) == [(NEVER, 210), (NEVER, 210)]


def test_how_long_a_partition_is_quiet_counts_from_the_start() -> None:
    case = Case()
    case.take(0, 100)
    case.look(0, 0, 1)
    case.commit()
    case.start()
    assert case.look(7_200_000, 0, 1) == [(100, -1), (-1, -1)]
    assert case.look(7_200_010, 0, 1) == [(NEVER, 110), (NEVER, 110)]


def test_time_that_was_told_is_kept_and_never_goes_back() -> None:
    case = Case()
    case.take(0, 100)
    case.look(0, 0, 1)
    case.look(50, 0, 1)
    case.times.apply(case.times.marks(50))
    case.commit()
    case.take(0, 120)  # behind what was told
    assert case.look(60, 0, 1) == [(150, -1), (NEVER, 150)]
    case.start()
    case.look(1_000, 0, 1)
    assert case.look(1_010, 0, 1) == [(NEVER, 160), (NEVER, 160)]


def test_an_abort_takes_back_what_was_not_committed() -> None:
    case = Case()
    case.take(0, 100)
    case.commit()
    case.take(0, 900)
    for state in case.stores:
        state.on_aborted()
    case.times.clear()
    assert case.look(0, 0, 1) == [(100, -1), (-1, -1)]


def test_the_clock_is_known_where_all_has_been_read() -> None:
    case = Case()
    case.times.look(77, {AT[0]}, case.positions)
    marks = case.times.marks(77)
    assert [marks[case.node, at].clock for at in (0, 1)] == [77, -1]
    assert meet(marks.values()).clock == -1


def test_where_inputs_meet_those_that_are_idle_have_no_say_beside_active_ones() -> None:
    active, idle, other = Mark(50, -1, 9), Mark(NEVER, 80, 9), Mark(NEVER, 70, 9, 5)
    assert meet([active, idle]).time == 50
    assert meet([idle, other]).time == 80
    assert meet([idle, other]).told == 75
    assert meet([active, Mark(-1, -1, 9)]).time == -1
    assert meet([]).time == -1
