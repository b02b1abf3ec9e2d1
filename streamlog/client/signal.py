"""What wakes a waiting consumer, and what it leaves behind when it is forgotten.

Partition logs and group changes hold the signal, never the consumer: a consumer that nobody
closes can be collected, and its finalizer detaches the signal.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamlog.topic import TopicPartition


class Growing(Protocol):
    """Something that calls back when there is more to read: a partition log."""

    def add_listener(self, callback: Callable[[], None], /) -> None: ...

    def remove_listener(self, callback: Callable[[], None], /) -> None: ...


class Signal:
    """An event with a callback. `fire` and `interrupt` from any thread, else the consumer's."""

    def __init__(self) -> None:
        self.callback: Callable[[], None] | None = None
        self._event = threading.Event()
        self._wake_loop: Callable[[], object] | None = None
        self._interrupted = False
        self._sources: dict[TopicPartition, Growing] = {}
        # Bound once: a source must find the same object again when it removes it.
        self._listener = self.fire

    def fire(self) -> None:
        """There may be more to read. A callback that raises is reported and not called again."""
        self._end_wait()
        callback = self.callback
        if callback is None:
            return
        try:
            callback()
        except Exception:
            # This may be the flusher's thread, which must not die of a reader's callback.
            self.callback = None
            raised = (*sys.exc_info(), threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(raised))

    def interrupt(self) -> None:
        """Ends the wait that is under way, or the next one."""
        self._interrupted = True
        self._end_wait()

    def take_interrupt(self) -> bool:
        """Whether somebody interrupted since the last call."""
        interrupted, self._interrupted = self._interrupted, False
        return interrupted

    def arm(self) -> None:
        """To be called before looking for data: what comes later ends the wait."""
        self._event.clear()

    def wait(self, timeout: float | None) -> bool:
        """Whether something happened since `arm`."""
        return self._event.wait(timeout)

    async def wait_async(self, timeout: float) -> None:
        """As `wait`, in an asyncio loop, which goes on meanwhile."""
        import asyncio  # slow to import, and who calls this has it

        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        self._wake_loop = partial(loop.call_soon_threadsafe, arrived.set)
        try:
            # In this order: what comes in between finds the loop to wake.
            if not self._event.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await arrived.wait()
        finally:
            self._wake_loop = None

    def _end_wait(self) -> None:
        self._event.set()
        wake_loop = self._wake_loop
        if wake_loop is not None:
            with suppress(RuntimeError):  # the loop was closed with the wait in it
                wake_loop()

    def listen(self, sources: Mapping[TopicPartition, Growing]) -> None:
        """Listens to just these from here on."""
        self._detach(self._sources.keys() - sources.keys())
        for partition, source in sources.items():
            if partition not in self._sources:
                self._sources[partition] = source
                source.add_listener(self._listener)

    def detach(self) -> None:
        """Listens to nothing any more."""
        self._detach(list(self._sources))

    def _detach(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            source = self._sources.pop(partition, None)
            if source is not None:  # the log may be closing the consumer in another thread
                source.remove_listener(self._listener)
