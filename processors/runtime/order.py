"""The order in which records run, over all sources of all tasks (compiled).

The record with the lowest timestamp at the head of its source comes next, ties in the order of
the sources. Only heads are compared: within a source, records stay in the order of their offsets.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_extensions import i64


def choose_order(columns: list[list[int]], heads: list[int], limit: i64) -> list[int]:
    """The numbers of the sources to take the next records from, in order.

    It ends at `limit` records, or as soon as a source has run out: what comes next there is not
    known, and may be earlier than everything else.

    Args:
        columns: The timestamps of each source; it has at least one behind its head.
        heads: Where each source stands; moved on in place.
    """
    order: list[int] = []
    heap: list[tuple[int, int]] = [
        (columns[source][heads[source]], source) for source in range(len(columns))
    ]
    heapify(heap)
    taken: i64 = 0
    while taken < limit:
        source = heap[0][1]
        column = columns[source]
        position = heads[source]
        end = len(column)
        timestamp = column[position]
        bound = _runner_up(heap)
        while True:  # a run: as long as this source's head stays the lowest
            order.append(source)
            taken += 1
            position += 1
            if position == end or taken == limit:
                heads[source] = position
                return order
            timestamp = column[position]
            if bound is not None and (
                timestamp > bound[0] or (timestamp == bound[0] and source > bound[1])
            ):
                break
        heads[source] = position
        heapreplace(heap, (timestamp, source))
    return order


def _runner_up(heap: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The second lowest head."""
    if len(heap) == 1:
        return None
    if len(heap) == 2 or heap[1] < heap[2]:
        return heap[1]
    return heap[2]


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
