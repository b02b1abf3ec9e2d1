"""Restore: every store catches up with its changelog before the first record is processed.

    position of the store ── choose_start ──> start or rebuild ── Restore.step ──> end

The end is the changelog's high watermark, read after the committed offsets were stable. Records
are read committed until the fetch *position* reaches it: a last stable offset can lie before the
predecessor's last transaction (KAFKA-10167), and the last record can lie before a tail of markers.

What is read is folded into a dict, the last value a key, and written in sorted runs with the
position reached: a restore that is killed goes on from its last run. One store at a time, so that
memory is bounded by one dict.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from processors.state.position import NO_BOOT_ID, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from processors.state.byte_store import ByteStore
    from streamlog.client.contract import Consumer, FetchedColumns, TopicPartition

Row = tuple[bytes | None, bytes | None, int]
"""Key, value and timestamp of a record."""

POLL_BYTES: Final = 1 << 20
RUN_BYTES: Final = 64 << 20
RUN_ROWS: Final = 200_000

_PACK: Final = struct.Struct(">q").pack


class Start(NamedTuple):
    """Where a restore begins. `rebuild` says why the store is emptied first, or is None."""

    offset: int
    rebuild: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changelog:
    """One changelog partition as found at the start.

    `delete_retention_ms` is how long a compacted topic keeps tombstones; None where nothing is
    ever compacted away.
    """

    partition: TopicPartition
    topic_id: UUID
    log_start_offset: int
    end_offset: int
    delete_retention_ms: int | None = None


def choose_start(
    position: Position | None, changelog: Changelog, *, now_ms: int, boot_id: UUID = NO_BOOT_ID
) -> Start:
    """Where to begin, and whether what the store holds can be trusted.

    Args:
        position: What the store says of itself; None for an empty or unreadable one.
        boot_id: This machine's boot, where the log promises nothing over the loss of power.
    """
    first = changelog.log_start_offset
    if position is None:
        return Start(first)
    if position.topic_id != changelog.topic_id:
        return Start(first, "its changelog was deleted and made again")
    if not first <= position.offset <= changelog.end_offset:
        bounds = f"[{first}, {changelog.end_offset}]"
        return Start(first, f"its position {position.offset} is outside the changelog's {bounds}")
    if NO_BOOT_ID not in (position.boot_id, boot_id) and position.boot_id != boot_id:
        return Start(first, "the machine was started anew, and the log is not synced to disk")
    age_ms = now_ms - position.wall_time_ms
    retention_ms = changelog.delete_retention_ms
    misses_some = position.offset < changelog.end_offset
    if misses_some and retention_ms is not None and age_ms >= retention_ms:
        hours = age_ms // 3_600_000
        return Start(first, f"it is {hours} hours old, and tombstones may have been compacted away")
    return Start(position.offset)


class Restore:
    """Brings one store to the end of its changelog, a step at a time.

    Args:
        read: Where the changelog is a source topic: what the table has made of a record, or None.
            Nothing behind the end is taken then, as the table has not seen it.
    """

    def __init__(
        self,
        changelog: Changelog,
        start: Start,
        store: ByteStore,
        position_at: Callable[[UUID, int], Position],
        read: Callable[[Row], Row | None] | None = None,
    ) -> None:
        self.changelog = changelog
        self._read = read
        self.offset = start.offset
        self.total = max(changelog.end_offset - start.offset, 0)
        self.records = 0
        self._store = store
        self._position_at = position_at
        self._folded: dict[bytes | None, tuple[bytes | None, int]] = {}
        self._polled_bytes = 0

    @property
    def done(self) -> bool:
        return self.offset >= self.changelog.end_offset

    def begin(self, consumer: Consumer) -> None:
        """Points the consumer at the changelog; call it once, before `step`."""
        consumer.assign([self.changelog.partition])
        consumer.seek(self.changelog.partition, self.offset)

    def step(self, consumer: Consumer) -> bool:
        """Reads about a megabyte; returns whether it got any further."""
        before = self.offset
        for columns in consumer.poll_columns(max_bytes=POLL_BYTES):
            self._fold(columns)
        self.offset = consumer.position(self.changelog.partition)
        if self._read is not None:
            self.offset = min(self.offset, self.changelog.end_offset)
        self._polled_bytes += POLL_BYTES
        if self.done or self._polled_bytes >= RUN_BYTES or len(self._folded) >= RUN_ROWS:
            self._write()
        return self.offset > before

    def _fold(self, columns: FetchedColumns) -> None:
        if self._read is not None:
            self._fold_source(columns, self._read)
            return
        rows = zip(columns.values, columns.timestamps, strict=True)
        self._folded.update(zip(columns.keys, rows, strict=True))
        self.records += len(columns.keys)

    def _fold_source(self, columns: FetchedColumns, read: Callable[[Row], Row | None]) -> None:
        rows = zip(columns.keys, columns.values, columns.timestamps, strict=True)
        for offset, row in zip(columns.offsets, rows, strict=True):
            if offset >= self.changelog.end_offset:
                break
            self.records += 1
            if (made := read(row)) is not None:
                self._folded[made[0]] = made[1:]

    def _write(self) -> None:
        """Writes a run. A position alone is not worth a write, except to a new store."""
        folded, self._folded, self._polled_bytes = self._folded, {}, 0
        if not folded and self._store.position() is not None:
            return
        pack = _PACK
        self._store.write(
            [
                (key, None if value is None else pack(timestamp) + value)
                for key, (value, timestamp) in folded.items()
                if key is not None
            ],
            self._position_at(self.changelog.topic_id, self.offset),
        )


def sum_progress(restores: Sequence[Restore]) -> tuple[int, int]:
    """(offsets passed, offsets to pass) over all stores."""
    passed = sum(
        restore.total - max(restore.changelog.end_offset - restore.offset, 0)
        for restore in restores
    )
    return passed, sum(restore.total for restore in restores)
