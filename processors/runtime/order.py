"""The order in which records run, over all sources of all tasks (compiled).

The record with the lowest timestamp at the head of its source comes next, ties in the order of
the sources. Only heads are compared: within a source, records stay in the order of their offsets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_extensions import i64


SPARE: Final = 64
"""So many more records of a source are looked at than it is likely to give."""


def choose_order(columns: list[list[int]], heads: list[int], limit: int) -> list[int]:
    """The numbers of the sources to take the next records from, in order.

    It ends as soon as a source has run out, or has given `limit` records or many more than others:
    what comes next there is not known, and may be earlier than everything else.

    A record waits for those before it in its source. So it comes when the highest timestamp up to
    it does, and the order is the stable sort of all sources by that: the sort finds the runs and
    merges them, some five times as fast as a heap of heads.

    Args:
        columns: The timestamps of each source; it has at least one behind its head.
        heads: Where each source stands.
    """
    if len(columns) == 1:
        return [0] * min(len(columns[0]) - heads[0], limit)
    # The others will give about as many as the one that has least.
    least = min([len(columns[source]) - heads[source] for source in range(len(columns))])
    limit = min(limit, 2 * least + SPARE)
    dues: list[list[int]] = []
    for source in range(len(columns)):
        column = columns[source]
        dues.append(list(accumulate(column[heads[source] : heads[source] + limit], max)))
    end = min([due[-1] for due in dues])
    ending = [due[-1] for due in dues].index(end)
    due: list[int] = []
    sources: list[int] = []
    for source in range(len(dues)):
        # Of equal ones, those of the sources before the one that ends come before its last.
        found = dues[source]
        count = bisect_right(found, end) if source <= ending else bisect_left(found, end)
        due += found[:count]
        sources += [source] * count
    return [sources[place] for place in sorted(range(len(due)), key=due.__getitem__)]


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
