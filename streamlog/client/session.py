"""One opening of a log: its producers and consumers, and whether it is still open."""

from __future__ import annotations

from collections import deque
from threading import Lock, RLock
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from streamlog.errors import LogClosedError, LogForkedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.client.beside import BesideBroker
    from streamlog.client.broker import Broker


class Client(Protocol):
    """A producer or a consumer."""

    def close(self) -> None: ...

    def abandon(self) -> None:
        """The process was forked: refuse everything from here on, and take no lock."""
        ...

    def topic_changed(self, topic: str) -> None:
        """The topic was altered or deleted; from any thread."""
        ...


class Session:
    """What clients know of the log they came from. Usable from any thread.

    Clients are held weakly. What a forgotten consumer leaves behind is undone at the next call
    and not in its finalizer: that may run anywhere, also where a lock is held that it would need.
    """

    def __init__(self, broker: Broker | BesideBroker, path: str | None = None) -> None:
        """`path` is what the user calls the log, if not by its directory."""
        self.broker = broker
        self.path = path or broker.path
        self.closed = False
        self.forked = False
        self._closing_lock = RLock()  # held while the log is closed
        self._closing = False
        self._lock = Lock()  # guards the clients
        self._clients: WeakSet[Client] = WeakSet()
        self._leftovers: deque[Callable[[], None]] = deque()
        broker.add_topic_listener(self.topic_changed)

    def check_open(self) -> None:
        """Raises where the log can no longer be used; undoes what was left behind."""
        if self.forked:
            raise LogForkedError(self.path)
        if self.closed:
            raise LogClosedError(self.path)
        while self._leftovers:
            try:
                undo = self._leftovers.popleft()
            except IndexError:  # another thread took the last one
                return
            undo()

    def add(self, client: Client) -> None:
        with self._lock:
            self._clients.add(client)

    def discard(self, client: Client) -> None:
        with self._lock:
            self._clients.discard(client)

    def topic_changed(self, topic: str) -> None:
        """Tells the clients; in the thread that altered or deleted the topic."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.topic_changed(topic)

    def leave_behind(self, undo: Callable[[], None]) -> None:
        """`undo` runs at the next call of anything; nothing is done here."""
        self._leftovers.append(undo)

    def abandon(self) -> None:
        """In a forked child, where any lock may be held by a thread that is not there."""
        self.forked = True
        for client in list(self._clients):
            client.abandon()

    def close(self) -> None:
        """Closes the clients, then the broker; twice is once. Raises their first error.

        Waits for another thread that is closing. Ctrl-C ends the wait for one client; the rest is
        closed all the same before it is raised.
        """
        if self.forked:
            return
        with self._closing_lock:
            if self._closing:  # done, or in this very thread: a signal's handler
                return
            self._closing = True
            self._close_all()

    def _close_all(self) -> None:
        errors: list[BaseException] = []
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            try:
                client.close()
            except BaseException as error:  # the others still have to be closed
                errors.append(error)
        self.closed = True
        self.broker.remove_topic_listener(self.topic_changed)
        try:
            self.broker.close()
        except BaseException as error:
            errors.insert(0, error)
        # An interruption before any error: the caller must not take it for one.
        errors.sort(key=lambda error: isinstance(error, Exception))
        if errors:
            raise errors[0]
