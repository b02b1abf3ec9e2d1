"""Rows of a stream that wait before they look up a table (compiled)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.join_waiting import closing_order
from processors.topology.timed_rows import HEADER_BYTES
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.join_waiting import WaitingRows
    from processors.operators.stream_join_kernel import Joined, JoinInput


class GraceBuffer:
    """Rows that wait for the table that they look up to have seen their time.

    A row that is not older than `stream_time` less grace is put to wait, and lets go those that are
    no newer than that; stream time is the highest timestamp that was put. They leave in the order
    of their timestamps and then of their key's bytes. An older one goes on at once.
    """

    def __init__(self, waiting: WaitingRows, grace: i64, *, keep: bool) -> None:
        self.waiting: WaitingRows = waiting
        self.grace: i64 = grace
        self.keep: bool = keep
        self.stream_time: i64 = -1

    def begin(self, stream_time: i64) -> None:
        """Before a chunk: the time as the state has it."""
        if stream_time != self.stream_time or stream_time < 0:
            self.stream_time = stream_time
            self.waiting.reset()

    def next_due_time(self) -> i64:
        """The stream time from which a row may go on."""
        first = self.waiting.first
        if first >= NEVER - self.grace:
            return NEVER
        return max(first + self.grace, self.stream_time + 1)

    def advance(self, time: i64, ticket: int, joined: Joined) -> None:
        """Stream time is `time` at least, though no row says it."""
        if time > self.stream_time:
            self.stream_time = time
            self._let_go(ticket, joined)
            self.waiting.drop_closed()

    def run(self, given: JoinInput, joined: Joined) -> None:
        """Takes rows; those that go on are in `joined`, as the left side."""
        for index in range(len(given.tickets)):
            self._row(given, index, joined)
        self.waiting.drop_closed()

    def run_beside(
        self, given: JoinInput, tickets: list[int], timestamps: list[int], joined: Joined
    ) -> list[int]:
        """As `run`, where rows of the table with these tickets and times move time on as well.

        Returns the ticket as of which each row looks the table up. Rows that one of the table lets
        go have waited for what came before it, and it may have put an end to the history.
        """
        as_of: list[int] = []
        left: i64 = 0
        right: i64 = 0
        while left < len(given.tickets) or right < len(tickets):
            if right == len(tickets) or (
                left < len(given.tickets) and given.tickets[left] <= tickets[right]
            ):
                ticket = given.tickets[left]
                self._row(given, left, joined)
                left += 1
                while len(as_of) < len(joined.keys):
                    as_of.append(ticket)
            else:
                at: i64 = timestamps[right]
                ticket = tickets[right]
                if at > self.stream_time:
                    self.stream_time = at
                    self._let_go(ticket, joined)
                right += 1
                while len(as_of) < len(joined.keys):
                    as_of.append(ticket - 1)
        self.waiting.drop_closed()
        return as_of

    def _row(self, given: JoinInput, index: i64, joined: Joined) -> None:
        row: Any = given.packed[index]
        if row is None:
            return
        timestamp: int = given.timestamps[index]
        at: i64 = timestamp
        name: Any = given.names[index]
        if name is None:
            if self.keep:
                self._pass(given, index, joined)
        elif at < self.stream_time - self.grace:
            self._pass(given, index, joined)
        else:
            key: Any = given.keys[index]
            self.waiting.put(name, key, given.key_bytes[index], timestamp, row)
            if at > self.stream_time:
                self.stream_time = at
            self._let_go(given.tickets[index], joined)

    def _pass(self, given: JoinInput, index: i64, joined: Joined) -> None:
        joined.keys.append(given.keys[index])
        joined.lefts.append(given.values[index])
        joined.timestamps.append(given.timestamps[index])
        joined.tickets.append(given.tickets[index])
        joined.origins.append(index)

    def _let_go(self, ticket: int, joined: Joined) -> None:
        closed: list[tuple[int, int, bytes, int, Any, bytes]] = []
        self.waiting.close(self.stream_time - self.grace + 1, closed)
        closed.sort(key=closing_order)
        for row in closed:
            joined.stored_lefts.append(len(joined.lefts))
            joined.lefts.append(row[5][HEADER_BYTES:])
            joined.keys.append(row[4])
            joined.timestamps.append(row[0])
            joined.tickets.append(ticket)
            joined.origins.append(NEVER)
