"""The producer's inner loops (compiled, see compiled.py): queues of single records, and columns
cut into batches and scattered over partitions.

Uncompiled, the same source does the same, slower. Who may call what from which thread is said in
`producer.py`; nothing here locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from streamlog.errors import RecordTooLargeError
from streamlog.record.murmur2 import partition_of

if TYPE_CHECKING:
    from mypy_extensions import i64

Headers = list[tuple[str, bytes | None]]

BATCH_OVERHEAD: Final = 61
ROW_OVERHEAD: Final = 32
"""The most that the fields around key, value and headers of one record can take."""
HEADER_OVERHEAD: Final = 10
MAX_TIMESTAMP: Final = (1 << 63) - 2
_SMALL_TIME: Final = 1 << 60


class Waiter(Protocol):
    """Who can wait for rows: their producer."""

    def wait_rows(self, rows: Rows, timeout: float | None) -> None:
        """Returns when the rows are done; raises `TimeoutError`."""
        ...


class Rows:
    """Columns of one partition that grow row by row, and what became of them.

    The columns are dropped once they are encoded; the outcome stays for the handles.
    """

    def __init__(self, partition: int) -> None:
        self.partition: int = partition
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.timestamps: list[int] = []
        self.headers: list[Headers] | None = None
        self.size_bytes: int = BATCH_OVERHEAD
        self.base_offset: int = -1
        self.error: BaseException | None = None
        self.done: bool = False

    def add(
        self,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers | None,
        bound_bytes: int,
    ) -> None:
        if headers:
            if self.headers is None:
                self.headers = [[] for _ in self.values]
            self.headers.append(headers)
        elif self.headers is not None:
            self.headers.append([])
        self.keys.append(key)
        self.values.append(value)
        self.timestamps.append(timestamp)
        self.size_bytes += bound_bytes

    def drop_columns(self) -> None:
        self.keys = []
        self.values = []
        self.timestamps = []
        self.headers = None


class Handle:
    """A record on its way: a `SendHandle`."""

    def __init__(self, waiter: Waiter, rows: Rows, index: int) -> None:
        self._waiter = waiter
        self._rows = rows
        self._index = index

    def result(self, timeout: float | None = None) -> tuple[int, int]:
        rows = self._rows
        if not rows.done:
            self._waiter.wait_rows(rows, timeout)
        if rows.error is not None:
            raise rows.error
        return rows.partition, rows.base_offset + self._index

    def done(self) -> bool:
        return self._rows.done


class Queue:
    """Records of one topic that wait for a flush window: per partition, the rows of some batches.

    Records without key and partition stick to a partition until it has taken a batch's worth
    (KIP-794), then to the next one: in turn, where Kafka draws lots, so that runs repeat. `keyed`
    says that the topic takes none without key.
    """

    def __init__(
        self,
        waiter: Waiter,
        topic: str,
        partitions: int,
        batch_bytes: int,
        max_batch_bytes: int,
    ) -> None:
        self.waiter: Waiter = waiter
        self.topic: str = topic
        self.partitions: int = partitions
        self.batch_bytes: int = batch_bytes
        self.max_batch_bytes: int = max_batch_bytes
        self.keyed: bool = False
        self.sticky: int = 0
        self.sticky_bytes: int = BATCH_OVERHEAD
        self.filling: list[Rows | None] = [None] * partitions
        self.full: list[Rows] = []

    def resize(self, partitions: int, batch_bytes: int, max_batch_bytes: int) -> None:
        """The topic was altered: what is queued stays where it is."""
        self.partitions = partitions
        self.batch_bytes = batch_bytes
        self.max_batch_bytes = max_batch_bytes
        self.sticky %= partitions
        while len(self.filling) < partitions:
            self.filling.append(None)

    def add(
        self,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers | None,
        partition: int,
    ) -> Handle:
        """Queues one record. A batch that has no room for it goes to `full`.

        `partition` is -1 to let the key choose.

        Raises:
            RecordTooLargeError: the record alone is over the topic's limit.
        """
        size: i64 = bound_bytes(key, value, headers)
        if partition < 0:
            partition = self.stick(size) if key is None else partition_of(key, self.partitions)
        if BATCH_OVERHEAD + size > self.batch_bytes:
            self.check_size(key, value, headers, partition)
        rows = self.filling[partition]
        if rows is not None and rows.size_bytes + size > self.batch_bytes:
            self.full.append(rows)
            rows = None
        if rows is None:
            rows = Rows(partition)
            self.filling[partition] = rows
        rows.add(key, value, timestamp, headers, size)
        return Handle(self.waiter, rows, len(rows.values) - 1)

    def stick(self, size_bytes: int) -> int:
        """The partition that takes the next keyless `size_bytes`."""
        if self.sticky_bytes + size_bytes > self.batch_bytes:
            self.sticky = (self.sticky + 1) % self.partitions
            self.sticky_bytes = BATCH_OVERHEAD
        self.sticky_bytes += size_bytes
        return self.sticky

    def check_size(
        self, key: bytes | None, value: bytes | None, headers: Headers | None, partition: int
    ) -> None:
        """Raises `RecordTooLargeError` where no batch can hold the record."""
        size = single_batch_bytes(key, value, headers)
        if size > self.max_batch_bytes:
            raise RecordTooLargeError(
                self.topic, partition, size_bytes=size, limit_bytes=self.max_batch_bytes
            )

    def take_full(self) -> list[Rows]:
        """The batches that have no room any more, in the order of their filling."""
        taken = self.full
        self.full = []
        return taken

    def take(self) -> list[Rows]:
        """All that is queued; rows of one partition in the order they were added."""
        taken = self.take_full()
        for partition in range(len(self.filling)):
            rows = self.filling[partition]
            if rows is not None:
                taken.append(rows)
                self.filling[partition] = None
        return taken


def bound_bytes(key: bytes | None, value: bytes | None, headers: Headers | None) -> i64:
    """The most bytes that a record can take in an uncompressed batch."""
    size: i64 = ROW_OVERHEAD
    if key is not None:
        size += len(key)
    if value is not None:
        size += len(value)
    if headers:
        size += headers_bound(headers)
    return size


def single_batch_bytes(key: bytes | None, value: bytes | None, headers: Headers | None) -> int:
    """The exact size of an uncompressed batch of just this record."""
    size = 3  # attributes and the two deltas, which are 0
    for field in (key, value):
        size += 1 if field is None else varint_bytes(len(field)) + len(field)
    size += varint_bytes(len(headers or ()))
    for name, header in headers or ():
        encoded = len(name.encode())
        size += varint_bytes(encoded) + encoded
        size += 1 if header is None else varint_bytes(len(header)) + len(header)
    return BATCH_OVERHEAD + varint_bytes(size) + size


def varint_bytes(number: int) -> int:
    """The length of the zigzag varint of a number that is not negative."""
    return max(1, (number.bit_length() + 7) // 7)


def headers_bound(headers: Headers) -> i64:
    size: i64 = 0
    for name, value in headers:
        size += HEADER_OVERHEAD + len(name.encode())
        if value is not None:
            size += len(value)
    return size


def are_small_times(column: list[Any]) -> bool:
    """Whether a short look shows that all are timestamps: ints, none negative or very large."""
    for item in column:
        if type(item) is not int:
            return False
        time: int = item
        if time < 0 or time > _SMALL_TIME:
            return False
    return True


def cut_rows(
    keys: list[Any] | None,
    values: list[Any],
    headers: list[Headers] | None,
    batch_bytes: i64,
    large: list[int],
) -> list[int]:
    """The exclusive ends of the batches that columns are cut into.

    A row that alone may be over `batch_bytes` makes a batch of its own, and its index goes to
    `large`.

    Raises:
        TypeError: a key or value that is neither bytes nor None.
    """
    ends: list[int] = []
    count: i64 = len(values)
    index: i64 = 0
    size: i64 = BATCH_OVERHEAD
    row: i64 = 0
    first: i64 = 0
    while index < count:
        row = ROW_OVERHEAD
        value = values[index]
        if isinstance(value, bytes):
            row += len(value)
        elif value is not None:
            raise TypeError(f"values[{index}] is neither bytes nor None: {value!r}")
        if keys is not None:
            key = keys[index]
            if isinstance(key, bytes):
                row += len(key)
            elif key is not None:
                raise TypeError(f"keys[{index}] is neither bytes nor None: {key!r}")
        if headers is not None:
            row += headers_bound(headers[index])
        if size + row > batch_bytes:
            if index > first:
                ends.append(index)
                first = index
            size = BATCH_OVERHEAD
            if size + row > batch_bytes:
                large.append(index)
        size += row
        index += 1
    if count > first:
        ends.append(count)
    return ends


def scatter(
    keys: list[Any],
    values: list[Any],
    timestamps: list[int] | None,
    headers: list[Headers] | None,
    now_ms: int,
    partitions: i64,
    sticky: i64,
) -> list[Rows]:
    """Columns split by the partition of each row's key; partitions without rows are left out.

    Rows without a key go to `sticky`. The order within a partition is kept. Without `timestamps`
    all rows have `now_ms`.

    Raises:
        TypeError: a key that is neither bytes nor None.
    """
    count: i64 = len(values)
    index: i64 = 0
    partition: i64 = 0
    split_keys: list[list[bytes | None]] = [[] for _ in range(partitions)]
    split_values: list[list[Any]] = [[] for _ in range(partitions)]
    while index < count:
        key = keys[index]
        if isinstance(key, bytes):
            partition = partition_of(key, partitions)
        elif key is None:
            partition = sticky
        else:
            raise TypeError(f"keys[{index}] is neither bytes nor None: {key!r}")
        split_keys[partition].append(key)
        split_values[partition].append(values[index])
        index += 1
    split: list[Rows] = []
    for number in range(partitions):
        rows = Rows(number)
        rows.keys = split_keys[number]
        rows.values = split_values[number]
        if timestamps is None:
            rows.timestamps = [now_ms] * len(rows.values)
        split.append(rows)
    if timestamps is not None or headers is not None:
        _scatter_rest(keys, timestamps, headers, sticky, split)
    return [rows for rows in split if rows.values]


def _scatter_rest(
    keys: list[Any],
    timestamps: list[int] | None,
    headers: list[Headers] | None,
    sticky: i64,
    split: list[Rows],
) -> None:
    """The columns that most callers do not give, in a second pass over the keys."""
    partitions: i64 = len(split)
    for index, key in enumerate(keys):
        rows = split[sticky if key is None else partition_of(key, partitions)]
        if timestamps is not None:
            rows.timestamps.append(timestamps[index])
        if headers is not None:
            if rows.headers is None:
                rows.headers = []
            rows.headers.append(headers[index])
