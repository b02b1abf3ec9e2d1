"""A topic's configuration: Kafka's keys, as strings in the metadata and typed here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import InvalidConfigError, InvalidTopicError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_INT: Final = (1 << 31) - 1
MAX_LONG: Final = (1 << 63) - 1
MAX_NAME_LENGTH: Final = 249
METADATA_TOPIC: Final = "__streamlog_metadata"
"""Not among the topics: it says which there are."""
_NAME = re.compile(r"[a-zA-Z0-9._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicConfig:
    """What a partition log follows; the defaults are Kafka's."""

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * 24 * 60 * 60 * 1000
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    max_message_bytes: int = 1048588
    log_append_time: bool = False


def parse_config(topic: str, config: Mapping[str, str]) -> TopicConfig:
    """The typed configuration.

    Raises `InvalidConfigError` that lists every unknown, wrong or unsupported key.
    """
    fields: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for key, value in config.items():
        parse = _KEYS.get(key)
        try:
            if parse is None:
                raise ValueError(f"unknown{did_you_mean(key, _KEYS)}")
            fields.update(parse(value))
        except ValueError as error:
            faults[key] = str(error)
    if len(faults) == 1:
        raise InvalidConfigError(topic, *faults.popitem())
    if faults:
        reason = "; ".join(f"{key}: {fault}" for key, fault in faults.items())
        raise InvalidConfigError(topic, ", ".join(faults), reason)
    return TopicConfig(**fields)


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


def _integer(field: str, low: int, high: int = MAX_INT) -> Callable[[str], dict[str, Any]]:
    def parse(value: str) -> dict[str, Any]:
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a whole number") from None
        if not low <= number <= high:
            raise ValueError(f"{number} is not between {low} and {high}")
        return {field: number}

    return parse


def _timestamp_type(value: str) -> dict[str, Any]:
    if value not in {"CreateTime", "LogAppendTime"}:
        raise ValueError(f"{value!r} is neither CreateTime nor LogAppendTime")
    return {"log_append_time": value == "LogAppendTime"}


def _only(supported: str) -> Callable[[str], dict[str, Any]]:
    """For a key of which only the value that asks for nothing is supported."""

    def parse(value: str) -> dict[str, Any]:
        if value != supported:
            raise ValueError(f"{value!r} is not supported yet, only {supported!r} is")
        return {}

    return parse


_KEYS: Final[Mapping[str, Callable[[str], dict[str, Any]]]] = {
    "cleanup.policy": _only("delete"),
    "compression.type": _only("producer"),
    "index.interval.bytes": _integer("index_interval_bytes", 0),
    "max.message.bytes": _integer("max_message_bytes", 0),
    "message.timestamp.type": _timestamp_type,
    "retention.bytes": _only("-1"),
    "retention.ms": _only("-1"),
    "segment.bytes": _integer("segment_bytes", 14),
    "segment.index.bytes": _integer("segment_index_bytes", 12),
    "segment.ms": _integer("segment_ms", 1, MAX_LONG),
}
