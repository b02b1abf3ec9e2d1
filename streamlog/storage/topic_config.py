"""A topic's configuration: Kafka's keys, as strings in the metadata and typed here.

A value comes from the topic, else from the log's configuration (`log_config`), else it is Kafka's
default. The coordinators' own topics are compacted whatever the log's configuration says, as
Kafka makes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import InvalidTopicError
from streamlog.storage.config_keys import (
    MAX_LONG,
    ConfigKey,
    gzip_level,
    integer,
    invalid,
    long,
    number,
    one_of,
    only,
    parse_values,
    some_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME_LENGTH: Final = 249
METADATA_TOPIC: Final = "__streamlog_metadata"
"""Not among the topics: it says which there are."""
INTERNAL_PREFIX: Final = "__"
DAY_MS: Final = 24 * 60 * 60 * 1000
COMPACT: Final = frozenset({"compact"})
TIERED: Final = "remote.storage.enable"
_NAME = re.compile(r"[a-zA-Z0-9._-]+")

INTERNAL_CONFIGS: Final[Mapping[str, Mapping[str, str]]] = {
    "__consumer_offsets": {"cleanup.policy": "compact", "segment.bytes": str(100 << 20)},
    "__transaction_state": {"cleanup.policy": "compact", "segment.bytes": str(100 << 20)},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicConfig:
    """What a partition log follows; the defaults are Kafka's. -1 is without a limit."""

    cleanup_policy: frozenset[str] = frozenset({"delete"})
    compression_type: str = "producer"
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_zstd_level: int = 3
    delete_retention_ms: int = DAY_MS
    file_delete_delay_ms: int = 60_000
    index_interval_bytes: int = 4096
    max_compaction_lag_ms: int = MAX_LONG
    max_message_bytes: int = 1048588
    message_timestamp_after_max_ms: int = 60 * 60 * 1000
    message_timestamp_before_max_ms: int = MAX_LONG
    message_timestamp_type: str = "CreateTime"
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    retention_bytes: int = -1
    retention_ms: int = 7 * DAY_MS
    segment_bytes: int = 1 << 30
    segment_index_bytes: int = 10 << 20
    segment_jitter_ms: int = 0
    segment_ms: int = 7 * DAY_MS

    @property
    def compact(self) -> bool:
        return "compact" in self.cleanup_policy

    @property
    def delete(self) -> bool:
        """Whether retention by time and size applies; by start offset it always does."""
        return "delete" in self.cleanup_policy

    @property
    def longest_segment_ms(self) -> int:
        """When a segment ends at last: only then may it be compacted, and it may be due by then."""
        return min(self.segment_ms, self.max_compaction_lag_ms) if self.compact else self.segment_ms

    @property
    def log_append_time(self) -> bool:
        return self.message_timestamp_type == "LogAppendTime"


METADATA_CONFIG: Final = TopicConfig(cleanup_policy=COMPACT)


def parse_config(
    topic: str, config: Mapping[str, str], defaults: TopicConfig | None = None
) -> TopicConfig:
    """The typed configuration; `defaults` are the log's.

    Raises `InvalidConfigError` that lists every unknown and every wrong key.
    """
    config = {**INTERNAL_CONFIGS.get(topic, {}), **config}
    defaults = TopicConfig() if defaults is None else defaults
    if not config:
        return defaults
    values = parse_values(topic, config, TOPIC_KEYS, IGNORED_TOPIC_KEYS)
    values.pop(TIERED, None)
    parsed = replace(defaults, **{field_of(name): value for name, value in values.items()})
    faults = _conflicts(topic, parsed)
    if faults:
        raise invalid(topic, faults)
    return parsed


def field_of(key: str) -> str:
    """The attribute of `TopicConfig` that has the key's value."""
    return key.replace(".", "_")


def _conflicts(topic: str, config: TopicConfig) -> dict[str, str]:
    faults: dict[str, str] = {}
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms:
        faults["min.compaction.lag.ms"] = (
            f"{config.min_compaction_lag_ms} is more than max.compaction.lag.ms = "
            f"{config.max_compaction_lag_ms}"
        )
    if topic in INTERNAL_CONFIGS and config.cleanup_policy != COMPACT:
        faults["cleanup.policy"] = "the coordinators' own topics have to be compacted"
    return faults


def check_topic_name(name: str) -> None:
    """Raises `InvalidTopicError` for a name that Kafka would refuse, or that we need ourselves."""
    if not name:
        raise InvalidTopicError(name, "it is empty")
    if name == METADATA_TOPIC:
        raise InvalidTopicError(name, "it is the log's own")
    if name in {".", ".."}:
        raise InvalidTopicError(name, "'.' and '..' are directories")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidTopicError(name, f"longer than {MAX_NAME_LENGTH} characters")
    if not _NAME.fullmatch(name):
        raise InvalidTopicError(name, "only letters, digits, '.', '_' and '-' may be in it")


def _key(default: Any, parse: Any) -> ConfigKey:
    return ConfigKey(str(default), parse)


TOPIC_KEYS: Final[Mapping[str, ConfigKey]] = {
    "cleanup.policy": _key("delete", some_of("compact", "delete")),
    "compression.gzip.level": _key(-1, gzip_level),
    "compression.lz4.level": _key(9, integer(1, 17)),
    "compression.type": _key(
        "producer", one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
    ),
    "compression.zstd.level": _key(3, integer(-131072, 22)),
    "delete.retention.ms": _key(DAY_MS, long(0)),
    "file.delete.delay.ms": _key(60_000, long(0)),
    "index.interval.bytes": _key(4096, integer(0)),
    "max.compaction.lag.ms": _key(MAX_LONG, long(1)),
    "max.message.bytes": _key(1048588, integer(0)),
    "message.timestamp.after.max.ms": _key(3_600_000, long(0)),
    "message.timestamp.before.max.ms": _key(MAX_LONG, long(0)),
    "message.timestamp.type": _key("CreateTime", one_of("CreateTime", "LogAppendTime")),
    "min.cleanable.dirty.ratio": _key(0.5, number(0, 1)),
    "min.compaction.lag.ms": _key(0, long(0)),
    "retention.bytes": _key(-1, long(-MAX_LONG - 1)),
    "retention.ms": _key(7 * DAY_MS, long(-1)),
    "segment.bytes": _key(1 << 30, integer(14)),  # as Kafka before 4.1, which wants 1 MiB
    "segment.index.bytes": _key(10 << 20, integer(4)),
    "segment.jitter.ms": _key(0, long(0)),
    "segment.ms": _key(7 * DAY_MS, long(1)),
    TIERED: _key("false", only("false", "there is no tiered storage")),
}
IGNORED_TOPIC_KEYS: Final = frozenset(
    {
        "flush.messages",  # every flush window syncs
        "flush.ms",
        "follower.replication.throttled.replicas",
        "leader.replication.throttled.replicas",
        "local.retention.bytes",
        "local.retention.ms",
        "min.insync.replicas",
        "preallocate",  # segments always are
        "remote.log.copy.disable",
        "remote.log.delete.on.disable",
        "unclean.leader.election.enable",
    }
)
"""What Kafka knows and what means nothing without replicas or tiers: accepted by name."""
