"""The metadata log: topics, configurations and blocks of producer ids.

Ordinary records of an ordinary partition log, `__streamlog_metadata-0`; the latest record of a key
counts, and one without a value takes it away.

| key | value, JSON |
|---|---|
| `topic:<name>` | `{"id": uuid, "partitions": int, "config": {key: value}}` |
| `deleted:<uuid>` | `{"name": str, "partitions": int}`: it may still have directories |
| `config` | `{key: value}`: the log's own configuration |
| `producer-ids` | `{"next": int}`: the first producer id that was never handed out |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from streamlog.errors import CorruptRecordError
from streamlog.record import Columns, decode_batch
from streamlog.storage.log_config import LogConfig, parse_log_config
from streamlog.storage.topic_config import (
    METADATA_CONFIG,
    METADATA_TOPIC,
    TopicConfig,
    parse_config,
)
from streamlog.topic import TopicDescription, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.storage.readable_log import ReadableLog

METADATA_PARTITION: Final = TopicPartition(METADATA_TOPIC, 0)
METADATA_TOPIC_ID: Final = UUID(int=1)  # Kafka's id of __cluster_metadata
TOPIC_KEY: Final = b"topic:"
DELETED_KEY: Final = b"deleted:"
CONFIG_KEY: Final = b"config"
PRODUCER_IDS_KEY: Final = b"producer-ids"
READ_BYTES: Final = 1 << 20

MetadataRecord = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, with its configuration parsed."""

    description: TopicDescription
    config: TopicConfig


class DeletedTopic(NamedTuple):
    """A topic that is gone, of which there may still be directories."""

    name: str
    partitions: int


METADATA: Final = Topic(
    TopicDescription(name=METADATA_TOPIC, topic_id=METADATA_TOPIC_ID, partitions=1, config={}),
    METADATA_CONFIG,
)


class Metadata:
    """What the metadata log says. Pure; the log directory's lock guards it."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.deleted: dict[UUID, DeletedTopic] = {}
        self.config: dict[str, str] = {}
        self.log_config = LogConfig()
        self.next_producer_id = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Takes in the next record. Unknown keys are for later versions, and left alone."""
        if key is None:
            return
        known = key.startswith((TOPIC_KEY, DELETED_KEY)) or key in (CONFIG_KEY, PRODUCER_IDS_KEY)
        if not known:
            return
        fields: dict[str, Any] | None = None if value is None else msgspec.json.decode(value)
        if key.startswith(TOPIC_KEY):
            self._apply_topic(key[len(TOPIC_KEY) :].decode(), fields)
        elif key.startswith(DELETED_KEY):
            topic_id = UUID(key[len(DELETED_KEY) :].decode())
            if fields is None:
                self.deleted.pop(topic_id, None)
            else:
                self.deleted[topic_id] = DeletedTopic(fields["name"], fields["partitions"])
        elif key == CONFIG_KEY:
            self.set_config(fields or {})
        elif key == PRODUCER_IDS_KEY and fields is not None:
            self.next_producer_id = fields["next"]

    def set_config(self, config: Mapping[str, str]) -> None:
        """The log's configuration has changed, and with it what topics have by default.

        Raises `InvalidConfigError`, and then nothing has changed: a topic's value may contradict
        the new default of another key.
        """
        log_config = parse_log_config(config)
        topics = {
            name: replace(topic, config=self.parse(topic.description, log_config))
            for name, topic in self.topics.items()
        }
        self.config, self.log_config, self.topics = dict(config), log_config, topics

    def parse(
        self, description: TopicDescription, log_config: LogConfig | None = None
    ) -> TopicConfig:
        """A topic's configuration with the log's defaults. Raises `InvalidConfigError`."""
        defaults = (log_config or self.log_config).topic_defaults
        return parse_config(description.name, description.config, defaults)

    def _apply_topic(self, name: str, fields: dict[str, Any] | None) -> None:
        if fields is None:
            self.topics.pop(name, None)
            return
        description = TopicDescription(
            name=name,
            topic_id=UUID(fields["id"]),
            partitions=fields["partitions"],
            config=fields["config"],
        )
        self.topics[name] = Topic(description, self.parse(description))

    def follow(self, log: ReadableLog, offset: int) -> int:
        """Takes in what the metadata log has from `offset` on; the offset to go on from.

        Raises `CorruptLogError` for a damaged batch.
        """
        while offset < log.high_watermark:
            fetched = log.read(offset, READ_BYTES)
            columns, position = Columns(), 0
            try:
                while position < len(fetched.data):
                    position = decode_batch(fetched.data, position, columns)
            except CorruptRecordError as error:
                raise fetched.place(error) from error
            for key, value in zip(columns.keys, columns.values, strict=True):
                self.apply(key, value)
            offset = fetched.next_offset
        return offset


def encode_topic(topic: TopicDescription) -> tuple[bytes, bytes]:
    """Key and value of the record that creates the topic."""
    value = {
        "id": str(topic.topic_id),
        "partitions": topic.partitions,
        "config": dict(topic.config),
    }
    return TOPIC_KEY + topic.name.encode(), msgspec.json.encode(value)


def encode_deletion(topic: TopicDescription) -> list[MetadataRecord]:
    """The records, of one batch, that take a topic away."""
    value = {"name": topic.name, "partitions": topic.partitions}
    key = DELETED_KEY + str(topic.topic_id).encode()
    return [(TOPIC_KEY + topic.name.encode(), None), (key, msgspec.json.encode(value))]


def encode_deletion_end(topic_id: UUID) -> MetadataRecord:
    """The record that says that the topic's directories have lost their names."""
    return DELETED_KEY + str(topic_id).encode(), None


def encode_config(config: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Key and value of the record that changes the log's configuration."""
    return CONFIG_KEY, msgspec.json.encode(dict(config))


def encode_next_producer_id(next_id: int) -> tuple[bytes, bytes]:
    """Key and value of the record that hands out a block of ids."""
    return PRODUCER_IDS_KEY, msgspec.json.encode({"next": next_id})
