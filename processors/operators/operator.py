"""What an operator is to the task that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from processors.operators.chunk import merge_chunks
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.chunk import Chunk
    from processors.operators.guard import OnFailure
    from processors.operators.mark import Mark
    from streamlog.client.contract import Headers

FailureKind = Literal["deserialization", "processing", "production"]


class Origin(NamedTuple):
    """The source record that a failing row came from, as it lay in its topic."""

    topic: str
    partition: int
    offset: int | None
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Failures(Protocol):
    """Where a failed row is reported: fails the task, counts it or makes a dead letter of it."""

    def survives(self, kind: FailureKind) -> bool:
        """Whether the task goes on after such a failure."""
        ...

    def skip(self, kind: FailureKind) -> None:
        """Counts a record that is left out, whatever the policy of `kind` is."""
        ...

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        """Raises a `RecordError` where the policy of `kind` is to fail."""
        ...


class LocatingFailures(Failures, Protocol):
    """As well, for operators that keep rows for longer than the round in which they came."""

    def locate(self, ticket: int) -> Origin:
        """The record that a row of this round, or of this pass, came from."""
        ...

    def report_from(
        self,
        kind: FailureKind,
        operator: str,
        origin: Origin,
        ticket: int,
        error: Exception,
        hint: str = "",
    ) -> None:
        """As `report`, of a row whose origin the operator knows; the ticket is its place."""
        ...


def reporter(
    failures: Failures, kind: FailureKind, path: str, tickets: Sequence[int], hint: str = ""
) -> OnFailure:
    """Reports the row at an index of a chunk with these tickets."""

    def report(index: int, error: Exception) -> None:
        failures.report(kind, path, tickets[index], error, hint)

    return report


class Operator:
    """One step of a task: takes chunks, gives a chunk. Owned by one task.

    Attributes:
        path: The node's.
        sides: What it gives beside its rows, by name; `SideOperator` takes it from there.
        is_source: Whether it may give rows where no rows came in, in a round.
        late_records: How many rows came too late for it, since the start.
    """

    is_source = False
    late_records = 0

    def __init__(self, path: str) -> None:
        self.path = path
        self.sides: dict[str, list[Chunk]] = {}

    def process(self, chunk: Chunk) -> Chunk:
        """The rows that follow from these; called with rows only."""
        raise NotImplementedError

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        """The rows that follow from those of each parent; one of them has rows.

        Operators for which it matters where a row comes from have this method of their own, and
        walk their inputs in the order of the tickets; rows of one ticket in the order of parents.
        """
        return self.process(merge_chunks(inputs) if len(inputs) > 1 else inputs[0])

    def flush(self, next_ticket: int) -> Chunk | None:
        """At a commit, after all rows: what was held back, with tickets from `next_ticket`."""
        return None

    def tick(self, now_ms: int, next_ticket: int) -> Chunk | None:
        """What the wall clock brings about, with tickets from `next_ticket`."""
        return None

    def told(self, mark: Mark) -> int:
        """The stream time that a mark is to it; -1 where that says nothing."""
        return mark.told

    def next_due(self) -> int:
        """The stream time, later than its own, from which `advance` has something to do.

        `NEVER` where there is nothing to wait for.
        """
        return NEVER

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        """Stream time is `time` at least: what follows, with tickets from `next_ticket`.

        At a commit, behind the rows that came and before the flush.
        """
        return None

    def pass_on(self, mark: Mark) -> Mark:
        """What is known of time behind it."""
        return mark

    def end_round(self) -> None:
        """All of this task has seen the round."""

    def locate(self, rows: Chunk, index: int) -> Origin:
        """Where a row comes from that `flush` or `tick` gave, for the error policies."""
        raise AssertionError(f"{self.path}: no row of it has a ticket of its own")


class SideOperator(Operator):
    """The rows that another operator of the task puts to a side."""

    is_source = True

    def __init__(self, path: str, source: Operator, side: str) -> None:
        super().__init__(path)
        self._source = source
        self._side = side
        source.sides[side] = []

    def process_inputs(self, inputs: Sequence[Chunk]) -> Chunk:
        waiting, self._source.sides[self._side] = self._source.sides[self._side], []
        return merge_chunks(waiting)

    def end_round(self) -> None:
        """Nothing waits, but where the round was given up: that has not happened."""
        self._source.sides[self._side] = []
