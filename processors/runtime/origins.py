"""Which record a failing row came from, and the error policies for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.operators.chunk import Chunk
from processors.runtime.policies import Origin
from streamlog.partitioner import partition_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.kernel import KeyedStates
    from processors.operators.operator import FailureKind
    from processors.operators.sink import Outbox
    from processors.runtime.policies import ErrorPolicies, FailureHandler
    from processors.runtime.round import Round


@dataclass(frozen=True, slots=True)
class Flushed:
    """Rows that a store gave at a commit; they have tickets of their own."""

    states: KeyedStates
    partitions: tuple[int, ...]
    changelog: str
    rows: Chunk

    def locate(self, ticket: int) -> Origin:
        """A store's row, as its changelog has it; its offset there is not known yet."""
        row = ticket - self.rows.tickets[0]
        assert self.rows.keys is not None
        assert self.rows.values is not None
        key: bytes = self.states.key_serde.serialize(self.rows.keys[row])
        value = self.rows.values[row]
        return Origin(
            self.changelog,
            self.partitions[partition_for(key, len(self.partitions))],
            None,
            self.rows.timestamps[row],
            key,
            None if value is None else self.states.states[0].value_serde.serialize(value),
            [],
        )


class Origins:
    """Meets `Failures` for all operators of an engine.

    Dead letters go out in the order of their tickets, as everything does: with large rounds, one
    operator has failed for all its rows before the next one starts.
    """

    def __init__(self, handler: FailureHandler, policies: ErrorPolicies, outbox: Outbox) -> None:
        self.round: Round | None = None
        self._handler = handler
        self._policies = policies
        self._outbox = outbox
        self._flushed: list[Flushed] = []
        self._letter_tickets: list[int] = []

    def survives(self, kind: FailureKind) -> bool:
        return self._policies.of(kind) != "fail"

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        before = len(self._handler.letters)
        self._handler.handle(kind, operator, self._locate(ticket), error, hint)
        if len(self._handler.letters) > before:
            self._letter_tickets.append(ticket)

    def coordinates(self, tickets: Sequence[int]) -> list[tuple[str, int, int]]:
        """Topic, partition and offset of records of this round."""
        assert self.round is not None, "records() stands where rows are source records"
        return self.round.coordinates(tickets)

    def add_flushed(self, flushed: Flushed) -> None:
        self._flushed.append(flushed)

    def end_round(self) -> None:
        self.round = None
        self._flushed.clear()
        if not self._letter_tickets:
            return
        letters = self._handler.take_letters()
        assert self._policies.dead_letters is not None
        tickets = self._letter_tickets
        order = sorted(range(len(tickets)), key=tickets.__getitem__)
        rows = Chunk(letters.keys, letters.values, letters.timestamps, tickets, letters.headers)
        self._outbox.add(self._policies.dead_letters, rows.take(order))
        self._letter_tickets = []

    def clear(self) -> None:
        """An abort: what is not committed has not happened."""
        self.round = None
        self._flushed.clear()
        self._letter_tickets = []
        self._handler.take_letters()

    def _locate(self, ticket: int) -> Origin:
        for flushed in self._flushed:
            if flushed.rows.tickets[0] <= ticket <= flushed.rows.tickets[-1]:
                return flushed.locate(ticket)
        assert self.round is not None, "a row fails in its round"
        return self.round.locate(ticket)
