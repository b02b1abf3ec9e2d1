"""The loops of tables that run once a row (compiled)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.kernel import KeyedStates, Updates


def put(
    states: KeyedStates,
    keys: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: Updates | None,
) -> None:
    """Stores every row, in its order and not that of its time; None deletes.

    Rows with a null key are left out.
    """
    names = states.begin(keys)
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
