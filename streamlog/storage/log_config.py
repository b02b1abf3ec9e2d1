"""The log's own configuration: Kafka's broker keys, as strings in the metadata and typed here.

Some are the defaults of topics (`log.retention.ms` is the `retention.ms` of each topic that has
none), and of those some have names with coarser units; the finest one counts, as in Kafka.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from streamlog.storage.config_keys import (
    MAX_INT,
    MAX_LONG,
    ConfigKey,
    boolean,
    integer,
    invalid,
    long,
    number,
    parse_values,
)
from streamlog.storage.ignored_config import IGNORED_LOG_KEYS
from streamlog.storage.topic_config import (
    INTERNAL_CONFIGS,
    TOPIC_KEYS,
    TopicConfig,
    field_of,
)
from streamlog.topic import ConfigEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR_MS: Final = 60 * 60 * 1000
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """What a log directory follows. Defaults are Kafka's, but for the delay of a first rebalance.

    Attributes are named as the keys are, with `_` for `.`.
    """

    topic_defaults: TopicConfig = field(default_factory=TopicConfig)
    group_initial_rebalance_delay_ms: int = 0
    group_max_session_timeout_ms: int = 30 * 60 * 1000
    group_max_size: int = MAX_INT
    group_min_session_timeout_ms: int = 6_000
    log_cleaner_backoff_ms: int = 15_000
    log_cleaner_dedupe_buffer_size: int = 128 << 20
    log_cleaner_enable: bool = True
    log_cleaner_io_buffer_load_factor: float = 0.9
    log_cleaner_io_buffer_size: int = 512 << 10
    log_cleaner_io_max_bytes_per_second: float = 1.7976931348623157e308
    log_cleaner_threads: int = 1
    log_initial_task_delay_ms: int = 30_000
    log_retention_check_interval_ms: int = 5 * 60 * 1000
    offset_metadata_max_bytes: int = 4096
    offsets_retention_check_interval_ms: int = 10 * 60 * 1000
    offsets_retention_minutes: int = 7 * 24 * 60
    producer_id_expiration_check_interval_ms: int = 10 * 60 * 1000
    producer_id_expiration_ms: int = DAY_MS
    transaction_abort_timed_out_transaction_cleanup_interval_ms: int = 10_000
    transaction_max_timeout_ms: int = 15 * 60 * 1000
    transaction_remove_expired_transaction_cleanup_interval_ms: int = HOUR_MS
    transactional_id_expiration_ms: int = 7 * DAY_MS


def parse_log_config(config: Mapping[str, str]) -> LogConfig:
    """The typed configuration.

    Raises `InvalidConfigError` that lists every unknown and every wrong key.
    """
    if not config:
        return LogConfig()
    values = parse_values(None, config, LOG_KEYS, IGNORED_LOG_KEYS)
    defaults = {
        field_of(key): default[0]
        for key in TOPIC_KEYS
        if (default := _topic_default(key, values)) is not None
    }
    own = {field_of(key): value for key, value in values.items() if key in OWN_KEYS}
    parsed = LogConfig(topic_defaults=replace(TopicConfig(), **defaults), **own)
    faults = _conflicts(parsed)
    if faults:
        raise invalid(None, faults)
    return parsed


def log_entries(config: Mapping[str, str]) -> dict[str, ConfigEntry]:
    """Every key that means something, and those that were set; `config` is valid."""
    values = parse_values(None, config, LOG_KEYS, IGNORED_LOG_KEYS)
    entries = {key: ConfigEntry(value=each.default) for key, each in LOG_KEYS.items()}
    entries = {key: entry for key, entry in entries.items() if entry.value}
    for key, synonyms in TOPIC_SYNONYMS.items():
        default = _topic_default(key, values)
        if default is not None:
            entries[synonyms[0][0]] = ConfigEntry(value=default[1], source="log")
    for key, value in config.items():
        entries[key] = ConfigEntry(value=value, source="log")
    return dict(sorted(entries.items()))


def topic_entries(
    topic: str, config: Mapping[str, str], log_config: Mapping[str, str]
) -> dict[str, ConfigEntry]:
    """Every key of a topic with where its value comes from; both configurations are valid."""
    values = parse_values(None, log_config, LOG_KEYS, IGNORED_LOG_KEYS)
    entries: dict[str, ConfigEntry] = {}
    for key, each in TOPIC_KEYS.items():
        default = _topic_default(key, values)
        entries[key] = ConfigEntry(value=each.default)
        if default is not None:
            entries[key] = ConfigEntry(value=default[1], source="log")
    for key, value in (*INTERNAL_CONFIGS.get(topic, {}).items(), *config.items()):
        entries[key] = ConfigEntry(value=value, source="topic")
    return dict(sorted(entries.items()))


def _topic_default(key: str, values: Mapping[str, Any]) -> tuple[Any, str] | None:
    """What the log's configuration says of a topic's key: the value, and as text."""
    for name, unit in TOPIC_SYNONYMS.get(key, ()):
        if name in values:
            value = values[name]
            if unit is not None and value >= 0:
                value *= unit
            text = ",".join(sorted(value)) if key == "cleanup.policy" else str(value)
            return value, text
    return None


def _conflicts(config: LogConfig) -> dict[str, str]:
    faults: dict[str, str] = {}
    if config.group_min_session_timeout_ms > config.group_max_session_timeout_ms:
        faults["group.min.session.timeout.ms"] = (
            f"{config.group_min_session_timeout_ms} is more than group.max.session.timeout.ms = "
            f"{config.group_max_session_timeout_ms}"
        )
    topics = config.topic_defaults
    if topics.min_compaction_lag_ms > topics.max_compaction_lag_ms:
        faults["log.cleaner.min.compaction.lag.ms"] = (
            f"{topics.min_compaction_lag_ms} is more than log.cleaner.max.compaction.lag.ms = "
            f"{topics.max_compaction_lag_ms}"
        )
    return faults


def _unlimited_or_positive(high: int) -> Any:
    """-1, or from 1 on: Kafka refuses 0 here, and nowhere else."""
    read = integer(-1, high)

    def parse(text: str) -> int:
        value = read(text)
        if value == 0:
            raise ValueError("0 is neither -1 (unlimited) nor at least 1")
        return value

    return parse


TOPIC_SYNONYMS: Final[Mapping[str, tuple[tuple[str, int | None], ...]]] = {
    "cleanup.policy": (("log.cleanup.policy", None),),
    "compression.gzip.level": (("compression.gzip.level", None),),
    "compression.lz4.level": (("compression.lz4.level", None),),
    "compression.type": (("compression.type", None),),
    "compression.zstd.level": (("compression.zstd.level", None),),
    "delete.retention.ms": (("log.cleaner.delete.retention.ms", None),),
    "file.delete.delay.ms": (("log.segment.delete.delay.ms", None),),
    "index.interval.bytes": (("log.index.interval.bytes", None),),
    "max.compaction.lag.ms": (("log.cleaner.max.compaction.lag.ms", None),),
    "max.message.bytes": (("message.max.bytes", None),),
    "message.timestamp.after.max.ms": (("log.message.timestamp.after.max.ms", None),),
    "message.timestamp.before.max.ms": (("log.message.timestamp.before.max.ms", None),),
    "message.timestamp.type": (("log.message.timestamp.type", None),),
    "min.cleanable.dirty.ratio": (("log.cleaner.min.cleanable.ratio", None),),
    "min.compaction.lag.ms": (("log.cleaner.min.compaction.lag.ms", None),),
    "retention.bytes": (("log.retention.bytes", None),),
    "retention.ms": (
        ("log.retention.ms", 1),
        ("log.retention.minutes", 60_000),
        ("log.retention.hours", HOUR_MS),
    ),
    "segment.bytes": (("log.segment.bytes", None),),
    "segment.index.bytes": (("log.index.size.max.bytes", None),),
    "segment.jitter.ms": (("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)),
    "segment.ms": (("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)),
}
"""The names of a topic's key in the log's configuration, the one that counts first, and units."""

OWN_KEYS: Final[Mapping[str, ConfigKey]] = {
    "group.initial.rebalance.delay.ms": ConfigKey("0", integer(0)),
    "group.max.session.timeout.ms": ConfigKey("1800000", integer(1)),
    "group.max.size": ConfigKey(str(MAX_INT), integer(1)),
    "group.min.session.timeout.ms": ConfigKey("6000", integer(1)),
    "log.cleaner.backoff.ms": ConfigKey("15000", long(0)),
    "log.cleaner.dedupe.buffer.size": ConfigKey(str(128 << 20), long(1)),
    "log.cleaner.enable": ConfigKey("true", boolean),
    "log.cleaner.io.buffer.load.factor": ConfigKey("0.9", number(0, 1)),
    "log.cleaner.io.buffer.size": ConfigKey(str(512 << 10), integer(0)),
    "log.cleaner.io.max.bytes.per.second": ConfigKey("1.7976931348623157E308", number(0)),
    "log.cleaner.threads": ConfigKey("1", integer(0)),
    "log.initial.task.delay.ms": ConfigKey("30000", long(0)),
    "log.retention.check.interval.ms": ConfigKey("300000", long(1)),
    "offset.metadata.max.bytes": ConfigKey("4096", integer(0)),
    "offsets.retention.check.interval.ms": ConfigKey("600000", long(1)),
    "offsets.retention.minutes": ConfigKey("10080", integer(1)),
    "producer.id.expiration.check.interval.ms": ConfigKey("600000", integer(1)),
    "producer.id.expiration.ms": ConfigKey("86400000", integer(1)),
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": ConfigKey("10000", integer(1)),
    "transaction.max.timeout.ms": ConfigKey("900000", integer(1)),
    "transaction.remove.expired.transaction.cleanup.interval.ms": ConfigKey("3600000", integer(1)),
    "transactional.id.expiration.ms": ConfigKey("604800000", integer(1)),
}

_OTHER_RULES: Final[Mapping[str, Any]] = {
    "log.retention.ms": _unlimited_or_positive(MAX_LONG),
    "log.retention.minutes": _unlimited_or_positive(MAX_INT),
    "log.retention.hours": _unlimited_or_positive(MAX_INT),
    "log.roll.hours": integer(1),
    "log.roll.jitter.hours": integer(0),
}


def _synonym_keys() -> dict[str, ConfigKey]:
    """Without a default where another name of the same value has it."""
    keys: dict[str, ConfigKey] = {}
    for key, synonyms in TOPIC_SYNONYMS.items():
        for place, (name, _) in enumerate(synonyms):
            parse = _OTHER_RULES.get(name, TOPIC_KEYS[key].parse)
            keys[name] = ConfigKey("" if place else TOPIC_KEYS[key].default, parse)
    return keys


LOG_KEYS: Final[Mapping[str, ConfigKey]] = {**_synonym_keys(), **OWN_KEYS}
