"""Holds the snapshots of a partition's producers against its batches. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.storage.inspect.finding import Finding
from streamlog.storage.producer_snapshot import decode_snapshot
from streamlog.storage.producer_state import NO_OFFSET, ProducerEntry, ProducerState
from streamlog.storage.replay import end_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.record import BatchHeader, ControlRecord
    from streamlog.storage.transaction_index import AbortedEntry
    from streamlog.topic import TopicPartition


class ProducerCheck:
    """Follows the batches; at each snapshot's offset it says whether that has what they say.

    A producer that is only in the snapshot may have written before the log's start, or what
    compaction took away; one that is only in the batches may have expired.
    """

    def __init__(
        self,
        topic_partition: TopicPartition,
        snapshots: dict[int, tuple[str, bytes]],
        start_offset: int,
        *,
        partial: bool,
    ) -> None:
        self._snapshots = sorted(snapshots.items())
        self.partial = partial
        entries: list[ProducerEntry] = []
        if start_offset in snapshots:
            entries = decode_snapshot(snapshots[start_offset][1]) or []
        self.producers = ProducerState(topic_partition, entries)
        self.damaged = False
        """Whether batches are lost, so that nothing more can be told."""

    def observe(self, header: BatchHeader, control: ControlRecord | None) -> AbortedEntry | None:
        """Takes note of a batch; what it aborts."""
        if header.producer_id < 0:
            return None
        if control is None:
            self.producers.append(header, header.base_offset)
            return None
        return end_transaction(self.producers, control)

    def findings(self, next_offset: int) -> Iterator[Finding]:
        """Of the snapshots up to the offset that comes next."""
        while self._snapshots and self._snapshots[0][0] <= next_offset:
            offset, (path, data) = self._snapshots.pop(0)
            reason = self._fault(offset, data, exact=offset == next_offset)
            if reason is not None:
                yield _damaged(path, offset, reason)

    def rest(self, end_offset: int, *, clean: bool) -> Iterator[Finding]:
        """Of the snapshots above the log's end."""
        for offset, (path, _) in self._snapshots:
            yield Finding(
                level="damage" if clean else "mended",
                path=path,
                offset=offset,
                reason=f"a snapshot of offset {offset}, but the log ends at {end_offset}",
                saved="it can be made again" if clean else "opening removes it",
            )

    def _fault(self, offset: int, data: bytes, *, exact: bool) -> str | None:
        entries = decode_snapshot(data)
        if entries is None:
            return "a damaged snapshot: its checksum or size is wrong"
        if self.damaged or not exact:
            return None
        for entry in entries:
            last = entry.batches[-1].last_offset if entry.batches else NO_OFFSET
            if last >= offset or entry.transaction_first_offset >= offset:
                return f"producer {entry.producer_id} has written at {last}, behind the snapshot"
            known = self.producers.entries.get(entry.producer_id)
            if known is None:
                if not self.partial:
                    return f"producer {entry.producer_id} has written nothing"
            elif not self.partial and _told(entry) != _told(known):
                return (
                    f"producer {entry.producer_id}: {_in_words(entry)}, but the batches say "
                    f"{_in_words(known)}"
                )
        held = {entry.producer_id for entry in entries}
        for producer_id in self.producers.open_transactions():
            if producer_id not in held:
                return f"the open transaction of producer {producer_id} is missing"
        return None


def _told(entry: ProducerEntry) -> tuple[int, ...]:
    last = entry.batches[-1].last_offset if entry.batches else NO_OFFSET
    return entry.epoch, entry.last_sequence, last, entry.transaction_first_offset


def _in_words(entry: ProducerEntry) -> str:
    epoch, sequence, offset, first = _told(entry)
    return f"epoch {epoch}, sequence {sequence}, offset {offset}, transaction from {first}"


def _damaged(path: str, offset: int, reason: str) -> Finding:
    return Finding(
        level="damage",
        path=path,
        offset=offset,
        reason=reason,
        saved="it can be made again from the batches",
    )
