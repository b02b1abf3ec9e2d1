"""Which transactions compaction meets, batch by batch, and what of them can go. Pure.

The data of an aborted transaction go at once. A marker goes only when a whole round has met no
batch of its transaction, and its delete horizon has passed: until then a reader needs it to know
how the transaction ended. An abort marker that stays keeps its entry in the transaction index.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from streamlog.record import ControlType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.record import BatchHeader, ControlRecord
    from streamlog.storage.transaction_index import AbortedEntry


class CleanedTransactions:
    """Follows one pass over a log, from the front. Not for two threads at a time."""

    def __init__(self) -> None:
        self._ahead: list[tuple[int, AbortedEntry]] = []  # by first offset
        self._aborted: dict[int, AbortedEntry] = {}  # by producer, until their markers
        self._met: set[int] = set()  # of these, the ones with a batch that is still there
        self._committed: set[int] = set()
        self._kept: list[AbortedEntry] = []

    def add_aborted(self, entries: Iterable[AbortedEntry]) -> None:
        """Those with data in the part that comes next; known ones may come again."""
        for entry in entries:
            heappush(self._ahead, (entry.first_offset, entry))

    def is_aborted(self, header: BatchHeader) -> bool:
        """Takes note of a data batch: whether its transaction was aborted."""
        self._reach(header.last_offset)
        if not header.is_transactional:
            return False
        if header.producer_id in self._aborted:
            self._met.add(header.producer_id)
            return True
        self._committed.add(header.producer_id)
        return False

    def is_removable(self, header: BatchHeader, control: ControlRecord | None) -> bool:
        """Takes note of a marker, None for one that was emptied: whether nobody needs it."""
        self._reach(header.last_offset)
        producer_id = header.producer_id
        if control is None:
            return True
        if control.type is ControlType.COMMIT:
            known = producer_id in self._committed
            self._committed.discard(producer_id)
            return not known
        if control.type is ControlType.UNKNOWN:
            return False
        entry = self._aborted.pop(producer_id, None)
        if entry is None or producer_id not in self._met:
            return True
        self._met.discard(producer_id)
        self._kept.append(entry)
        return False

    def take_kept(self) -> list[AbortedEntry]:
        """The entries of the abort markers met since the last call that stay, by marker."""
        kept, self._kept = self._kept, []
        return kept

    def _reach(self, offset: int) -> None:
        while self._ahead and self._ahead[0][0] <= offset:
            _, entry = heappop(self._ahead)
            self._aborted.setdefault(entry.producer_id, entry)
