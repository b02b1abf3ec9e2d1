"""One partition as one consumer reads it: a position, and records decoded ahead of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streamlog.client.contract import FetchedColumns, Record
from streamlog.client.isolation import decode_visible
from streamlog.errors import CorruptRecordError, SerializationError

if TYPE_CHECKING:
    from streamlog.client.contract import Headers
    from streamlog.serdes import Serde
    from streamlog.storage import ReadableLog
    from streamlog.topic import Isolation, TopicPartition

UNKNOWN_POSITION: Final = -1
FIRST_FETCH_BYTES: Final = 1 << 14
"""So much is read ahead at first after a seek, then twice as much: who jumps about reads little."""
USUAL_RECORD_BYTES: Final = 128


class PartitionReader:
    """Reads on from `position`, the offset of the next record to hand out. One thread at a time."""

    def __init__(self, partition: TopicPartition, log: ReadableLog, isolation: Isolation) -> None:
        self.partition = partition
        self.log = log
        self.isolation: Isolation = isolation
        self.position = UNKNOWN_POSITION
        self.paused = False
        self._ahead: RecordRun | None = None
        self._ahead_bytes = FIRST_FETCH_BYTES

    @property
    def end_offset(self) -> int:
        """Where a reader of this isolation has nothing more to read for now."""
        return self.log.bound(self.isolation)

    def seek(self, offset: int) -> None:
        self.position = offset
        self._ahead = None
        self._ahead_bytes = FIRST_FETCH_BYTES

    def fetch(self, max_bytes: int) -> FetchedColumns | None:
        """The visible records from the position on, about `max_bytes`; None where nothing moved.

        The position stays; what was decoded ahead is not looked at.

        Raises:
            OffsetOutOfRangeError: the position is outside the log.
            CorruptLogError: a batch whose bytes are not what its checksum says.
        """
        if self.position == self.end_offset:
            return None  # at the end is by far the most frequent case
        fetched = self.log.read(self.position, max_bytes, self.isolation)
        if fetched.next_offset == self.position:
            return None
        try:
            columns = decode_visible(fetched.data, self.position, fetched.aborted)
        except CorruptRecordError as error:
            raise fetched.place(error) from error
        return FetchedColumns(
            topic=self.partition.topic,
            partition=self.partition.partition,
            keys=columns.keys,
            values=columns.values,
            timestamps=columns.timestamps,
            offsets=columns.offsets,
            headers=columns.headers,
            next_offset=fetched.next_offset,
        )

    def take_columns(self, max_bytes: int) -> FetchedColumns | None:
        """As `fetch`, and moves the position."""
        self._ahead = None
        fetched = self.fetch(max_bytes)
        if fetched is not None:
            self.position = fetched.next_offset
        return fetched

    def take_records(
        self, max_records: int, max_bytes: int, key: Serde[Any], value: Serde[Any]
    ) -> list[Record]:
        """Up to `max_records` records; the position stays, see `hand_out`.

        Raises:
            SerializationError: of the record at the position; records before a bad one come first.
        """
        while self._ahead is None or not self._ahead.reaches(self.position):
            ahead_bytes = max(self._ahead_bytes, max_records * USUAL_RECORD_BYTES)
            fetched = self.fetch(min(max_bytes, ahead_bytes))
            if fetched is None:
                return []
            self._ahead_bytes = min(2 * self._ahead_bytes, max_bytes)
            if fetched.offsets:
                self.position = fetched.offsets[0]
                self._ahead = RecordRun(fetched, key, value)
            else:
                self.position = fetched.next_offset
        return self._ahead.records(max_records)

    def hand_out(self, last: Record) -> None:
        """Moves the position behind the last record that the caller gets."""
        self.position = last.offset + 1
        if self._ahead is not None and not self._ahead.reaches(self.position):
            self.position = self._ahead.next_offset
            self._ahead = None


class RecordRun:
    """A fetched run with keys and values deserialized, column by column."""

    def __init__(self, fetched: FetchedColumns, key: Serde[Any], value: Serde[Any]) -> None:
        self._fetched = fetched
        self._index = 0
        self._good = len(fetched.offsets)
        self._error: SerializationError | None = None
        self._keys = self._deserialize(key, fetched.keys)
        self._values = self._deserialize(value, fetched.values)

    @property
    def next_offset(self) -> int:
        return self._fetched.next_offset

    def reaches(self, position: int) -> bool:
        """Goes on to the first record at or behind `position`; whether there is one."""
        offsets = self._fetched.offsets
        while self._index < len(offsets) and offsets[self._index] < position:
            self._index += 1
        return self._index < len(offsets)

    def records(self, max_records: int) -> list[Record]:
        """From there on, as far as the first bad one, which raises when it is first."""
        start = self._index
        end = min(start + max_records, self._good)
        if start >= self._good and self._error is not None:
            raise self._error
        run = self._fetched
        rows = slice(start, end)
        count = end - start
        headers: list[Headers]
        headers = [[] for _ in range(count)] if run.headers is None else run.headers[rows]
        return list(
            map(
                Record,
                [run.topic] * count,
                [run.partition] * count,
                run.offsets[rows],
                run.timestamps[rows],
                self._keys[rows],
                self._values[rows],
                headers,
            )
        )

    def _deserialize(self, serde: Serde[Any], column: list[bytes | None]) -> list[Any]:
        """The column as far as it can be read and needs to be."""
        try:
            return serde.deserialize_column(column[: self._good])
        except SerializationError as error:
            run = self._fetched
            offset = run.offsets[error.index]
            reason = f"{error.reason} ({run.topic}-{run.partition} at offset {offset})"
            self._good = error.index
            self._error = SerializationError(error.serde, reason, index=error.index)
            self._error.__cause__ = error
            return serde.deserialize_column(column[: self._good])
