"""Aggregates over windows of so many records of a key, whenever they come.

Starts and ends are numbers of records, from 0. A window is closed by its last record: `final` gives
it then. Time plays no part, so nothing is late; a result's timestamp is the highest in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.steps import CountStep
from processors.operators.window_kernel import WindowRows
from processors.operators.windowed import WindowedTableOperator
from processors.topology.sessions import Session, Sessions

if TYPE_CHECKING:
    from processors.operators.chunk import Chunk
    from processors.operators.folding import Folding
    from processors.operators.operator import Failures
    from processors.operators.steps import Step
    from processors.state.cached import Entry
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.windows import WindowEmit
    from processors.topology.reads import Reads
    from processors.topology.windows import CountWindows
    from streamlog.serdes import Serde


class CountWindowOperator(WindowedTableOperator):
    """Counts rows a window, or folds their values."""

    def __init__(
        self,
        path: str,
        key: Serde[Any],
        value: Serde[Any],
        state: SegmentedState,
        windows: CountWindows,
        emit: WindowEmit,
        folding: Folding | None,
        failures: Failures,
        reads: Reads,
    ) -> None:
        super().__init__(path, key, value, state, emit, folding, failures, reads)
        self.windows = windows
        self._step = CountStep() if folding is None else folding.step
        self._changed: list[Entry] = []
        self._forgotten = -1

    def update(self, chunk: Chunk) -> tuple[WindowRows, list[int]]:
        assert chunk.keys is not None
        self._refresh()
        rows = WindowRows()
        step = self._step.begin(chunk.tickets)
        values: list[Any] = chunk.values or [1] * len(chunk)
        segment = self.state.segment(0)
        segment.prefetch([key for key in chunk.keys if key is not None])
        columns = zip(chunk.keys, values, chunk.timestamps, strict=True)
        for index, (key, value, timestamp) in enumerate(columns):
            if key is not None and value is not None:
                self._take(segment.entry(key), value, timestamp, index, step, rows)
        return rows, []

    def flush(self, next_ticket: int) -> Chunk | None:
        """Flushes the store; what has changed goes on where emission is `latest`."""
        self._refresh()
        rows = WindowRows()
        changed, self._changed = self._changed, []
        for entry in changed:
            sessions: Sessions = entry.value
            for item in [*(sessions.expired or ()), *sessions.items]:
                if item.fresh:
                    self._append(rows, 0, entry.key, item, item.value, item.old)
                    item.fresh, item.known, item.old = False, True, None
            sessions.expired = None
        made = self.changes(rows, next_ticket) if rows.keys else None
        self.state.flush()
        return made

    def _refresh(self) -> None:
        if self.state.scalars.forgotten != self._forgotten:
            self._forgotten = self.state.scalars.forgotten
            self._changed = []

    def _take(
        self,
        entry: Entry,
        value: Any,
        timestamp: int,
        index: int,
        step: Step,
        rows: WindowRows,
    ) -> None:
        sessions: Sessions | None = entry.value
        if sessions is None:
            sessions = Sessions()
            sessions.due = 0
        size, advance = self.windows.size, self.windows.advance
        number = sessions.due
        first = max(0, number - size + advance) // advance * advance
        by_start = {item.start: item for item in sessions.items}
        pairs: list[Any] = []
        for start in range(first, number + 1, advance):
            item = by_start.get(start)
            pair = step.run(None if item is None else item.value, value, index)
            if pair is None:
                return
            pairs.append((start, item, pair))
        for start, item, (kept, emitted) in pairs:
            if item is None:
                item = Session(start, timestamp, None)
                sessions.items.append(item)
            self._apply(sessions, item, kept, timestamp)
            if self.emit == "every":
                self._append(rows, index, entry.key, item, emitted, item.old)
            if number == start + size - 1 or kept is None:
                self._close(sessions, item, kept)
                if self.emit == "final" and kept is not None:
                    self._append(rows, index, entry.key, item, kept, None)
        sessions.due = number + 1
        entry.value = sessions
        entry.timestamp = max(entry.timestamp, timestamp)
        if not entry.dirty:
            entry.state.mark(entry)
            if self.emit == "latest":
                self._changed.append(entry)

    def _apply(self, sessions: Sessions, item: Session, kept: Any, timestamp: int) -> None:
        if self.emit == "every" or not item.fresh:
            item.old = item.value
        item.value = kept
        item.end = max(item.end, timestamp)
        item.fresh = True

    def _close(self, sessions: Sessions, item: Session, kept: Any) -> None:
        sessions.items.remove(item)
        if self.emit == "latest" and (kept is not None or item.known):
            sessions.note_expired(item)

    def _append(
        self, rows: WindowRows, index: int, key: Any, item: Session, value: Any, old: Any
    ) -> None:
        end = self.windows.end(item.start)
        rows.append(index, key, item.start, end, value, item.end, old)
