"""A channel: rows from other code of the process, on their way into the application."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from processors.errors import ChannelFullError
from processors.runtime.wake import make_wake
from processors.topology.timestamp import is_timestamp
from streamlog.client.contract import FetchedColumns
from streamlog.serdes import serde_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.client.contract import Headers

MAX_RECORDS: Final = 16_384
TAKE_RECORDS: Final = 4_096
"""So many at once: they are a run, whose end a round does not pass."""


class _Row(NamedTuple):
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Headers


class ChannelFeed:
    """Rows that wait to be processed, or for the commit that covers them.

    They are in memory only. The application forgets them when they are committed; when its tasks
    begin anew within the process, they take again what was not.

        sent ──take──> taken ──on_committed──> forgotten
          ▲              │
          └────rewind────┘

    Args:
        topic: What stands for it in errors.
        max_records: So many may be in it; whoever sends more waits.

    Thread safety: `send` is for any thread, `send_async` for any loop, the rest for the worker's.
    """

    def __init__(
        self, name: str, topic: str, *, key: Any, value: Any, max_records: int = MAX_RECORDS
    ) -> None:
        if max_records < 1:
            raise ValueError(f"channel {name!r}: max_records={max_records}: must be at least 1")
        self.name = name
        self.topic = topic
        self.key = serde_for(key)
        self.value = serde_for(value)
        self.max_records = max_records
        self._rows: deque[_Row] = deque()
        self._first = 0
        self._taken = 0
        self._changed = threading.Condition()
        self._waiters: list[Callable[[], None]] = []
        self._wake: Callable[[], None] | None = None

    # Sending.

    def send(
        self,
        value: Any,
        *,
        key: Any = None,
        timestamp: int | None = None,
        headers: Headers | None = None,
        timeout_ms: int | None = None,
    ) -> None:
        """Puts one record into the channel; waits while it is full.

        Args:
            timestamp: Milliseconds; without it, the time of this call.
            timeout_ms: Waits so long, also for an application that is still to start.

            >>> app = App("doc")
            >>> hits = app.channel("hits")
            >>> hits.stream().map(lambda hit: hit["page"]).to("pages", value=str)
            >>> hits.send({"page": "/"}, key="ann", timestamp=5)
            >>> driver = TopologyTestDriver(app)
            >>> driver.commit()
            >>> driver.items("pages")
            [('ann', '/')]

        Raises:
            SerializationError: the key or the value is none that its serde writes.
            ChannelFullError: it is full after `timeout_ms`; without one, where no application takes
                from it; or in a thread that runs an asyncio loop, which must not wait: there
                `await send_async(...)`.
        """
        row = self._encode(value, key, timestamp, headers)
        until_s = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        with self._changed:
            while not self._put(row):
                self._refuse_to_wait(for_ever=until_s is None)
                left_s = None if until_s is None else until_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise ChannelFullError(self.name, self.max_records, "it stayed full")
                self._changed.wait(left_s)
        self._tell()

    async def send_async(
        self,
        value: Any,
        *,
        key: Any = None,
        timestamp: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        """As `send`, for code in an asyncio loop, that of the application included.

        Raises:
            SerializationError: the key or the value is none that its serde writes.
            ChannelFullError: it is full and no application takes from it.
        """
        row = self._encode(value, key, timestamp, headers)
        import asyncio  # here: it takes as long as a third of `from processors import App`

        while True:
            room = asyncio.Event()
            with self._changed:
                if self._put(row):
                    break
                if self._wake is None:
                    raise self._nobody_reads()
                self._waiters.append(make_wake(room))
            await room.wait()
        self._tell()

    def _encode(self, value: Any, key: Any, timestamp: int | None, headers: Headers | None) -> _Row:
        if timestamp is None:
            timestamp = time.time_ns() // 1_000_000
        elif not is_timestamp(timestamp):
            raise ValueError(f"channel {self.name!r}: timestamp={timestamp!r}: give milliseconds")
        return _Row(
            None if key is None else self.key.serialize(key),
            None if value is None else self.value.serialize(value),
            timestamp,
            list(headers or ()),
        )

    def _put(self, row: _Row) -> bool:
        if len(self._rows) >= self.max_records:
            return False
        self._rows.append(row)
        return True

    def _refuse_to_wait(self, *, for_ever: bool) -> None:
        """Raises where nobody would ever make room."""
        if self._wake is None and for_ever:
            raise self._nobody_reads()
        try:
            import asyncio

            asyncio.get_running_loop()
        except RuntimeError:
            return
        why = "send() would stop this thread's asyncio loop: await send_async(...)"
        raise ChannelFullError(self.name, self.max_records, why)

    def _nobody_reads(self) -> ChannelFullError:
        return ChannelFullError(self.name, self.max_records, "no application takes from it now")

    def _tell(self) -> None:
        wake = self._wake
        if wake is not None:
            wake()

    # The application's side.

    def attach(self, wake: Callable[[], None]) -> None:
        """An application takes from it; `wake` is called, in any thread, when there is news."""
        with self._changed:
            self._wake = wake

    def detach(self) -> None:
        """No application takes from it any more: whoever waits is told."""
        with self._changed:
            self._wake = None
            self._make_room()

    def take(self) -> FetchedColumns | None:
        """The next rows that nobody has taken; None without any."""
        with self._changed:
            end = min(len(self._rows), self._taken + TAKE_RECORDS)
            # Not by index: each would be counted off from an end, a million rows away.
            rows = list(islice(self._rows, self._taken, end))
            first = self._first + self._taken
            self._taken = end
        if not rows:
            return None
        return FetchedColumns(
            topic=self.topic,
            partition=0,
            keys=[row.key for row in rows],
            values=[row.value for row in rows],
            timestamps=[row.timestamp for row in rows],
            offsets=list(range(first, first + len(rows))),
            headers=[row.headers for row in rows] if any(row.headers for row in rows) else None,
            next_offset=first + len(rows),
        )

    def backlog(self) -> int:
        """How many rows nobody has taken."""
        return len(self._rows) - self._taken

    def is_full(self) -> bool:
        """Whether it is, and all of it has been taken: then only a commit makes room."""
        return len(self._rows) >= self.max_records and self._taken == len(self._rows)

    def rewind(self) -> None:
        """What was taken and not committed is to be taken again."""
        with self._changed:
            self._taken = 0

    def on_committed(self, position: int) -> None:
        """Everything before this offset is committed."""
        with self._changed:
            done = position - self._first
            for _ in range(done):
                self._rows.popleft()
            self._first = position
            self._taken -= done
            if done:
                self._make_room()

    def _make_room(self) -> None:
        self._changed.notify_all()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()
