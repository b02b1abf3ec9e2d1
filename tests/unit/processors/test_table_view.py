"""A table as others look it up: as of a row, whatever the round has made of it since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.aggregate import CountOperator, FoldOperator
from processors.operators.chunk import Chunk
from processors.operators.kernel import KeyedStates
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.topology.reads import Reads
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from processors.operators.keyed_table import Emit
    from processors.operators.operator import FailureKind


class Policies:
    def survives(self, kind: FailureKind) -> bool:
        return False

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        raise error


def state_of(value: Any, *, key: Any = str) -> KeyValueState:
    return KeyValueState("s", serde_for(key), serde_for(value), MemoryStore(), None)


def rows(*keys: Any, first: int = 0) -> Chunk:
    numbers = list(range(first, first + len(keys)))
    return Chunk(list(keys), [1] * len(keys), [10 * n for n in numbers], numbers)


def counter(emit: Emit, reads: Reads, state: KeyValueState | None = None) -> CountOperator:
    return CountOperator("c", KeyedStates([state or state_of(int)]), emit, Policies(), reads=reads)


def test_a_row_sees_what_was_before_it_and_in_its_own_ticket() -> None:
    for emit in ("every", "latest"):
        count = counter(emit, Reads(view=True))
        count.process(rows("a", "b", "a", "a"))
        assert count.read(["a", "a", "a", "a", "b", "c", None], [0, 1, 2, 3, 0, 3, 3]) == (
            [1, 1, 2, 3, None, None, None],
            [0, 0, 20, 30, -1, -1, -1],
        )


def test_keys_that_are_equal_in_python_are_told_apart_by_their_bytes() -> None:
    count = counter("every", Reads(view=True), state_of(int, key="json"))
    count.process(rows(1, True, 1.0, 1))
    assert count.read([1, True, 1.0], [9, 9, 9])[0] == [2, 1, 1]


def test_after_the_round_the_state_is_what_it_was_at_the_end() -> None:
    count = counter("every", Reads(view=True))
    count.process(rows("a", "a"))
    count.end_round()
    assert count.read(["a"], [2]) == ([2], [10])


def test_what_latest_has_given_on_is_what_it_gave_at_the_last_flush() -> None:
    state = state_of(int)
    count = counter("latest", Reads(view=True, emitted=True), state)
    count.process(rows("a", "a"))
    assert count.read_emitted(["a"], [1]) == ([None], [-1])
    assert count.read(["a"], [1]) == ([2], [10])
    count.flush(5)
    assert count.read_emitted(["a", "a"], [4, 5]) == ([None, 2], [-1, 10])
    count.end_round()
    state.on_committed()
    count.process(rows("a", first=6))
    assert count.read_emitted(["a"], [6]) == ([2], [10])


def test_every_gives_what_a_row_replaces_and_latest_what_it_gave_before() -> None:
    every = counter("every", Reads(olds=True))
    assert every.process(rows("a", "b", "a")).olds == [None, None, 1]
    state = state_of(int)
    latest = counter("latest", Reads(olds=True), state)
    latest.process(rows("a", "a"))
    flushed = latest.flush(2)
    assert flushed is not None
    assert (flushed.values, flushed.olds) == ([2], [None])
    state.on_committed()
    latest.process(rows("a", "b"))
    flushed = latest.flush(4)
    assert flushed is not None
    assert (flushed.values, flushed.olds) == ([3, 1], [2, None])


def test_an_old_value_is_not_the_object_that_was_changed_in_place() -> None:
    def append(old: list[int], new: int) -> list[int]:
        old.append(new)
        return old

    states = KeyedStates([state_of("json")])
    reads = Reads(olds=True, view=True)
    fold = FoldOperator("f", states, "every", append, list, Policies(), reads=reads)
    given = fold.process(rows("a", "a", "a"))
    assert given.olds == [None, [1], [1, 1]]
    assert fold.read(["a", "a"], [0, 2])[0] == [[1], [1, 1, 1]]
