"""Records one at a time, for callers that have no columns. A loop over many wants `Columns`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, Unpack

from streamlog.record.batch import Columns, decode_batch, encode_batch
from streamlog.record.header import HEADER_SIZE, Codec, TimestampType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.record.kernel import Headers

# Length, timestamp delta and offset delta, key and value length, header count, attributes.
MAX_RECORD_OVERHEAD: Final = 5 + 10 + 5 + 5 + 5 + 5 + 1
MAX_HEADER_OVERHEAD: Final = 5 + 5


class SingleRecord(NamedTuple):
    """One record as it stands in a batch."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def read_records(
    buffer: bytes | bytearray | memoryview, position: int = 0, *, verify: bool = True
) -> Iterator[SingleRecord]:
    """The records of the batch at `position`; none for a control batch.

    Raises what `decode_batch` raises, before the first record.
    """
    columns = Columns()
    decode_batch(buffer, position, columns, verify=verify)
    headers: list[Headers] = columns.headers or [[] for _ in columns.offsets]
    rows = zip(
        columns.offsets, columns.timestamps, columns.keys, columns.values, headers, strict=True
    )
    return map(SingleRecord._make, rows)


class BatchFields(TypedDict, total=False):
    """The keywords of `encode_batch`."""

    base_offset: int
    codec: Codec
    producer_id: int
    producer_epoch: int
    base_sequence: int
    transactional: bool
    timestamp_type: TimestampType
    partition_leader_epoch: int
    compression_level: int | None


class BatchBuilder:
    """Collects records until there are enough for a batch.

    `size_bytes` is the most that the batch, uncompressed, can take. Not for two threads at a time.
    """

    def __init__(self) -> None:
        self._columns = Columns(headers=[])
        self.size_bytes = HEADER_SIZE

    def __len__(self) -> int:
        return len(self._columns.keys)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers | None = None,
    ) -> None:
        """Adds one record behind the others."""
        columns = self._columns
        assert columns.headers is not None
        columns.keys.append(key)
        columns.values.append(value)
        columns.timestamps.append(timestamp)
        columns.headers.append(headers or [])
        self.size_bytes += MAX_RECORD_OVERHEAD + len(key or b"") + len(value or b"")
        for name, content in headers or ():
            self.size_bytes += MAX_HEADER_OVERHEAD + len(name.encode()) + len(content or b"")

    def build(self, **fields: Unpack[BatchFields]) -> bytearray:
        """The batch of all records so far; the builder stays as it is.

        `fields` are `encode_batch`'s keywords, and its errors are raised.
        """
        columns = self._columns
        return encode_batch(
            columns.keys, columns.values, columns.timestamps, columns.headers, **fields
        )
