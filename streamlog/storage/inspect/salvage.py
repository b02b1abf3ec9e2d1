"""Finds the whole batches in a segment file, also around and behind damage. Never invents any.

A batch counts whose CRC is right and whose offsets fit between its neighbours'. Three fields
outside the CRC are restored where there is no doubt: the length, where the CRC is right up to the
next batch; the magic, where the CRC is right with ours; the offset, where the batch fits between
its neighbours without a gap.

Behind damage the next batch is looked for where the damaged one says that it ends. Else at every
byte, and then a batch inside a record's value (a topic may hold copies of another one's batches)
must not be taken for one of the log. So a batch counts there only if the damaged one is shown to
end before it, or the offset index names its place, or whole batches with rising offsets go on from
it to the end of the file or for longer than any batch is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError
from streamlog.record import HEADER_SIZE, BatchHeader, crc32c
from streamlog.record.header import (
    CRC_START,
    HEADER,
    LENGTH_OVERHEAD,
    MAGIC,
    MAX_OFFSET,
    MIN_BATCH_LENGTH,
    find_fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from streamlog.files import File

WINDOW_BYTES: Final = 1 << 20
LONGEST_BATCH_BYTES: Final = 64 << 20
ZEROS_OF_A_BATCH: Final = 16
"""So many may a batch end in: a last record without headers has one, as padding has."""
MAGIC_AT: Final = 16
MAGIC_BYTE: Final = bytes([MAGIC])
START: Final = Struct(">qi")  # base offset and length


@dataclass(frozen=True, slots=True)
class Whole:
    """A batch that is all there; `mended` says which field had to be restored."""

    position: int
    header: BatchHeader
    data: bytes
    mended: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """Bytes that are no batch that could be saved; `offset` is the one expected there."""

    position: int
    end_position: int
    offset: int
    reason: str
    torn: bool = False
    """Whether the file ends inside of a batch, as after a crash."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Where the batches end; zeros may follow."""

    position: int
    padding_bytes: int


Piece = Whole | Lost | Ended


