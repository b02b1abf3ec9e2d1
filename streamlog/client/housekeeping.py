"""The thread that ends what has been open for too long."""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final

from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_SECONDS: Final = 1.0


class Housekeeping:
    """Calls `step` about every second, from the first `start` to `stop`. Usable from any thread."""

    def __init__(self, step: Callable[[], None], name: str) -> None:
        self._step = step
        self._name = name
        self._stopping = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Returns when no step runs any more."""
        self._stopping.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_SECONDS):
            try:
                self._step()
            except StreamlogError:
                return  # writing has ended, and everyone who writes is told so
