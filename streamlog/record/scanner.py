"""Finds the batches in a run of bytes and says how the run ends.

Feed, then ask for the next event:

    scanner = BatchScanner(position=0)
    scanner.feed(chunk)                      # any sizes; `feed_end()` behind the last
    match scanner.next_event():
        case Batch(header, position): ...
        case NeedData(): ...                 # feed more
        case Torn() | Corrupt() | End(): ... # the last event; it repeats

*Torn*: the bytes end inside a batch. *Corrupt*: bytes that are all there are no batch. *End*: the
bytes end behind a batch, or nothing but zeros follow (a preallocated file). Which of these a crash
may have left, and which is damage, depends on the place in the file: the log decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import CorruptRecordError
from streamlog.record.checksum import crc32c
from streamlog.record.header import (
    CRC_START,
    HEADER,
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    BatchHeader,
    find_fault,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_LENGTH: Final = bytes(LENGTH_OVERHEAD)  # base offset and length of a batch that is not there
unpack_header = HEADER.unpack_from
MAX_BATCH_BYTES: Final = (1 << 31) - 1 + LENGTH_OVERHEAD


class Batch(NamedTuple):
    """A whole, intact batch. `position` is in the run; the batch is `buffer[start:]`'s first."""

    header: BatchHeader
    position: int
    buffer: bytes
    start: int

    @property
    def data(self) -> bytes:
        """A copy of the batch's bytes."""
        return self.buffer[self.start : self.start + self.header.size_bytes]


@dataclass(frozen=True, slots=True)
class NeedData:
    """Nothing to say before more bytes, or the end, are fed."""


@dataclass(frozen=True, slots=True)
class Torn:
    """The run ends inside the batch at `position`."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Corrupt:
    """What stands at `position` is no batch. There is no way to find the next one."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The last batch ends at `position`; `padding_bytes` zeros follow."""

    position: int
    padding_bytes: int


Event = Batch | NeedData | Torn | Corrupt | End


class BatchScanner:
    """Splits a run of bytes, fed in chunks, into batches.

    Holds one chunk and one unfinished batch, of at most `max_batch_bytes`, at a time. Without
    `verify` the CRC is not computed. Not for two threads at a time.
    """

    def __init__(
        self, position: int = 0, *, max_batch_bytes: int = MAX_BATCH_BYTES, verify: bool = True
    ) -> None:
        self._buffer = b""
        self._start = 0  # of the next batch, in the buffer
        self._position = position  # the same place in the run
        self._max_batch_bytes = max_batch_bytes
        self._verify = verify
        self._ended = False
        self._padding_bytes = 0
        self._last: Torn | Corrupt | End | None = None

    def feed(self, data: bytes) -> None:
        """Adds the next bytes of the run."""
        assert not self._ended, "fed behind the end"
        rest = self._buffer[self._start :]
        self._buffer = rest + data if rest else data
        self._start = 0

    def feed_end(self) -> None:
        """There are no more bytes."""
        self._ended = True

    def take_batches(self) -> list[Batch]:
        """The next batches, as many as are whole and intact in what was fed.

        What `next_event` would give one by one, and faster. It says what comes then.
        """
        found: list[Batch] = []
        if self._padding_bytes or self._last is not None:
            return found
        buffer, start, position = self._buffer, self._start, self._position
        end, longest, verify = len(buffer), self._max_batch_bytes, self._verify
        while end - start >= HEADER_SIZE:
            header = BatchHeader._make(unpack_header(buffer, start))
            size = header.batch_length + LENGTH_OVERHEAD
            following = start + size
            if find_fault(header) is not None or size > longest or following > end:
                break
            if verify and crc32c(buffer, start + CRC_START, following) != header.crc:
                break
            found.append(Batch(header, position, buffer, start))
            start = following
            position += size
        self._start, self._position = start, position
        return found

    def next_event(self) -> Event:
        """The next batch, or what is the matter instead."""
        if self._last is None:
            event = self._skip_padding() if self._padding_bytes else self._find_batch()
            if isinstance(event, Batch | NeedData):
                return event
            self._last = event
            self._buffer = b""
            self._start = 0
        return self._last

    def _find_batch(self) -> Event:
        available = len(self._buffer) - self._start
        if available < HEADER_SIZE:
            return self._end_early(available)
        if self._buffer.startswith(NO_LENGTH, self._start):
            return self._skip_padding()
        try:
            header = read_header(self._buffer, self._start)
        except CorruptRecordError as error:
            return Corrupt(self._position, error.reason)
        size = header.size_bytes
        if size > self._max_batch_bytes:
            return Corrupt(self._position, f"a batch of {size} bytes")
        if available < size:
            if self._ended:
                return Torn(self._position, f"{available} of {size} bytes")
            return NeedData()
        if self._verify:
            crc = crc32c(self._buffer, self._start + CRC_START, self._start + size)
            if crc != header.crc:
                return Corrupt(
                    self._position, f"CRC {crc:#010x}, the header says {header.crc:#010x}"
                )
        batch = Batch(header, self._position, self._buffer, self._start)
        self._start += size
        self._position += size
        return batch

    def _end_early(self, available: int) -> Event:
        """For less than a header."""
        if not self._ended:
            return NeedData()
        if any(self._buffer[self._start :]):
            return Torn(self._position, f"{available} bytes, less than a batch header")
        return End(self._position, available)

    def _skip_padding(self) -> Event:
        """For zeros where a batch should be: nothing but zeros may follow."""
        rest = self._buffer[self._start :]
        if rest.count(0) != len(rest):
            return Corrupt(self._position, "zeros, and more behind them")
        self._padding_bytes += len(rest)
        self._start = len(self._buffer)
        return End(self._position, self._padding_bytes) if self._ended else NeedData()


def scan(
    data: bytes, position: int = 0, *, verify: bool = True
) -> Iterator[Batch | Torn | Corrupt | End]:
    """The events of a run that is all in memory; the last one says how it ends."""
    scanner = BatchScanner(position, verify=verify)
    scanner.feed(data)
    scanner.feed_end()
    while True:
        event = scanner.next_event()
        assert not isinstance(event, NeedData), "all was fed"
        yield event
        if not isinstance(event, Batch):
            return
