"""What happens to a record that cannot be handled: fail, skip with a counter, or dead letter.

One policy each for deserialization, processing and production. A dead letter is the record's
original bytes, sent in the transaction that moves the position behind it, with Kafka's headers
(KIP-1034) that say what happened where.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from processors.errors import (
    DeserializationError,
    ProcessingError,
    ProductionError,
    RecordError,
)

if TYPE_CHECKING:
    from processors.operators.operator import FailureKind, Origin
    from streamlog.client.contract import Headers

Policy = Literal["fail", "skip", "dead_letter"]

HEADER_PREFIX: Final = "__streams.errors."
_ERRORS: Final[dict[FailureKind, type[RecordError]]] = {
    "deserialization": DeserializationError,
    "processing": ProcessingError,
    "production": ProductionError,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorPolicies:
    """The policies of an application. `dead_letters` is the topic, where any policy needs one."""

    deserialization: Policy = "fail"
    processing: Policy = "fail"
    production: Policy = "fail"
    dead_letters: str | None = None

    def __post_init__(self) -> None:
        for kind in _ERRORS:
            policy = self.of(kind)
            if policy not in get_args(Policy):
                known = ", ".join(map(repr, get_args(Policy)))
                raise ValueError(f"{kind} policy {policy!r}: choose one of {known}")
        if self.needs_dead_letters() and not self.dead_letters:
            raise ValueError("a policy is 'dead_letter': name the topic with dead_letters=")

    def of(self, kind: FailureKind) -> Policy:
        return getattr(self, kind)

    def needs_dead_letters(self) -> bool:
        return any(self.of(kind) == "dead_letter" for kind in _ERRORS)


class DeadLetters:
    """Dead letters waiting for the commit, as columns."""

    def __init__(self) -> None:
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.timestamps: list[int] = []
        self.headers: list[Headers] = []

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, origin: Origin, error: RecordError) -> None:
        self.keys.append(origin.key)
        self.values.append(origin.value)
        self.timestamps.append(max(origin.timestamp, 0))
        self.headers.append([*origin.headers, *describe(error)])


class FailureHandler:
    """Carries out the policies. Owned by one worker.

    `skipped` and `dead_lettered` count records a kind, since the start of the process.
    """

    def __init__(self, policies: ErrorPolicies) -> None:
        self._policies = policies
        self.skipped: Counter[FailureKind] = Counter()
        self.dead_lettered: Counter[FailureKind] = Counter()
        self.letters = DeadLetters()

    def handle(
        self, kind: FailureKind, operator: str, origin: Origin, error: Exception, hint: str = ""
    ) -> None:
        """Raises the `RecordError`, counts it, or makes a dead letter, as the policy says."""
        failure = _ERRORS[kind](
            operator,
            error,
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            key=origin.key,
            hint=hint,
        )
        match self._policies.of(kind):
            case "skip":
                self.skipped[kind] += 1
            case "dead_letter":
                self.dead_lettered[kind] += 1
                self.letters.add(origin, failure)
            case _:
                raise failure from error

    def take_letters(self) -> DeadLetters:
        """The dead letters since the last call; they belong to the open transaction."""
        letters, self.letters = self.letters, DeadLetters()
        return letters

    def counters(self) -> dict[str, int]:
        """Totals by name, only of what has happened at all."""
        totals = {"skipped": self.skipped.total(), "dead_letters": self.dead_lettered.total()}
        return {name: total for name, total in totals.items() if total}


def describe(error: RecordError) -> Headers:
    """The headers of a dead letter, in Kafka Streams' names."""
    import traceback  # not needed where nothing fails

    cause = error.error
    stack = "".join(traceback.format_exception(cause))
    offset = "" if error.offset is None else str(error.offset)
    told = {
        "exception": f"{type(cause).__module__}.{type(cause).__qualname__}",
        "message": str(cause),
        "stacktrace": stack,
        "operator": error.operator,
        "topic": error.topic,
        "partition": str(error.partition),
        "offset": offset,
    }
    return [(HEADER_PREFIX + name, text.encode()) for name, text in told.items()]
