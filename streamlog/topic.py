"""The nouns that every layer shares: a partition's name, a topic's description, isolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

Isolation = Literal["read_committed", "read_uncommitted"]


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicDescription:
    """A topic: its id, partition count and the configurations that were set on it."""

    name: str
    topic_id: UUID
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigEntry:
    """The value of a configuration key, as text, and who set it: topic, log, or nobody."""

    value: str
    source: Literal["topic", "log", "default"] = "default"
