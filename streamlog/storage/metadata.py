"""The metadata log: topics and blocks of producer ids, in the partition `__streamlog_metadata-0`.

Ordinary records of an ordinary partition log; the latest record of a key counts.

| key | value, JSON |
|---|---|
| `topic:<name>` | `{"id": uuid, "partitions": int, "config": {key: value}}` |
| `producer-ids` | `{"next": int}`: the first producer id that was never handed out |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from streamlog.errors import CorruptRecordError
from streamlog.record import Columns, decode_batch
from streamlog.storage.topic_config import (
    METADATA_CONFIG,
    METADATA_TOPIC,
    TopicConfig,
    parse_config,
)
from streamlog.topic import TopicDescription

if TYPE_CHECKING:
    from streamlog.storage.readable_log import FetchedBatches

METADATA_TOPIC_ID: Final = UUID(int=1)  # Kafka's id of __cluster_metadata
TOPIC_KEY: Final = b"topic:"
PRODUCER_IDS_KEY: Final = b"producer-ids"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, with its configuration parsed."""

    description: TopicDescription
    config: TopicConfig


METADATA: Final = Topic(
    TopicDescription(name=METADATA_TOPIC, topic_id=METADATA_TOPIC_ID, partitions=1, config={}),
    METADATA_CONFIG,
)


class Metadata:
    """What the metadata log says. Pure; the log directory's lock guards it."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.next_producer_id = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Takes in the next record. Unknown keys are for later versions, and left alone."""
        if key is None or value is None:
            return
        if key == PRODUCER_IDS_KEY:
            self.next_producer_id = msgspec.json.decode(value)["next"]
        elif key.startswith(TOPIC_KEY):
            name = key[len(TOPIC_KEY) :].decode()
            self.topics[name] = _decode_topic(name, msgspec.json.decode(value))

    def apply_batches(self, fetched: FetchedBatches) -> None:
        """Takes in whole batches. Raises `CorruptLogError` for a damaged one."""
        columns, position = Columns(), 0
        try:
            while position < len(fetched.data):
                position = decode_batch(fetched.data, position, columns)
        except CorruptRecordError as error:
            raise fetched.place(error) from error
        for key, value in zip(columns.keys, columns.values, strict=True):
            self.apply(key, value)


def encode_topic(topic: TopicDescription) -> tuple[bytes, bytes]:
    """Key and value of the record that creates the topic."""
    value = {
        "id": str(topic.topic_id),
        "partitions": topic.partitions,
        "config": dict(topic.config),
    }
    return TOPIC_KEY + topic.name.encode(), msgspec.json.encode(value)


def encode_next_producer_id(next_id: int) -> tuple[bytes, bytes]:
    """Key and value of the record that hands out a block of ids."""
    return PRODUCER_IDS_KEY, msgspec.json.encode({"next": next_id})


def _decode_topic(name: str, value: dict[str, Any]) -> Topic:
    description = TopicDescription(
        name=name,
        topic_id=UUID(value["id"]),
        partitions=value["partitions"],
        config=value["config"],
    )
    return Topic(description, parse_config(name, description.config))
