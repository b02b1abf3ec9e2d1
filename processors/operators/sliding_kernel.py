"""Aggregates over sliding windows: which windows a record is in, or makes (compiled).

There is a window for each set of records that fit into the difference d, both ends included: for a
record at t the one that ends with it, [t - d, t], and the one that begins behind it, [t + 1, t + 1
+ d], where that has a record. Before d all of the first kind are one, [0, d].

A record at t changes the windows that have it in them, and makes up to three:

    before                                      t
    ├── prev ──────────────┤                    │
                 [prev + 1 ─────────────── prev + 1 + d]     the previous record's, if it was empty
                            [t - d ──────────── t]           its own
                                                 [t + 1 ──── t + 1 + d]   behind it

Windows are kept with a key as sessions are, by start; what they have for an end is the timestamp of
their latest record. With `closed` for `stream time - grace`, a window is closed when `end <
closed`, and kept while a record that is not late may still ask what was in it: `start >= closed -
2 d - 1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.topology.sessions import Session, Sessions

if TYPE_CHECKING:
    from mypy_extensions import i64

    from processors.operators.session_kernel import SessionStates
    from processors.operators.steps import Step
    from processors.operators.window_kernel import WindowRows


class Change:
    """What becomes of one window: `item` is None for one that is made."""

    __slots__ = ("emitted", "item", "start", "timestamp", "value")

    def __init__(
        self, item: Session | None, start: i64, value: Any, emitted: Any, timestamp: i64
    ) -> None:
        self.item: Session | None = item
        self.start: i64 = start
        self.value: Any = value
        self.emitted: Any = emitted
        self.timestamp: i64 = timestamp


class Slide:
    """One record on its way through the windows of its key.

    `step` must leave alone what it is given: one window's value goes into several.
    """

    def __init__(self, step: Step, difference: i64, closed: i64, copy: Any) -> None:
        self.step: Step = step
        self.difference: i64 = difference
        self.closed: i64 = closed
        self.copy: Any = copy
        self.failed: bool = False
        self.changes: list[Change] = []

    def run(self, items: list[Session], value: Any, index: i64, now: i64) -> bool:
        """Finds out what changes; False where the record failed, and then nothing does."""
        self.failed = False
        self.changes = []
        if now < self.difference:
            self._early(items, value, index, now)
        else:
            self._usual(items, value, index, now)
        return not self.failed

    def _usual(self, items: list[Session], value: Any, index: i64, now: i64) -> None:
        difference = self.difference
        starts: set[int] = set()
        right: Session | None = None
        has_left = False
        left: Session | None = None
        previous: i64 = -1
        place: i64 = len(items)
        while place > 0:
            place -= 1
            item = items[place]
            if item.start > now + 1:
                continue
            if item.start < now - 2 * difference:
                break
            starts.add(item.start)
            if item.start == now + 1:
                continue
            end = item.start + difference
            if end > now:
                if right is None:
                    right = item
                self._update(item, value, index, now)
            elif end == now:
                has_left = True
                self._update(item, value, index, now)
                if item.end == now:
                    return  # a record of this time has made everything
                previous = item.end
            else:
                left = item
                previous = item.end
                break
            if self.failed:
                return
        if previous >= 0 and previous + 1 not in starts and previous + 1 + difference >= now:
            self._make(previous + 1, None, value, index, now)
        if not has_left:
            base = left if left is not None and previous >= now - difference else None
            self._make(now - difference, base, value, index, now)
        self._make_right(starts, right, now)

    def _early(self, items: list[Session], value: Any, index: i64, now: i64) -> None:
        starts: set[int] = set()
        right: Session | None = None
        combined: Session | None = None
        previous: i64 = -1
        for item in items:
            if item.start > now + 1:
                break
            starts.add(item.start)
            if item.start == 0:
                combined = item
                if item.end < now:
                    previous = item.end
            elif item.start <= now:
                right = item
                self._update(item, value, index, now)
        self._make_right(starts, combined if right is None else right, now)
        if previous >= 0 and previous + 1 not in starts:
            self._make(previous + 1, None, value, index, now)
        if combined is None:
            self._make(0, None, value, index, now)
        else:
            self._update(combined, value, index, now)

    def _update(self, item: Session, value: Any, index: i64, now: i64) -> None:
        if self.failed or item.start + self.difference < self.closed:
            return
        pair = self.step.run(item.value, value, index)
        if pair is None:
            self.failed = True
            return
        timestamp = item.end if item.end > now else now
        self.changes.append(Change(item, item.start, pair[0], pair[1], timestamp))

    def _make(self, start: i64, base: Session | None, value: Any, index: i64, now: i64) -> None:
        """A window with what is in another one, and the record."""
        if self.failed or start + self.difference < self.closed:
            return
        pair = self.step.run(None if base is None else base.value, value, index)
        if pair is None:
            self.failed = True
            return
        self.changes.append(Change(None, start, pair[0], pair[1], now))

    def _make_right(self, starts: set[int], right: Session | None, now: i64) -> None:
        """The window behind the record: what comes after it was in the windows that it is in."""
        start = now + 1
        if right is None or right.end <= now or start in starts:
            return
        if start + self.difference < self.closed:
            return
        value = self.copy(right.value)
        self.changes.append(Change(None, start, value, self.copy(value), right.end))


def fold_sliding(
    states: SessionStates,
    step: Step,
    copy: Any,
    keys: list[Any],
    values: list[Any],
    timestamps: list[int],
    updates: WindowRows | None,
    closing: WindowRows,
) -> None:
    """Runs the step for every window that a row is in.

    A row that failed changes nothing. A new value of None deletes the window.
    """
    names = states.begin(keys)
    entries = states.segment.entries
    stream_time: i64 = states.stream_time
    closed: i64 = states.closed
    lateness: i64 = states.lateness
    difference: i64 = states.difference
    slide = Slide(step, difference, closed, copy)
    index: i64 = -1
    for name, value in zip(names, values):  # noqa: B905 - the compiled zip knows no strict
        index += 1
        if name is None or value is None:
            continue
        now: i64 = timestamps[index]
        if now > stream_time:
            stream_time = now
            if now - lateness > closed:
                closed = now - lateness
                states.closed = closed
                slide.closed = closed
                if closed > states.next_due:
                    states.close(index, closing)
        if now + difference < closed:
            states.late.append(index)
            continue
        entry = entries.get(name)
        if entry is None:
            entry = states.load(index)
        sessions: Sessions | None = entry.value
        if sessions is None:
            sessions = Sessions()
        if not slide.run(sessions.items, value, index, now) or not slide.changes:
            continue
        for change in slide.changes:
            old = apply_change(sessions, change, states.track)
            if updates is not None:
                updates.append(
                    index, keys[index], change.start, change.start + difference, change.emitted,
                    change.timestamp, old,
                )  # fmt: skip
        states.leave(sessions)
        entry.value = sessions
        if stream_time > entry.timestamp:
            entry.timestamp = stream_time
        if not entry.dirty:
            states.mark(entry)
        states.register(sessions, entry.key)
    states.end(stream_time)


def apply_change(sessions: Sessions, change: Change, track: bool) -> Any:
    """Takes a change into the windows of its key; returns the value before."""
    items = sessions.items
    item = change.item
    if item is None:
        place = len(items)
        while place > 0 and items[place - 1].start > change.start:
            place -= 1
        if place > 0 and items[place - 1].start == change.start:
            # The previous record's window is the record's own: made twice, as Kafka Streams does.
            items[place - 1].value = change.value
        elif change.value is not None:
            items.insert(place, Session(change.start, change.timestamp, change.value))
        return None
    old = item.value
    if track and item.known and not item.fresh:
        item.old = old
    if change.value is None:
        if track and item.known:
            gone = Session(item.start, change.timestamp, None)
            gone.old = item.old
            sessions.note_gone(gone)
        items.remove(item)
        return old
    item.value = change.value
    item.end = change.timestamp
    item.fresh = True
    return old
