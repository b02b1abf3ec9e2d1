"""Between what plugins handle and the bytes of the log, in columns.

The fast path converts whole columns; only when that fails is it looked at row by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.api import SinkBatch, SourceColumns, SourceRecord
from connectors.runtime.poison import PoisonRow, Stage
from streamlog.client.contract import TopicPartition
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.client.contract import FetchedColumns
    from streamlog.clock import Clock


class RecordEncoder:
    """Turns a source's records into columns of bytes. Stateless."""

    def __init__(self, key: str, value: str, clock: Clock) -> None:
        self._keys = serde_for(key).serialize_column
        self._values = serde_for(value).serialize_column
        self._clock = clock

    def encode(
        self, records: Sequence[SourceRecord], origin: str
    ) -> tuple[SourceColumns, list[PoisonRow]]:
        try:
            return self._columns(records), []
        except SerializationError:
            return self._encode_each(records, origin)

    def _columns(self, records: Sequence[SourceRecord]) -> SourceColumns:
        now_ms = self._clock.now_ms()
        has_headers = any(record.headers for record in records)
        return SourceColumns(
            self._values([record.value for record in records]),
            self._keys([record.key for record in records]),
            [now_ms if r.timestamp is None else r.timestamp for r in records],
            [record.headers or [] for record in records] if has_headers else None,
        )

    def _encode_each(
        self, records: Sequence[SourceRecord], origin: str
    ) -> tuple[SourceColumns, list[PoisonRow]]:
        good: list[SourceRecord] = []
        poison: list[PoisonRow] = []
        for index, record in enumerate(records):
            stage: Stage = "KEY_CONVERTER"
            try:
                self._keys([record.key])
                stage = "VALUE_CONVERTER"
                self._values([record.value])
            except SerializationError as error:
                text = repr(record.value).encode("utf-8", "backslashreplace")
                poison.append(
                    PoisonRow(
                        origin=f"record {index} of the batch {origin}",
                        stage=stage,
                        reason=str(error),
                        value=text,  # there are no original bytes
                        headers=record.headers,
                    )
                )
            else:
                good.append(record)
        return self._columns(good), poison


class RecordDecoder:
    """Turns fetched columns into a sink's batches. Stateless."""

    def __init__(self, key: str, value: str) -> None:
        self._keys = serde_for(key).deserialize_column
        self._values = serde_for(value).deserialize_column

    def decode(self, columns: FetchedColumns) -> tuple[SinkBatch, list[PoisonRow]]:
        """The batch and the rows that are not in it."""
        # Without keys, as lines of files are, there is nothing to decode.
        keyless = columns.keys.count(None) == len(columns.keys)
        try:
            keys = columns.keys if keyless else self._keys(columns.keys)
            return _batch(columns, keys, self._values(columns.values)), []
        except SerializationError:
            return self._decode_each(columns)

    def _decode_each(self, columns: FetchedColumns) -> tuple[SinkBatch, list[PoisonRow]]:
        rows: list[int] = []
        keys: list[Any] = []
        values: list[Any] = []
        poison: list[PoisonRow] = []
        for index, (raw_key, raw_value) in enumerate(
            zip(columns.keys, columns.values, strict=True)
        ):
            stage: Stage = "KEY_CONVERTER"
            try:
                [key] = self._keys([raw_key])
                stage = "VALUE_CONVERTER"
                [value] = self._values([raw_value])
            except SerializationError as error:
                batch = _batch(columns, columns.keys, columns.values)
                poison.append(poison_row(batch, index, stage, str(error)))
            else:
                rows.append(index)
                keys.append(key)
                values.append(value)
        return _batch(_take(columns, rows), keys, values), poison


def poison_row(batch: SinkBatch, index: int, stage: Stage, reason: str) -> PoisonRow:
    """A row of a batch as poison."""
    return PoisonRow(
        origin=f"{batch.partition} offset {batch.offsets[index]}",
        stage=stage,
        reason=reason,
        key=batch.raw_keys[index],
        value=batch.raw_values[index],
        timestamp=batch.timestamps[index],
        headers=None if batch.headers is None else batch.headers[index],
        position=(batch.partition, batch.offsets[index]),
    )


def _batch(columns: FetchedColumns, keys: list[Any], values: list[Any]) -> SinkBatch:
    return SinkBatch(
        TopicPartition(columns.topic, columns.partition),
        keys,
        values,
        columns.keys,
        columns.values,
        columns.timestamps,
        columns.offsets,
        columns.headers,
        columns.next_offset,
    )


def _take(columns: FetchedColumns, rows: list[int]) -> FetchedColumns:
    """Only these rows, with the whole's next offset."""
    return type(columns)(
        columns.topic,
        columns.partition,
        [columns.keys[row] for row in rows],
        [columns.values[row] for row in rows],
        [columns.timestamps[row] for row in rows],
        [columns.offsets[row] for row in rows],
        None if columns.headers is None else [columns.headers[row] for row in rows],
        columns.next_offset,
    )
