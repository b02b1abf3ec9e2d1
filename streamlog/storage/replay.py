"""Rebuilds a partition's producers by going through the batches again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import CorruptLogError, CorruptRecordError
from streamlog.record import ControlType, read_control
from streamlog.storage.transaction_index import AbortedEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.record import BatchHeader, ControlRecord
    from streamlog.storage.producer_state import ProducerState
    from streamlog.storage.segment import Segment


def replay_batch(
    producers: ProducerState, header: BatchHeader, segment: Segment, position: int
) -> AbortedEntry | None:
    """Takes note of a batch in the log; the index entry where it aborts a transaction.

    Raises `CorruptLogError` for a damaged marker.
    """
    if header.producer_id < 0:
        return None
    if not header.is_control:
        producers.append(header, header.base_offset)
        return None
    try:
        control = read_control(segment.pread(header.size_bytes, position))
    except CorruptRecordError as error:
        raise CorruptLogError(segment.path, position, error.reason) from error
    if control.type is ControlType.UNKNOWN:
        return None
    return end_transaction(producers, control)


def end_transaction(producers: ProducerState, control: ControlRecord) -> AbortedEntry | None:
    """Takes note of a marker; the index entry where it aborts a transaction."""
    aborted = control.type is ControlType.ABORT
    completed = producers.end_transaction(
        control.producer_id,
        control.producer_epoch,
        control.coordinator_epoch,
        control.offset,
        control.timestamp,
        aborted=aborted,
    )
    if completed is None or not aborted:
        return None
    first_open = producers.first_open_offset()
    return AbortedEntry(
        completed.producer_id,
        completed.first_offset,
        completed.last_offset,
        completed.last_offset + 1 if first_open is None else first_open,
    )


def replay_producers(
    producers: ProducerState, segments: Sequence[Segment], start_offset: int, end_offset: int
) -> None:
    """Goes through the headers of the batches in `[start_offset, end_offset)`."""
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if following is not None and following.base_offset <= start_offset:
            continue
        if start_offset >= end_offset:
            return
        position = segment.locate(start_offset, segment.size_bytes)
        for place, header in segment.walk(position, segment.size_bytes):
            if header.base_offset >= end_offset:
                return
            replay_batch(producers, header, segment, place)
            start_offset = header.next_offset
