"""Which record a failing row came from, and the error policies for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from processors.operators.chunk import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processors.operators.operator import FailureKind, Operator, Origin
    from processors.operators.sink import Outbox
    from processors.runtime.policies import ErrorPolicies, FailureHandler
    from processors.runtime.round import Round


class Given(NamedTuple):
    """Rows that an operator gave by itself, at a commit or a tick, with tickets of their own."""

    operator: Operator
    rows: Chunk

    def locate(self, ticket: int) -> Origin:
        return self.operator.locate(self.rows, ticket - self.rows.tickets[0])


class Origins:
    """Meets `LocatingFailures` for all operators of an engine.

    Dead letters go out in the order of their tickets, as everything does: with large rounds, one
    operator has failed for all its rows before the next one starts. Those of one record go in the
    order in which the operators were written.

    Args:
        places: The place of each operator in the graph as written, by path.
    """

    def __init__(
        self,
        handler: FailureHandler,
        policies: ErrorPolicies,
        outbox: Outbox,
        places: Mapping[str, int],
    ) -> None:
        self.round: Round | None = None
        self._handler = handler
        self._policies = policies
        self._outbox = outbox
        self._places = places
        self._given: list[Given] = []
        self._letter_tickets: list[int] = []
        self._letter_places: list[int] = []

    def survives(self, kind: FailureKind) -> bool:
        return self._policies.of(kind) != "fail"

    def skip(self, kind: FailureKind) -> None:
        self._handler.skipped[kind] += 1

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        self.report_from(kind, operator, self.locate(ticket), ticket, error, hint)

    def report_from(
        self,
        kind: FailureKind,
        operator: str,
        origin: Origin,
        ticket: int,
        error: Exception,
        hint: str = "",
    ) -> None:
        before = len(self._handler.letters)
        self._handler.handle(kind, operator, origin, error, hint)
        if len(self._handler.letters) > before:
            self._letter_tickets.append(ticket)
            self._letter_places.append(self._places.get(operator, len(self._places)))

    def coordinates(self, tickets: Sequence[int]) -> list[tuple[str, int, int]]:
        """Topic, partition and offset of records of this round."""
        if self.round is None:
            raise LookupError("these rows are results, and no records of a topic")
        return self.round.coordinates(tickets)

    def add_given(self, operator: Operator, rows: Chunk) -> None:
        self._given.append(Given(operator, rows))

    def end_round(self) -> None:
        self.round = None
        self._given.clear()
        if not self._letter_tickets:
            return
        letters = self._handler.take_letters()
        assert self._policies.dead_letters is not None
        tickets = self._letter_tickets
        ranks = list(zip(tickets, self._letter_places, strict=True))
        order = sorted(range(len(tickets)), key=ranks.__getitem__)
        rows = Chunk(letters.keys, letters.values, letters.timestamps, tickets, letters.headers)
        self._outbox.add(self._policies.dead_letters, rows.take(order))
        self._letter_tickets = []
        self._letter_places = []

    def clear(self) -> None:
        """An abort: what is not committed has not happened."""
        self.round = None
        self._given.clear()
        self._letter_tickets = []
        self._letter_places = []
        self._handler.take_letters()

    def locate(self, ticket: int) -> Origin:
        for given in self._given:
            if given.rows.tickets[0] <= ticket <= given.rows.tickets[-1]:
                return given.locate(ticket)
        assert self.round is not None, "a row fails in its round"
        return self.round.locate(ticket)