class Salvage:
    """Goes through one file of batches. Not for two threads at a time.

    Args:
        file: The segment.
        offset: The first offset that may be in it.
        end_offset: Its last batch ends there, or before it; None where that is not known.
        indexed: Gives the positions that the offset index names; asked behind damage only.
        gaps: Whether offsets may be missing between batches, as compaction leaves them.
    """

    def __init__(
        self,
        file: File,
        offset: int,
        *,
        end_offset: int | None = None,
        indexed: Callable[[], Collection[int]] = tuple,
        gaps: bool = False,
    ) -> None:
        self._file = file
        self._size = file.size()
        self._offset = offset
        self._end_offset = end_offset
        self._indexed = indexed
        self._gaps = gaps
        self._window = b""
        self._window_start = 0
        self._last_content: int | None = None

    def pieces(self) -> Iterator[Piece]:
        """Front to back; `Ended` is the last one."""
        expected, behind_damage, doubtful = self._offset, False, False
        for piece, following in _pairs(self._raw()):
            if isinstance(piece, Lost):
                yield replace(piece, offset=expected)
            elif isinstance(piece, Ended):
                yield piece
            else:
                bound = self._bound(following)
                placed = None if doubtful else self._place(piece, expected, bound, behind_damage)
                # Two whole batches that overlap where offsets may be missing: either may be wrong.
                doubtful = placed is None and not doubtful and self._gaps
                if placed is None:
                    base = piece.header.base_offset
                    end = piece.position + len(piece.data)
                    reason = f"base offset {base}, which does not fit behind {expected}"
                    piece = Lost(piece.position, end, expected, reason)
                    yield piece
                else:
                    yield placed
                    expected = placed.header.next_offset
            behind_damage = isinstance(piece, Lost)

    def _bound(self, following: Piece | None) -> int | None:
        match following:
            case Whole(header=header):
                return header.base_offset
            case Ended():
                return self._end_offset
            case _:
                return None

    def _place(
        self, piece: Whole, expected: int, bound: int | None, behind_damage: bool
    ) -> Whole | None:
        """The batch where it belongs; None where its offset cannot be told."""
        header = piece.header
        base = header.base_offset
        if base == expected:
            return piece
        if base > expected and (
            self._gaps or behind_damage if bound is None else header.next_offset <= bound
        ):
            return piece
        if bound is None or expected + header.last_offset_delta + 1 != bound or behind_damage:
            return None
        data = START.pack(expected, header.batch_length) + piece.data[START.size :]
        mended = f"base offset {base} instead of {expected}"
        return Whole(piece.position, header._replace(base_offset=expected), data, mended)

    # Bytes: what is a batch, wherever it belongs

    def _raw(self) -> Iterator[Piece]:
        position, next_offset = 0, self._offset
        while True:
            piece = self._look(position, next_offset)
            yield piece
            match piece:
                case Whole(header=header, data=data):
                    position += len(data)
                    next_offset = header.next_offset
                case Lost(end_position=end):
                    position = end
                case Ended():
                    return

    def _look(self, position: int, next_offset: int) -> Piece:
        """What stands at the position."""
        if self._is_zero_from(position):
            return Ended(position, self._size - position)
        try:
            return self._read(position)
        except CorruptRecordError as error:
            reason = error.reason
        restored = self._with_our_magic(position)
        if restored is not None:
            return restored
        end = self._find_next(position, next_offset)
        for possible in self._possible_ends(position) if end is None else (end,):
            restored = self._with_length(position, possible)
            if restored is not None:
                return restored
        torn = end is None and self._is_cut_off(position)
        return Lost(position, self._size if end is None else end, -1, reason, torn)

    def _read(self, position: int) -> Whole:
        """The batch at the position. Raises `CorruptRecordError` where there is none."""
        available = self._size - position
        start = self._pread(HEADER_SIZE, position)
        if len(start) < HEADER_SIZE:
            raise CorruptRecordError(f"{available} bytes, less than a batch header")
        header = BatchHeader._make(HEADER.unpack(start))
        if header.magic != MAGIC:
            raise CorruptRecordError(_foreign_magic(header.magic))
        if fault := find_fault(header):
            raise CorruptRecordError(fault)
        if header.size_bytes > available:
            raise CorruptRecordError(f"{available} of {header.size_bytes} bytes")
        data = self._pread(header.size_bytes, position)
        crc = crc32c(data, CRC_START)
        if crc != header.crc:
            raise CorruptRecordError(f"CRC {crc:#010x}, the header says {header.crc:#010x}")
        return Whole(position, header, data)

    def _with_our_magic(self, position: int) -> Whole | None:
        """The batch, where nothing but its magic is wrong."""
        start = self._pread(HEADER_SIZE, position)
        if len(start) < HEADER_SIZE or start[MAGIC_AT] == MAGIC:
            return None
        header = BatchHeader._make(HEADER.unpack(start))
        found = header.magic
        header = header._replace(magic=MAGIC)
        if find_fault(header) or position + header.size_bytes > self._size:
            return None
        data = bytearray(self._pread(header.size_bytes, position))
        if crc32c(data, CRC_START) != header.crc:
            return None
        data[MAGIC_AT] = MAGIC
        return Whole(position, header, bytes(data), f"magic {found} instead of {MAGIC}")

    def _with_length(self, position: int, end: int) -> Whole | None:
        """The batch, where it is right up to `end`, and nothing but its length is wrong."""
        if end - position < HEADER_SIZE:
            return None
        data = self._pread(end - position, position)
        header = BatchHeader._make(HEADER.unpack_from(data))
        found = header.batch_length
        header = header._replace(batch_length=end - position - LENGTH_OVERHEAD)
        if found == header.batch_length or find_fault(header):
            return None
        if crc32c(data, CRC_START) != header.crc:
            return None
        data = START.pack(header.base_offset, header.batch_length) + data[START.size :]
        mended = f"batch length {found} instead of {header.batch_length}"
        return Whole(position, header, data, mended)

    def _possible_ends(self, position: int) -> Iterator[int]:
        """Where the last batch may end: its own last bytes may be zeros, like the padding."""
        content_end = self._content_end()
        if content_end - position <= LONGEST_BATCH_BYTES:
            yield from range(content_end, min(self._size, content_end + ZEROS_OF_A_BATCH) + 1)

    # Behind damage

    def _find_next(self, position: int, next_offset: int) -> int | None:
        """Where the next batch begins; the file's end where the damaged one is the last.

        None where neither can be told.
        """
        start = self._pread(HEADER_SIZE, position)
        if len(start) == HEADER_SIZE:
            _, length = START.unpack_from(start)
            end = position + length + LENGTH_OVERHEAD
            if length >= MIN_BATCH_LENGTH and end <= self._size:
                if self._is_zero_from(end):
                    return end
                following = self._whole_at(end, next_offset)
                if following is not None:
                    return end
        indexed = self._indexed()
        for candidate in self._candidates(position + 1, next_offset):
            if (
                candidate in indexed
                or self._with_length(position, candidate) is not None
                or self._goes_on(candidate, position + LONGEST_BATCH_BYTES)
            ):
                return candidate
        return None

    def _candidates(self, position: int, next_offset: int) -> Iterator[int]:
        """Positions of whole batches with offsets that may come next."""
        highest = MAX_OFFSET if self._end_offset is None else self._end_offset
        while position + HEADER_SIZE <= self._size:
            window = self._pread(WINDOW_BYTES + HEADER_SIZE, position)
            place = window.find(MAGIC_BYTE, MAGIC_AT) - MAGIC_AT
            while 0 <= place <= len(window) - HEADER_SIZE:
                base, length = START.unpack_from(window, place)
                if (
                    MIN_BATCH_LENGTH <= length <= self._size - position - place - LENGTH_OVERHEAD
                    and next_offset < base < highest
                    and self._whole_at(position + place, next_offset) is not None
                ):
                    yield position + place
                place = window.find(MAGIC_BYTE, place + 1 + MAGIC_AT) - MAGIC_AT
            position += max(len(window) - HEADER_SIZE, 1)

    def _whole_at(self, position: int, next_offset: int) -> Whole | None:
        try:
            whole = self._read(position)
        except CorruptRecordError:
            return None
        return whole if whole.header.base_offset > next_offset else None

    def _goes_on(self, position: int, enough: int) -> bool:
        """Whether whole batches with rising offsets follow, to the end or for long enough."""
        next_offset = -1
        while position < enough and not self._is_zero_from(position):
            whole = self._whole_at(position, next_offset - 1)
            if whole is None:
                return False
            position += len(whole.data)
            next_offset = whole.header.next_offset
        return True

    # The file

    def _pread(self, size: int, position: int) -> bytes:
        """As the file's, out of a window where that has it."""
        place = position - self._window_start
        if place < 0 or place + size > len(self._window):
            if size > WINDOW_BYTES:
                return self._file.pread(size, position)
            self._window = self._file.pread(WINDOW_BYTES, position)
            self._window_start, place = position, 0
        return self._window[place : place + size]

    def _is_zero_from(self, position: int) -> bool:
        """Whether nothing but zeros follow."""
        return position >= self._content_end()

    def _content_end(self) -> int:
        """Behind the last byte that is not zero, or behind the batch that ends in zeros."""
        if self._last_content is None:
            end = self._size
            while end:
                start = max(end - WINDOW_BYTES, 0)
                content = self._file.pread(end - start, start).rstrip(b"\0")
                end = start + len(content)
                if content:
                    break
            self._last_content = end
        return self._last_content

    def _is_cut_off(self, position: int) -> bool:
        start = self._pread(HEADER_SIZE, position)
        if len(start) < HEADER_SIZE:
            return True
        _, length = START.unpack_from(start)
        return start[MAGIC_AT] == MAGIC and position + length + LENGTH_OVERHEAD > self._size


def _pairs(pieces: Iterator[Piece]) -> Iterator[tuple[Piece, Piece | None]]:
    """Each piece and the one behind it."""
    piece = next(pieces)
    for following in pieces:
        yield piece, following
        piece = following
    yield piece, None


def _foreign_magic(magic: int) -> str:
    if magic in (0, 1):
        return f"magic {magic}: a message of Kafka before 0.11, which is not read here"
    return f"magic {magic} instead of {MAGIC}"
