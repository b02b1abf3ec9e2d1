"""The loops of tables that run once a row (compiled)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

    from processors.operators.kernel import KeyedStates, Updates


def put(
    states: KeyedStates,
    keys: list[Any],
    names: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: Updates | None,
) -> None:
    """Stores every row, in its order and not that of its time; None deletes.

    Rows with a null key are left out. `names` are from `states.begin`.
    """
    entries = states.entries
    index: i64 = -1
    for name, value in zip(names, values):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None:
            continue
        entry = entries.get(name)
        if entry is None:
            entry = states.load(keys, names, index)
        timestamp: i64 = timestamps[index]
        if updates is not None:
            if updates.has_olds:
                updates.append_old(entry.value, entry.timestamp)
            updates.append(index, value, timestamp)
        entry.value = value
        entry.timestamp = timestamp
        if not entry.dirty:
            states.mark(entry)


def join_rows(
    values: list[Any],
    olds: list[Any] | None,
    timestamps: list[int],
    others: list[Any],
    other_timestamps: list[int],
    *,
    is_left: bool,
    preserved: bool,
    other_preserved: bool,
) -> tuple[list[int], list[Any], list[int]]:
    """The rows of one side of a join that go on: their indexes, (left, right) and times.

    A pair is None where the result is that there is none.

    Args:
        olds: None where all of them are.
        preserved: Whether this side's values are kept without a partner.
    """
    indexes: list[int] = []
    pairs: list[Any] = []
    times: list[int] = []
    index: i64 = -1
    for value, other in zip(values, others):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        time: i64 = timestamps[index]
        if other is None:
            if not preserved or (value is None and (olds is None or olds[index] is None)):
                continue
        else:
            other_time: i64 = other_timestamps[index]
            if other_time > time:
                time = other_time
        indexes.append(index)
        times.append(time)
        if value is None and (other is None or not other_preserved):
            pairs.append(None)
        elif is_left:
            pairs.append((value, other))
        else:
            pairs.append((other, value))
    return indexes, pairs, times


def pair_up(
    lefts: list[Any],
    left_timestamps: list[int],
    rights: list[Any],
    right_timestamps: list[int],
    left_preserved: bool,
    right_preserved: bool,
) -> tuple[list[Any], list[int]]:
    """What two tables have for each key as (left, right), and the times of the results."""
    pairs: list[Any] = []
    times: list[int] = []
    index: i64 = -1
    for left, right in zip(lefts, rights):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if left is None:
            absent = right is None or not right_preserved
        else:
            absent = right is None and not left_preserved
        if absent:
            pairs.append(None)
            times.append(-1)
        else:
            time: i64 = left_timestamps[index]
            if right_timestamps[index] > time:
                time = right_timestamps[index]
            pairs.append((left, right))
            times.append(time)
    return pairs, times


def of_pairs(joiner: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The joiner as a function of a pair, which gives None for None."""

    def join(pair: Any) -> Any:
        return None if pair is None else joiner(pair[0], pair[1])

    return join
