"""Which records of a fetched run a consumer sees.

Control records are never seen. A reader of committed data gets, with the bytes, the transactions
among them that were aborted, and leaves out what each producer wrote between the first offset of
its aborted transaction and the marker that ended it. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streamlog.record import Columns, ControlType, decode_batch, read_control, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence


class Aborted(Protocol):
    """An aborted transaction as the log's transaction index lists it."""

    @property
    def producer_id(self) -> int: ...

    @property
    def first_offset(self) -> int: ...


def decode_visible(data: bytes, min_offset: int, aborted: Sequence[Aborted]) -> Columns:
    """The visible records of whole batches at or above `min_offset`.

    `aborted` goes by first offset, as a fetch returns it.

    Raises:
        CorruptRecordError: a batch whose bytes are not what its checksum says.
    """
    columns = Columns()
    waiting = list(reversed(aborted))
    dropped: set[int] = set()
    position = 0
    while position < len(data):
        if aborted:
            header = read_header(data, position)
            while waiting and waiting[-1].first_offset <= header.last_offset:
                dropped.add(waiting.pop().producer_id)
            if header.is_control and read_control(data, position).type == ControlType.ABORT:
                dropped.discard(header.producer_id)
            if header.is_transactional and header.producer_id in dropped:
                position += header.size_bytes
                continue
        position = decode_batch(data, position, columns, min_offset=min_offset)
    return columns
