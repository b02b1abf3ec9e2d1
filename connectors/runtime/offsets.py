"""Source offsets: Kafka Connect's topic and formats.

    topic  connect-offsets (one partition)
    key    ["lines",{"filename":"/var/log/app.log"}]     connector and source partition
    value  {"position":4711,...}                         JSON object

The last record of a key counts; a tombstone forgets it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from connectors.runtime.wakeup import Wakeup
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamlog.client.contract import Consumer, Log

OFFSETS_TOPIC: Final = "connect-offsets"
OFFSETS_CONFIG: Final = {"cleanup.policy": "compact"}


def to_json(value: Any) -> bytes:
    """Compact, with sorted names, so that equal partitions have equal keys.

    A file name that is no UTF-8 holds lone surrogates; they pass through, as `json.loads` lets
    them.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def encode_key(connector: str, partition: Mapping[str, Any]) -> bytes:
    return to_json([connector, partition])


class SourceOffsets:
    """The committed offsets of one connector. Owned by its task."""

    def __init__(self, connector: str) -> None:
        self._connector = connector
        self._prefix = to_json([connector])[:-1] + b","
        self._offsets: dict[bytes, dict[str, Any]] = {}

    def apply(self, keys: Iterable[bytes | None], values: Iterable[bytes | None]) -> None:
        """Takes records of the topic, in their order; those of other connectors are passed over."""
        for key, value in zip(keys, values, strict=True):
            if key is None or not key.startswith(self._prefix):
                continue
            offset = None if value is None else _json_object(value)
            if offset is None:
                self._offsets.pop(key, None)
            else:
                self._offsets[key] = offset

    def get(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._offsets.get(encode_key(self._connector, partition))

    def items(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """(partition, offset) pairs."""
        keys = (json.loads(key) for key in self._offsets)
        return [(key[1], offset) for key, offset in zip(keys, self._offsets.values(), strict=True)]


def _json_object(text: bytes) -> dict[str, Any] | None:
    value = json.loads(text)
    # Kafka Connect writes objects only; `null` is its other form of a tombstone.
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


async def read_source_offsets(log: Log, connector: str) -> SourceOffsets:
    """Reads the topic to its end; to be called when the connector's older producer is fenced.

    The end is the high watermark, not the last stable offset: another connector's open
    transaction may have begun before our last one, and what we committed behind it would be
    missed (KAFKA-10167). Its end is awaited.
    """
    count = log.topic(OFFSETS_TOPIC).partitions
    partitions = [TopicPartition(OFFSETS_TOPIC, number) for number in range(count)]
    ends = log.end_offsets(partitions, isolation="read_uncommitted")
    offsets = SourceOffsets(connector)
    with log.consumer(isolation="read_committed", auto_commit=False) as consumer:
        consumer.assign(partitions)
        for partition, start in log.beginning_offsets(partitions).items():
            consumer.seek(partition, start)
        await _read_to(consumer, ends, offsets)
    return offsets


async def _read_to(
    consumer: Consumer, ends: Mapping[TopicPartition, int], offsets: SourceOffsets
) -> None:
    wakeup = Wakeup()
    consumer.on_available(wakeup.set)
    try:
        while any(consumer.position(p) < end for p, end in ends.items()):
            wakeup.clear()
            fetched = consumer.poll_columns(0.0)
            for columns in fetched:
                offsets.apply(columns.keys, columns.values)
            if not fetched:
                await wakeup.wait()
    finally:
        consumer.on_available(None)
