"""What a log does by itself, now and then: one thread a directory, or steps by hand.

A task is a function from the time to the time when it is due again. It may be due earlier if
somebody says so (`wake`), and it may run earlier than due: it looks at the time it is given.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Condition, Lock, Thread, get_ident
from typing import TYPE_CHECKING, Final

from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.clock import Clock

    Task = Callable[[int], int]

NEVER: Final = (1 << 63) - 1
"""The time of a task that waits to be woken."""
LONGEST_WAIT_MS: Final = 60_000
"""The machine may have slept, and its clock may have been set: so often the thread looks."""
RETRY_MS: Final = 15_000


class _Entry:
    """When a task is due, and when that was said."""

    __slots__ = ("due_ms", "said_ms")

    def __init__(self, due_ms: int, said_ms: int) -> None:
        self.due_ms = due_ms
        self.said_ms = said_ms


class Housekeeper:
    """Runs tasks when they are due, one after the other. Usable from any thread.

    The thread starts with the first task, unless `threaded` is False: then only `step` runs them.
    `has_ended` says that writing is over, and with it all housekeeping.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        threaded: bool = True,
        has_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name = name
        self._clock = clock
        self._threaded = threaded
        self._has_ended = has_ended
        self._condition = Condition()  # guards the tasks, the thread and whether it is to stop
        self._tasks: dict[Task, _Entry] = {}
        self._stopping = False
        self._thread: Thread | None = None
        self._running = Lock()  # held while tasks run
        self._runner: int | None = None

    def add(self, task: Task, *, due_ms: int | None = None) -> None:
        """Runs `task` when `due_ms` has come, at once without it, and then as it says itself.

        `task(now_ms)` returns the time of its next run in milliseconds since the epoch; `NEVER`
        is until somebody wakes it. It may call anything here but `stop` and `step`.
        """
        now_ms = self._clock.now_ms()
        with self._condition:
            self._tasks[task] = _Entry(now_ms if due_ms is None else due_ms, now_ms)
            if self._threaded and self._thread is None and not self._stopping:
                thread = Thread(target=self._run, name=self._name, daemon=True)
                with suppress(RuntimeError):  # the interpreter is ending, and the log with it
                    thread.start()
                    self._thread = thread
            self._condition.notify_all()

    def wake(self, task: Task, *, due_ms: int | None = None) -> None:
        """Makes a task due at `due_ms`, or at once; never later than it was. Unknown ones are left.

        One that runs at the moment runs again.
        """
        now_ms = self._clock.now_ms()
        due_ms = now_ms if due_ms is None else due_ms
        with self._condition:
            entry = self._tasks.get(task)
            if entry is not None and due_ms < entry.due_ms:
                self._tasks[task] = _Entry(due_ms, now_ms)
                self._condition.notify_all()

    def remove(self, task: Task) -> None:
        """The task does not run again; on return it does not run any more, unless it called."""
        with self._condition:
            self._tasks.pop(task, None)
        if self._runner != get_ident():
            with self._running:
                pass

    def step(self, now_ms: int) -> int:
        """Runs every task that is due at `now_ms`, once, and returns when the next one is.

        Raises the first error of a task after all have run; it is due again a little later.
        """
        errors: list[Exception] = []
        next_ms = self._step(now_ms, errors)
        if errors:
            raise errors[0]
        return next_ms

    def stop(self) -> None:
        """Returns when no task runs any more; none runs later."""
        with self._condition:
            self._stopping = True
            self._tasks.clear()
            thread = self._thread
            self._condition.notify_all()
        if thread is not None:
            thread.join()
        with self._running:
            pass

    def _step(self, now_ms: int, errors: list[Exception]) -> int:
        with self._running:
            self._runner = get_ident()
            try:
                for task, entry in self._take_due(now_ms):
                    self._run_task(task, entry, now_ms, errors)
            finally:
                self._runner = None
        with self._condition:
            return min((entry.due_ms for entry in self._tasks.values()), default=NEVER)

    def _take_due(self, now_ms: int) -> list[tuple[Task, _Entry]]:
        """What is due, the longest due first; until it has run it is not due again."""
        taken: list[tuple[Task, _Entry]] = []
        with self._condition:
            for task, entry in self._tasks.items():
                if now_ms < entry.said_ms:  # the clock was set back: what was said moves with it
                    if entry.due_ms != NEVER:
                        entry.due_ms -= entry.said_ms - now_ms
                    entry.said_ms = now_ms
                if entry.due_ms <= now_ms:
                    taken.append((task, entry))
            taken.sort(key=lambda each: each[1].due_ms)
            for task, _ in taken:
                self._tasks[task] = _Entry(NEVER, now_ms)
        return taken

    def _run_task(self, task: Task, entry: _Entry, now_ms: int, errors: list[Exception]) -> None:
        with self._condition:
            if task not in self._tasks:  # another one has removed it
                return
        try:
            next_ms = task(now_ms)
        except Exception as error:
            errors.append(error)
            next_ms = now_ms + RETRY_MS
        with self._condition:
            found = self._tasks.get(task)
            if found is not None and next_ms < found.due_ms:
                self._tasks[task] = _Entry(next_ms, now_ms)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._stopping:
                    wait_ms = self._wait_ms()
                    if wait_ms <= 0:
                        break
                    self._condition.wait(wait_ms / 1000)
                if self._stopping:
                    return
            errors: list[Exception] = []
            self._step(self._clock.now_ms(), errors)
            if self._has_ended():
                return  # and everyone who writes is told so
            if errors:
                self._report(errors)

    def _wait_ms(self) -> int:
        """Under the condition."""
        now_ms = self._clock.now_ms()
        due_ms = min((entry.due_ms for entry in self._tasks.values()), default=NEVER)
        said_ms = max((entry.said_ms for entry in self._tasks.values()), default=now_ms)
        if now_ms < said_ms:
            return 0  # the clock was set back: a step puts things right
        return min(due_ms - now_ms, LONGEST_WAIT_MS)

    def _report(self, errors: list[Exception]) -> None:
        from logging import getLogger  # slow to import, hardly ever needed

        for error in errors:
            expected = isinstance(error, StreamlogError)
            getLogger(__name__).warning(
                "%s: %s", self._name, error, exc_info=None if expected else error
            )
