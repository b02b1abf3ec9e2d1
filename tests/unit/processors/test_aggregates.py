"""count, reduce and aggregate over a state: results, times, nulls, deletion, emission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors.errors import StateError
from processors.operators.aggregate import CountOperator, FoldOperator
from processors.operators.chunk import Chunk
from processors.operators.kernel import KeyedStates
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.keyed_table import Emit
    from processors.operators.operator import FailureKind


class Policies:
    def __init__(self, *, survives: bool = True) -> None:
        self.reports: list[tuple[str, int]] = []
        self._survives = survives

    def survives(self, kind: FailureKind) -> bool:
        return self._survives

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        if not self._survives:
            raise error
        self.reports.append((kind, ticket))


def make_state(value: Any = int, *, key: Any = str, cache_bytes: int = 1 << 20) -> KeyValueState:
    return KeyValueState(
        "s", serde_for(key), serde_for(value), MemoryStore(), None, cache_bytes=cache_bytes
    )


def chunk_of(*rows: tuple[Any, Any, int]) -> Chunk:
    keys, values, timestamps = ([row[column] for row in rows] for column in range(3))
    return Chunk(keys, values, timestamps, range(len(rows)))


def result(chunk: Chunk | None) -> list[tuple[Any, Any, int]]:
    if chunk is None:
        return []
    assert chunk.keys is not None
    assert chunk.values is not None
    return list(zip(chunk.keys, chunk.values, chunk.timestamps, strict=True))


def counter(emit: Emit, state: KeyValueState | None = None) -> CountOperator:
    return CountOperator("c", KeyedStates([state or make_state()]), emit, Policies())


def folder(
    function: Callable[[Any, Any], Any],
    state: KeyValueState,
    emit: Emit = "every",
    *,
    initial: Callable[[], Any] | None = None,
    policies: Policies | None = None,
) -> FoldOperator:
    return FoldOperator("f", KeyedStates([state]), emit, function, initial, policies or Policies())


ROWS = chunk_of(("a", 1, 5), ("b", 1, 7), ("a", 1, 3), ("c", 1, 1), ("a", 1, 9))


def test_latest_holds_back_until_the_flush_and_keeps_the_order_of_first_changes() -> None:
    count = counter("latest")
    assert result(count.process(ROWS)) == []
    flushed = count.flush(100)
    assert result(flushed) == [("a", 3, 9), ("b", 1, 7), ("c", 1, 1)]
    assert flushed is not None
    assert list(flushed.tickets) == [100, 101, 102]
    assert count.flush(103) is None


def test_every_gives_one_result_a_row_with_the_highest_timestamp_so_far() -> None:
    count = counter("every")
    assert result(count.process(ROWS)) == [
        ("a", 1, 5), ("b", 1, 7), ("a", 2, 5), ("c", 1, 1), ("a", 3, 9),
    ]  # fmt: skip
    assert count.flush(100) is None


def test_null_keys_and_null_values_are_skipped() -> None:
    count = counter("every")
    rows = chunk_of((None, 1, 1), ("a", None, 9), ("a", 1, 2))
    assert result(count.process(rows)) == [("a", 1, 2)]
    fold = folder(lambda old, new: old + new, make_state())
    assert result(fold.process(rows)) == [("a", 1, 2)]


def test_every_carries_the_headers_of_the_row_that_made_the_result() -> None:
    chunk = Chunk(["a", None, "a"], [1, 1, 1], [1, 1, 1], [0, 1, 2], [[("n", b"0")], [], []])
    assert counter("every").process(chunk).headers == [[("n", b"0")], []]


def test_a_reduce_begins_with_the_first_value() -> None:
    fold = folder(lambda old, new: old - new, make_state())
    assert result(fold.process(chunk_of(("a", 10, 1), ("a", 3, 2)))) == [("a", 10, 1), ("a", 7, 2)]


def test_an_aggregate_begins_with_what_initial_makes() -> None:
    fold = folder(lambda old, new: [*old, new], make_state("json"), initial=list)
    assert result(fold.process(chunk_of(("a", 1, 1), ("b", 2, 2), ("a", 3, 3)))) == [
        ("a", [1], 1), ("b", [2], 2), ("a", [1, 3], 3),
    ]  # fmt: skip


@pytest.mark.parametrize("emit", ["every", "latest"])
def test_none_deletes_and_the_next_value_begins_anew_in_value_and_time(emit: Emit) -> None:
    state = make_state()
    fold = folder(lambda old, new: old + new if new else None, state, emit)
    every = result(fold.process(chunk_of(("a", 5, 50), ("a", 0, 60))))
    flushed = result(fold.flush(0))
    assert (every or flushed)[-1] == ("a", None, 60)
    state.on_committed()
    every = result(fold.process(chunk_of(("a", 2, 10))))
    assert (every or result(fold.flush(0))) == [("a", 2, 10)]


def test_a_mutable_result_that_is_changed_in_place_is_emitted_as_it_was() -> None:
    def append(old: list[int], new: int) -> list[int]:
        old.append(new)
        return old

    state = make_state("json")
    fold = folder(append, state, initial=list)
    emitted = fold.process(chunk_of(("a", 1, 1), ("a", 2, 2), ("a", 3, 3)))
    assert emitted.values == [[1], [1, 2], [1, 2, 3]]
    assert emitted.values is not None
    emitted.values[2].append(99)
    assert state.get("a") == [1, 2, 3]


def test_a_mutable_result_of_a_flush_is_a_copy() -> None:
    state = make_state("json")
    fold = folder(lambda old, new: [*old, new], state, "latest", initial=list)
    fold.process(chunk_of(("a", 1, 1)))
    flushed = fold.flush(0)
    assert flushed is not None
    assert flushed.values is not None
    flushed.values[0].append(99)
    assert state.get("a") == [1]


def test_a_mutable_key_of_a_flush_is_a_copy() -> None:
    state = make_state(int, key="json")
    count = counter("latest", state)
    for number in (1, 2):
        count.process(chunk_of(([7], "x", number)))
        flushed = count.flush(0)
        state.on_committed()
        assert flushed is not None
        assert flushed.keys == [[7]]
        flushed.keys[0].append(99)


def test_a_store_of_values_that_cannot_be_read_says_which() -> None:
    store = MemoryStore()
    store.write([(b"a", bytes(8) + b"not a long")], None)
    state = KeyValueState("s", serde_for(str), serde_for(int), store, None)
    with pytest.raises(StateError, match="store 'c': what it holds cannot be read as int"):
        counter("latest", state).process(chunk_of(("a", "x", 1)))


def test_the_store_does_not_share_the_value_of_a_row() -> None:
    row = {"n": 1}
    state = make_state("json")
    fold = folder(lambda old, new: new, state)
    fold.process(chunk_of(("a", row, 1)))
    row["n"] = 99
    assert state.get("a") == {"n": 1}


@pytest.mark.parametrize("error", [ValueError, StopIteration])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_that_fails_changes_nothing_though_it_changed_the_result_in_place(
    place: int, error: type[Exception]
) -> None:
    def append(old: list[int], new: int) -> list[int]:
        old.append(new)
        if new == place:
            raise error
        return old

    state = make_state("json")
    policies = Policies()
    fold = folder(append, state, initial=list, policies=policies)
    fold.process(chunk_of(("a", 0, 1), ("a", 1, 2), ("a", 2, 3)))
    assert state.get("a") == [number for number in range(3) if number != place]
    assert policies.reports == [("processing", place)]


def test_a_result_that_the_serde_refuses_fails_its_row_and_is_not_stored() -> None:
    state = make_state(int)
    policies = Policies()
    fold = folder(lambda old, new: "x" if new == 2 else old + new, state, policies=policies)
    assert result(fold.process(chunk_of(("a", 1, 1), ("a", 2, 2), ("a", 4, 3)))) == [
        ("a", 1, 1), ("a", 5, 3),
    ]  # fmt: skip
    assert policies.reports == [("production", 1)]


def test_a_number_over_64_bits_fails_its_row_and_not_the_commit() -> None:
    state = make_state(int)
    policies = Policies()
    fold = folder(lambda old, new: old * new, state, policies=policies)
    fold.process(chunk_of(("a", 1 << 40, 1), ("a", 1 << 40, 2)))
    assert policies.reports == [("production", 1)]
    assert result(fold.flush(0)) == []
    assert state.get("a") == 1 << 40


def test_one_true_and_one_point_zero_are_three_keys() -> None:
    state = make_state(int, key="json")
    count = counter("latest", state)
    count.process(chunk_of((1, "x", 1), (True, "x", 2), (1.0, "x", 3), (1, "x", 4)))
    assert sorted((repr(key), value) for key, value in state.items()) == [
        ("1", 2), ("1.0", 1), ("True", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("key", [str, "json"])
@pytest.mark.parametrize("emit", ["every", "latest"])
def test_a_cache_that_forgets_everything_changes_nothing(emit: Emit, key: Any) -> None:
    def run(cache_bytes: int, rows: Sequence[tuple[Any, Any, int]]) -> list[tuple[Any, Any, int]]:
        state = make_state(key=key, cache_bytes=cache_bytes)
        count = counter(emit, state)
        emitted: list[tuple[Any, Any, int]] = []
        for start in range(0, len(rows), 25):
            emitted += result(count.process(chunk_of(*rows[start : start + 25])))
            emitted += result(count.flush(0))
            state.on_committed()
            state.checkpoint(None)
            state.trim()
        return emitted

    rows = [(f"k{number * 7 % 60}", 1, number) for number in range(300)]
    assert run(0, rows) == run(1 << 20, rows)
