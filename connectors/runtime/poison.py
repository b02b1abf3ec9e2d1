"""Records that cannot be converted or delivered: the policy, and the dead letter's form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from connectors.errors import PoisonRecordError

if TYPE_CHECKING:
    from connectors.config.document import Errors
    from streamlog.client.contract import Headers, TopicPartition

Stage = Literal["TASK_POLL", "TASK_PUT", "KEY_CONVERTER", "VALUE_CONVERTER"]
"""Where it failed, in Kafka Connect's names."""

_PREFIX: Final = "__connect.errors."


@dataclass(frozen=True, kw_only=True, slots=True)
class PoisonRow:
    """A poison record with its original bytes.

    `position` is where it stands in a topic (sinks); `origin` says it for a person.
    """

    origin: str
    stage: Stage
    reason: str
    key: bytes | None = None
    value: bytes | None = None
    timestamp: int | None = None
    headers: Headers | None = None
    position: tuple[TopicPartition, int] | None = None


class PoisonPolicy:
    """Decides what becomes of poison records, and counts them. Owned by one task."""

    def __init__(self, connector: str, errors: Errors) -> None:
        self._connector = connector
        self._errors = errors
        self.skipped = 0
        self.dead_letters = 0

    @property
    def dead_letter_topic(self) -> str | None:
        return self._errors.dead_letter

    def judge(self, row: PoisonRow) -> bool:
        """Whether the row goes to the dead letters; else it is left out.

        Raises:
            PoisonRecordError: nothing is tolerated.
        """
        if self._errors.tolerate == "none":
            raise PoisonRecordError(self._connector, row.origin, row.stage, row.reason)
        if self._errors.dead_letter is None:
            self.skipped += 1
            return False
        self.dead_letters += 1
        return True

    def headers_of(self, row: PoisonRow) -> Headers:
        """The record's own headers and those that Kafka Connect adds to a dead letter."""
        context = {
            "connector.name": self._connector,
            "task.id": "0",
            "stage": row.stage,
            "exception.message": row.reason,
            "origin": row.origin,
        }
        if row.position is not None:
            (topic, partition), offset = row.position
            context |= {"topic": topic, "partition": str(partition), "offset": str(offset)}
        added = [(_PREFIX + name, text.encode()) for name, text in context.items()]
        return [*(row.headers or ()), *added]

    def counters(self) -> dict[str, int]:
        """What is worth showing; nothing where nothing went wrong."""
        counters = {"skipped": self.skipped, "dead letters": self.dead_letters}
        return {name: count for name, count in counters.items() if count}
