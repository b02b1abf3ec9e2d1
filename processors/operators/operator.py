"""What an operator is to the task that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.chunk import Chunk
    from processors.operators.guard import OnFailure

FailureKind = Literal["deserialization", "processing", "production"]


class Failures(Protocol):
    """Where a failed row is reported: fails the task, counts it or makes a dead letter of it."""

    def survives(self, kind: FailureKind) -> bool:
        """Whether the task goes on after such a failure."""
        ...

    def report(
        self, kind: FailureKind, operator: str, ticket: int, error: Exception, hint: str = ""
    ) -> None:
        """Raises a `RecordError` where the policy of `kind` is to fail."""
        ...


def reporter(
    failures: Failures, kind: FailureKind, path: str, tickets: Sequence[int], hint: str = ""
) -> OnFailure:
    """Reports the row at an index of a chunk with these tickets."""

    def report(index: int, error: Exception) -> None:
        failures.report(kind, path, tickets[index], error, hint)

    return report


class Operator:
    """One step of a task: takes a chunk, gives a chunk. Owned by one task."""

    def __init__(self, path: str) -> None:
        self.path = path

    def process(self, chunk: Chunk) -> Chunk:
        """The rows that follow from these; called with rows only."""
        raise NotImplementedError

    def flush(self, next_ticket: int) -> Chunk | None:
        """At a commit, after all rows: what was held back, with tickets from `next_ticket`."""
        return None
