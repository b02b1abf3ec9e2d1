"""The order in which records run, over all sources of all tasks (compiled).

The record with the lowest timestamp at the head of its source comes next, ties in the order of
the sources. Only heads are compared: within a source, records stay in the order of their offsets.
So a record waits for those before it in its source: it is due at the highest timestamp up to it,
and the order is the stable merge of all sources by that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_extensions import i64


SPARE: Final = 64
"""So many more records of a source are looked at first than it is likely to give."""


def due_times(columns: list[list[int]], heads: list[int], limit: int) -> list[list[int]]:
    """When the next records of each source are due: all of which the order is known.

    It is known until a source has run out, or has given `limit` records or many more than others:
    what comes next there may be earlier than everything else.

    Args:
        columns: The timestamps of each source; it has at least one behind its head.
        heads: Where each source stands.
    """
    guess = limit
    if len(columns) > 1:
        # The others will give about as many as the one that has least, if that is soon due.
        least = min([len(columns[source]) - heads[source] for source in range(len(columns))])
        guess = min(limit, 2 * least + SPARE)
    while True:
        dues: list[list[int]] = []
        for source in range(len(columns)):
            head = heads[source]
            dues.append(_highest_so_far(columns[source][head : head + guess]))
        ends = [due[-1] for due in dues]
        end = min(ends)
        ending = ends.index(end)
        if guess == limit or heads[ending] + guess >= len(columns[ending]):
            break
        # It has more: one that has few would cut a backlog before it into rounds as small.
        guess = min(limit, 4 * guess)
    for source in range(len(dues)):
        count = count_due(dues[source], end, source <= ending)
        if count < len(dues[source]):
            dues[source] = dues[source][:count]
    return dues


def count_due(due: list[int], time: int, at_time: bool) -> int:
    """How many records of a source are due before a time, and those due at it where asked."""
    return bisect_right(due, time) if at_time else bisect_left(due, time)


def merge_sources(dues: list[list[Any]]) -> list[int]:
    """The places of all records in order, where the rows of each source follow the last one's."""
    merged: list[tuple[list[Any], list[int]]] = []
    base = 0
    for due in dues:
        merged.append((due, list(range(base, base + len(due)))))
        base += len(due)
    while len(merged) > 1:
        pairs: list[tuple[list[Any], list[int]]] = []
        for left in range(0, len(merged) - 1, 2):
            pairs.append(_merge_two(merged[left], merged[left + 1]))
        if len(merged) % 2:
            pairs.append(merged[-1])
        merged = pairs
    return merged[0][1]


def split_tickets(places: list[int], sources: list[int], count: i64, first: i64) -> list[list[int]]:
    """The tickets of each of `count` sources.

    Args:
        places: Those of records with the tickets `first`, `first + 1` and so on.
        sources: Of each place, the number of its source.
    """
    tickets: list[list[int]] = [[] for _ in range(count)]
    ticket: i64 = first
    for place in places:
        tickets[sources[place]].append(ticket)
        ticket += 1
    return tickets


def _highest_so_far(column: list[Any]) -> list[Any]:
    """The column itself where it ascends, as most do."""
    top: i64 = column[0]
    for time in column:
        now: i64 = time
        if now < top:
            return _raise(column)
        top = now
    return column


def _raise(column: list[Any]) -> list[Any]:
    raised: list[Any] = []
    highest: Any = column[0]
    top: i64 = highest
    for time in column:
        now: i64 = time
        if now > top:
            top = now
            highest = time
        raised.append(highest)
    return raised


def _merge_two(
    one: tuple[list[Any], list[Any]], other: tuple[list[Any], list[Any]]
) -> tuple[list[Any], list[Any]]:
    """Due times and places of both, ascending; `one` comes first at equal times.

    Objects are handed on as they are (Any): as numbers they would be made anew.
    """
    dues, places = one
    if not dues:
        return other
    other_dues, other_places = other
    if not other_dues:
        return one
    merged: list[Any] = []
    merged_places: list[Any] = []
    index: i64 = 0
    beside: i64 = 0
    due: Any = dues[0]
    now: i64 = due
    other_due: Any = other_dues[0]
    then: i64 = other_due
    while True:
        if now <= then:
            merged.append(due)
            merged_places.append(places[index])
            index += 1
            if index == len(dues):
                break
            due = dues[index]
            now = due
        else:
            merged.append(other_due)
            merged_places.append(other_places[beside])
            beside += 1
            if beside == len(other_dues):
                break
            other_due = other_dues[beside]
            then = other_due
    merged += dues[index:]
    merged += other_dues[beside:]
    merged_places += places[index:]
    merged_places += other_places[beside:]
    return merged, merged_places
