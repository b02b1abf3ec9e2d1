"""The order in which records run, over all sources of all tasks (compiled).

The record with the lowest timestamp at the head of its source comes next, ties in the order of
the sources. Only heads are compared: within a source, records stay in the order of their offsets.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_extensions import i64


def choose_order(columns: list[list[int]], heads: list[int], limit: int) -> list[int]:
    """The numbers of the sources to take the next records from, in order.

    It ends as soon as a source has run out, or has given `limit` records: what comes next there is
    not known, and may be earlier than everything else.

    A record waits for those before it in its source. So it comes when the highest timestamp up to
    it does, and the order is the stable sort of all sources by that: the sort finds the runs and
    merges them, some five times as fast as a heap of heads.

    Args:
        columns: The timestamps of each source; it has at least one behind its head.
        heads: Where each source stands.
    """
    if len(columns) == 1:
        return [0] * min(len(columns[0]) - heads[0], limit)
    due: list[int] = []
    sources: list[int] = []
    end: tuple[int, int] | None = None
    for source, column in enumerate(columns):
        due += accumulate(column[heads[source] : heads[source] + limit], max)
        sources += [source] * (len(due) - len(sources))
        last = (due[-1], len(due) - 1)
        end = last if end is None else min(end, last)
    assert end is not None
    order = sorted(range(len(due)), key=due.__getitem__)
    del order[order.index(end[1]) + 1 :]
    return list(map(sources.__getitem__, order))


def gather(
    order: list[int], wanted: list[bool], columns: list[list[Any]], starts: list[int]
) -> list[Any]:
    """One column of the wanted sources' columns, in the order of `choose_order`.

    Args:
        columns: A column a source; those of sources that are not wanted are not looked at.
        starts: Where the sources stood before the order was chosen.
    """
    positions = list(starts)
    gathered: list[Any] = []
    for source in order:
        if wanted[source]:
            position = positions[source]
            gathered.append(columns[source][position])
            positions[source] = position + 1
    return gathered


def split_tickets(order: list[int], sources: i64, first: i64) -> list[list[int]]:
    """The tickets of each source, where the order's first record has the ticket `first`."""
    tickets: list[list[int]] = [[] for _ in range(sources)]
    ticket: i64 = first
    for source in order:
        tickets[source].append(ticket)
        ticket += 1
    return tickets
