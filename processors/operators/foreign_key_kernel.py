"""The loops of foreign-key joins (compiled): subscribers in pages, messages and answers.

A foreign key has a power of two of pages, so that one that many refer to costs a page a change and
not all of them. They are doubled when one is full, which is a constant cost a subscriber.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

from processors.topology.foreign_key import (
    ANSWER,
    ANSWER_IF_FOUND,
    END,
    END_AND_TELL,
    Answer,
    Page,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_extensions import i64

    from processors.state.cached import KeyValueState

PAGE_SIZE = 64

_PREFIXES = [bytes([ask]) for ask in range(4)]


def page_key(foreign_key: bytes, number: i64) -> bytes:
    return foreign_key + int(number).to_bytes(4, "big")


def add(state: KeyValueState, foreign_key: bytes, subscriber: bytes, timestamp: i64) -> None:
    first = state.entry(page_key(foreign_key, 0))
    if first.value is None:
        first.value = Page(1)
    pages: i64 = first.value.pages
    entry = first
    if pages > 1:
        number: i64 = crc32(subscriber) % pages
        if number:
            entry = state.entry(page_key(foreign_key, number))
            if entry.value is None:
                entry.value = Page(0)
    subscribers: dict[bytes, None] = entry.value.subscribers
    if subscriber in subscribers:
        return
    subscribers[subscriber] = None
    entry.timestamp = timestamp
    state.mark(entry)
    if len(subscribers) > PAGE_SIZE:
        _double(state, foreign_key, pages, timestamp)


def remove(state: KeyValueState, foreign_key: bytes, subscriber: bytes, timestamp: i64) -> None:
    first = state.entry(page_key(foreign_key, 0))
    if first.value is None:
        return
    pages: i64 = first.value.pages
    entry = first
    if pages > 1:
        number: i64 = crc32(subscriber) % pages
        if number:
            entry = state.entry(page_key(foreign_key, number))
    page: Any = entry.value
    if page is None or subscriber not in page.subscribers:
        return
    del page.subscribers[subscriber]
    if not page.subscribers and (entry is not first or pages == 1):
        entry.value = None
    entry.timestamp = timestamp
    state.mark(entry)


def subscribers_of(state: KeyValueState, foreign_key: bytes) -> list[bytes]:
    """All subscribers of a foreign key, in the order of their bytes."""
    first = state.entry(page_key(foreign_key, 0))
    if first.value is None:
        return []
    found: list[bytes] = list(first.value.subscribers)
    pages: i64 = first.value.pages
    if pages > 1:
        rest = [page_key(foreign_key, number) for number in range(1, pages)]
        for entry in state.lookup(rest):
            if entry.value is not None:
                found += entry.value.subscribers
    found.sort()
    return found


def _double(state: KeyValueState, foreign_key: bytes, pages: i64, timestamp: i64) -> None:
    """Each page gives what belongs there to the page as many further on as there were pages."""
    doubled: i64 = pages * 2
    for number in range(pages):
        low = state.entry(page_key(foreign_key, number))
        if low.value is None:
            continue
        moving: dict[bytes, None] = {}
        staying: dict[bytes, None] = {}
        for subscriber in low.value.subscribers:
            if crc32(subscriber) % doubled == number:
                staying[subscriber] = None
            else:
                moving[subscriber] = None
        low.value.subscribers = staying
        if number == 0:
            low.value.pages = doubled
        elif not staying:
            low.value = None
        low.timestamp = timestamp
        state.mark(low)
        if moving:
            high = state.entry(page_key(foreign_key, number + pages))
            high.value = Page(0)
            high.value.subscribers = moving
            high.timestamp = timestamp
            state.mark(high)


class Messages:
    """What a chunk of the left table sends, and what it can answer at once.

    Rows are known by their indexes. A value at once is the left value, which has no partner, or
    None where there is no result any more.
    """

    __slots__ = ("asks", "at_once", "at_once_values", "foreign_keys", "indexes")

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.foreign_keys: list[bytes] = []
        self.asks: list[bytes] = []
        self.at_once: list[int] = []
        self.at_once_values: list[Any] = []

    def send(self, index: i64, foreign_key: bytes, ask: i64, subscriber: bytes) -> None:
        self.indexes.append(index)
        self.foreign_keys.append(foreign_key)
        self.asks.append(_PREFIXES[ask] + subscriber)

    def answer(self, index: i64, value: Any) -> None:
        self.at_once.append(index)
        self.at_once_values.append(value)


def subscribe(
    subscribers: list[bytes],
    olds: list[Any],
    values: list[Any],
    old_foreign_keys: list[Any],
    foreign_keys: list[Any],
    *,
    inner: bool,
) -> Messages:
    """The messages that follow from changes of the left table; foreign keys are bytes or None."""
    messages = Messages()
    end: i64 = END_AND_TELL if inner else END
    index: i64 = -1
    for subscriber, value, before, after in zip(  # noqa: B905 - the compiled zip knows no strict
        subscribers, values, old_foreign_keys, foreign_keys
    ):
        index += 1
        if before is not None and before != after:
            messages.send(index, before, end, subscriber)
        if after is not None:
            if inner and (before is None or before == after):
                messages.send(index, after, ANSWER_IF_FOUND, subscriber)
            else:
                messages.send(index, after, ANSWER, subscriber)
        elif inner:
            if before is not None:
                messages.answer(index, None)
        elif value is not None or olds[index] is not None:
            messages.answer(index, value)
    return messages


class Answers:
    """Rows of answers: their subscribers, times and tickets, and the rows that caused them.

    A cause is an index into the right rows, or one into the subscriptions less their number.
    """

    __slots__ = ("causes", "keys", "tickets", "timestamps", "values")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: list[Answer] = []
        self.timestamps: list[int] = []
        self.tickets: list[int] = []
        self.causes: list[int] = []

    def append(
        self, subscriber: bytes, answer: Answer, timestamp: i64, ticket: i64, cause: i64
    ) -> None:
        self.keys.append(subscriber)
        self.values.append(answer)
        self.timestamps.append(timestamp)
        self.tickets.append(ticket)
        self.causes.append(cause)


def answer_rows(
    state: KeyValueState,
    rights: tuple[list[bytes], list[Any], list[int], Sequence[int]],
    asks: tuple[list[bytes], list[bytes], list[int], Sequence[int]],
    found: tuple[list[Any], list[int]],
) -> Answers:
    """Walks changes of the right table and subscriptions by ticket, of one ticket the former first.

    Args:
        rights: Keys in bytes, values, timestamps and tickets of the right table's rows.
        asks: Foreign keys, messages, timestamps and tickets of the subscriptions.
        found: What the right table has for each subscription as of its row, and since when.
    """
    answers = Answers()
    right_keys, right_values, right_times, right_tickets = rights
    foreign_keys, messages, times, tickets = asks
    right_count: i64 = len(right_keys)
    count: i64 = len(foreign_keys)
    if right_count + count > 1:
        firsts = [page_key(key, 0) for key in right_keys]
        firsts += [page_key(key, 0) for key in foreign_keys]
        state.prefetch(firsts)
    right: i64 = 0
    index: i64 = 0
    while right < right_count or index < count:
        if index == count or (right < right_count and right_tickets[right] <= tickets[index]):
            foreign_key = right_keys[right]
            subscribers = subscribers_of(state, foreign_key)
            if subscribers:
                answer = Answer(foreign_key, False, right_values[right])
                time: i64 = right_times[right]
                ticket: i64 = right_tickets[right]
                for subscriber in subscribers:
                    answers.append(subscriber, answer, time, ticket, right)
            right += 1
            continue
        message = messages[index]
        foreign_key = foreign_keys[index]
        ask: i64 = message[0]
        subscriber = message[1:]
        time = times[index]
        ticket = tickets[index]
        if ask < ANSWER:
            remove(state, foreign_key, subscriber, time)
            if ask == END_AND_TELL:
                ended = Answer(foreign_key, True, None)
                answers.append(subscriber, ended, time, ticket, index - count)
        else:
            add(state, foreign_key, subscriber, time)
            value = found[0][index]
            if value is not None or ask == ANSWER:
                if value is not None and found[1][index] > time:
                    time = found[1][index]
                answer = Answer(foreign_key, False, value)
                answers.append(subscriber, answer, time, ticket, index - count)
        index += 1
    return answers


def resolve(
    answers: list[Answer],
    values: list[Any],
    foreign_keys: list[Any],
    *,
    inner: bool,
) -> tuple[list[int], list[Any]]:
    """The answers that hold: their indexes, and (left value, right value) or None for no result.

    An answer holds where its foreign key is the one that the left value has now. One that ends a
    subscription holds where the same one has begun again since, of which nothing else may tell.

    Args:
        values, foreign_keys: What the left table has now, and its foreign keys in bytes.
    """
    indexes: list[int] = []
    pairs: list[Any] = []
    index: i64 = -1
    for answer, value, current in zip(answers, values, foreign_keys):  # noqa: B905 - as above
        index += 1
        if current is None or answer.foreign_key != current:
            continue
        if inner and (answer.ended or answer.value is None):
            pairs.append(None)
        else:
            pairs.append((value, answer.value))
        indexes.append(index)
    return indexes, pairs
