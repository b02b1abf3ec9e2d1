"""The configurations of topics and of the log: Kafka's names, defaults and bounds."""

from __future__ import annotations

import pytest

from streamlog.errors import InvalidConfigError
from streamlog.storage.log_config import (
    LOG_KEYS,
    OWN_KEYS,
    LogConfig,
    log_entries,
    parse_log_config,
    topic_entries,
)
from streamlog.storage.topic_config import (
    TIERED,
    TOPIC_KEYS,
    TopicConfig,
    field_of,
    parse_config,
)
from streamlog.topic import ConfigEntry


def test_the_defaults_of_a_topic_are_what_the_keys_say() -> None:
    defaults = {key: each.default for key, each in TOPIC_KEYS.items()}
    assert parse_config("t", {}) == parse_config("t", defaults) == TopicConfig()
    assert {field_of(key) for key in TOPIC_KEYS if key != TIERED} == set(TopicConfig.__slots__)
    assert TopicConfig().retention_ms == 7 * 24 * 60 * 60 * 1000


def test_the_defaults_of_the_log_are_what_the_keys_say() -> None:
    defaults = {key: each.default for key, each in LOG_KEYS.items() if each.default}
    assert parse_log_config({}) == parse_log_config(defaults) == LogConfig()
    assert {field_of(key) for key in OWN_KEYS} | {"topic_defaults"} == set(LogConfig.__slots__)


def test_values_are_read_as_kafka_reads_them() -> None:
    parsed = parse_config(
        "t",
        {
            "segment.bytes": " 1000 ",
            "message.timestamp.type": "LogAppendTime",
            "cleanup.policy": "compact, delete",
            "retention.ms": "-1",
            "min.cleanable.dirty.ratio": "1e-2",
            "compression.type": "zstd",
            "min.insync.replicas": "2",
            "remote.storage.enable": "False",
        },
    )
    assert parsed == TopicConfig(
        segment_bytes=1000,
        message_timestamp_type="LogAppendTime",
        cleanup_policy=frozenset({"compact", "delete"}),
        retention_ms=-1,
        min_cleanable_dirty_ratio=0.01,
        compression_type="zstd",
    )
    assert parsed.log_append_time
    assert parsed.compact
    assert parsed.delete


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("segment.byte", "1", "did you mean 'segment.bytes'"),
        ("segment.bytes", "many", "'many' is not a whole number"),
        ("segment.bytes", "3", "3 is not between 14 and 2147483647"),
        ("segment.ms", "0", "0 is not between 1 and"),
        ("retention.ms", "-2", "-2 is not between -1 and"),
        ("retention.ms", str(1 << 63), "is not between"),
        ("cleanup.policy", "compress", "'compress' is none of compact, delete"),
        ("cleanup.policy", "", "'' is none of"),
        ("compression.type", "ZSTD", "is none of uncompressed, zstd"),
        ("compression.gzip.level", "0", "0 is neither between 1 and 9 nor -1"),
        ("message.timestamp.type", "Never", "is none of CreateTime, LogAppendTime"),
        ("min.cleanable.dirty.ratio", "nan", "nan is not between 0 and 1"),
        ("min.cleanable.dirty.ratio", "half", "'half' is not a number"),
        ("remote.storage.enable", "true", "there is no tiered storage"),
    ],
)
def test_what_is_unknown_or_wrong_is_refused_by_name(key: str, value: str, reason: str) -> None:
    with pytest.raises(InvalidConfigError, match=reason) as caught:
        parse_config("t", {key: value})
    assert caught.value.key == key


def test_all_faults_of_a_configuration_are_said_at_once() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        parse_config("t", {"cleanup.policy": "compress", "segment.mz": "1", "segment.ms": "1"})
    assert "'compress'" in str(caught.value)
    assert "did you mean 'segment.ms'" in str(caught.value)


def test_compaction_lags_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"is more than max\.compaction\.lag\.ms = 9"):
        parse_config("t", {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "9"})
    with pytest.raises(InvalidConfigError, match="is more than"):
        parse_log_config(
            {"log.cleaner.min.compaction.lag.ms": "2", "log.cleaner.max.compaction.lag.ms": "1"}
        )


def test_the_logs_configuration_gives_topics_their_defaults() -> None:
    log = {"log.retention.hours": "2", "log.segment.bytes": "5000", "log.cleanup.policy": "compact"}
    defaults = parse_log_config(log).topic_defaults
    assert defaults.retention_ms == 2 * 60 * 60 * 1000
    assert parse_config("t", {"segment.bytes": "100"}, defaults) == TopicConfig(
        retention_ms=2 * 60 * 60 * 1000, segment_bytes=100, cleanup_policy=frozenset({"compact"})
    )
    entries = topic_entries("t", {"segment.bytes": "100"}, log)
    assert entries["segment.bytes"] == ConfigEntry(value="100", source="topic")
    assert entries["retention.ms"] == ConfigEntry(value="7200000", source="log")
    assert entries["segment.ms"] == ConfigEntry(value="604800000", source="default")
    assert set(entries) == set(TOPIC_KEYS)


@pytest.mark.parametrize(
    ("config", "retention_ms"),
    [
        ({"log.retention.hours": "1"}, 3_600_000),
        ({"log.retention.hours": "1", "log.retention.minutes": "1"}, 60_000),
        ({"log.retention.hours": "1", "log.retention.minutes": "1", "log.retention.ms": "7"}, 7),
        ({"log.retention.hours": "-1"}, -1),
        ({"log.retention.ms": "-1", "log.retention.hours": "1"}, -1),
    ],
)
def test_of_several_names_for_one_value_the_finest_counts(
    config: dict[str, str], retention_ms: int
) -> None:
    assert parse_log_config(config).topic_defaults.retention_ms == retention_ms
    assert log_entries(config)["log.retention.ms"].value == str(retention_ms)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("log.retention.ms", "0", "0 is neither -1"),
        ("log.retention.mz", "1", "did you mean 'log.retention.ms'"),
        ("retention.ms", "1", "did you mean 'log.retention.ms'"),
        ("log.cleaner.enable", "maybe", "neither true nor false"),
        ("group.min.session.timeout.ms", "9999999", "is more than group.max.session.timeout.ms"),
    ],
)
def test_what_is_unknown_or_wrong_for_the_log_is_refused_by_name(
    key: str, value: str, reason: str
) -> None:
    with pytest.raises(InvalidConfigError, match=reason) as caught:
        parse_log_config({key: value})
    assert caught.value.key == key
    assert "the log" in str(caught.value)


def test_what_means_nothing_here_is_accepted_by_name() -> None:
    assert parse_log_config({"num.network.threads": "8", "listeners": "x"}) == LogConfig()
    assert log_entries({"num.network.threads": "8"})["num.network.threads"].source == "log"


def test_a_coordinators_topic_is_compacted_whatever_the_log_says() -> None:
    defaults = parse_log_config({"log.cleanup.policy": "delete"}).topic_defaults
    assert parse_config("__consumer_offsets", {}, defaults).cleanup_policy == {"compact"}
    with pytest.raises(InvalidConfigError, match="have to be compacted"):
        parse_config("__transaction_state", {"cleanup.policy": "delete"})
