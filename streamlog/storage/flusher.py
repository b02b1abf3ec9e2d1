"""Group commit: one thread that makes appended data durable, window by window.

A window, in this order:

1. take the waiters, so that everything appended before they asked is in this window;
2. run the drains, which append what producers have gathered;
3. take the dirty logs and note how far each has been written;
4. sync their files, and the directories that have new names in them;
5. advance their high watermarks and publish them to readers in other processes;
6. call the waiters back; what they append belongs to the next window;
7. move recovery points that are due.

Window n+1 starts after window n has ended, and a window starts whenever something is dirty or
somebody waits: under load windows grow by themselves. Only one that nobody waits for, so soon
after the last, gathers data for a moment, as each costs the core a sync of every file.

A failure of any write or sync ends all writing, for the whole directory: after a failed fsync
nobody knows which pages were written, and a second fsync may report success (fsyncgate).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from threading import Condition, Lock, Thread, get_ident
from typing import TYPE_CHECKING, Final, Protocol

from streamlog.errors import LogClosedError, StorageError
from streamlog.storage.failure import wrap_sync_error, wrap_write_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from streamlog.files import Files
    from streamlog.storage.durable_offsets import DurableOffset, PartitionId
    from streamlog.storage.segment import Segment
    from streamlog.topic import TopicPartition

    DurableCallback = Callable[[StorageError | None], None]

SYNC_THREADS: Final = 4
PACE_S: Final = 0.002
"""At least so long from the start of one window to that of another which nobody waits for."""


@dataclass(frozen=True, slots=True)
class FlushPoint:
    """How far a log had been written when a window took it, and what to sync for that."""

    end_offset: int
    appended_bytes: int
    segments: tuple[tuple[Segment, int], ...]  # with their sizes then
    directories: tuple[str, ...]  # that have new names in them
    checkpoint: Checkpoint | None = None


class Checkpoint(Protocol):
    """A recovery point that is due: `execute` makes everything below it durable."""

    @property
    def topic_partition(self) -> TopicPartition: ...

    @property
    def recovery_point(self) -> int: ...

    def execute(self, files: Files) -> None:
        """Writes and syncs everything that the recovery point relies on."""
        ...

    def complete(self) -> None:
        """The recovery point itself is durable."""
        ...


class Flushable(Protocol):
    """What the flusher asks of a partition log."""

    def begin_flush(self) -> FlushPoint:
        """Marks the log clean and says what a sync must cover."""
        ...

    def complete_flush(self, point: FlushPoint) -> None:
        """Everything below the point is durable: advances the high watermark."""
        ...

    def durable_offset(self) -> tuple[PartitionId, DurableOffset]:
        """How far readers may go."""
        ...


class Owner(Protocol):
    """What the flusher asks of the directory. Called on the flusher's thread."""

    def publish(self, logs: Sequence[Flushable]) -> None:
        """The logs' high watermarks have moved."""
        ...

    def checkpoint(self, due: Sequence[Checkpoint]) -> None:
        """Executes the checkpoints and records the recovery points."""
        ...


class Flusher:
    """Makes logs durable. Usable from any thread.

    Without a thread (`threaded` False) windows run in the thread that waits or requests, one by
    one until nothing is left to do, so that the order of operations is always the same.
    """

    def __init__(
        self, path: str, files: Files, owner: Owner, *, sync: bool = True, threaded: bool = True
    ) -> None:
        self._path = path
        self._files = files
        self._owner = owner
        self._sync = sync
        self._threaded = threaded
        self._condition = Condition()
        self._dirty: dict[Flushable, None] = {}
        self._syncing_deferred = Lock()
        self._unsynced: dict[Segment, None] = {}  # for durability="os"
        self._unsynced_directories: dict[str, None] = {}
        self._waiters: list[DurableCallback] = []
        self._due: list[Checkpoint] = []
        self._drains: list[Callable[[], None]] = []
        self._requested = False
        self._window_began_s = float("-inf")
        self._closing = False
        self._failure: StorageError | None = None
        self._thread: Thread | None = None
        self._runner: int | None = None  # the thread in which windows run now
        self._pool: ThreadPoolExecutor | None = None

    @property
    def failure(self) -> StorageError | None:
        """Why writing has ended; None while it goes on."""
        return self._failure

    def mark_dirty(self, log: Flushable) -> None:
        """The log has new data; a window starts, where nobody waits, within `PACE_S`."""
        with self._condition:
            if not self._dirty:  # otherwise a window is on its way
                self._wake()
            self._dirty[log] = None

    def when_durable(self, callback: DurableCallback) -> None:
        """`callback(error or None)` runs once everything appended before this call is durable.

        It runs on the flusher's thread and must not wait for anything. Where writing has ended
        it runs at once, in this thread.
        """
        with self._condition:
            if self._failure is None and not self._closing:
                self._waiters.append(callback)
                self._wake()
                error = None
            else:
                error = self._failure or LogClosedError(self._path)
        if error is not None:
            callback(error)
        elif not self._threaded:
            self._run_inline()

    def wait_durable(self, timeout: float | None = None) -> None:
        """Returns when everything appended before this call is durable.

        Raises what ended writing, or `TimeoutError`.
        """
        assert self._runner != get_ident(), "the flusher's thread would wait for itself"
        outcome: list[StorageError | None] = []
        condition = self._condition

        def wake(error: StorageError | None) -> None:
            with condition:
                outcome.append(error)
                condition.notify_all()

        self.when_durable(wake)
        deadline = None if timeout is None else time.monotonic() + timeout
        with condition:
            while not outcome:
                rest = None if deadline is None else deadline - time.monotonic()
                if rest is not None and rest <= 0:
                    raise TimeoutError(f"not durable after {timeout} s")
                condition.wait(rest)
        if outcome[0] is not None:
            raise outcome[0]

    def request(self) -> None:
        """Starts a window although nothing may be dirty, so that the drains run."""
        with self._condition:
            self._requested = True
            self._wake()
        if not self._threaded:
            self._run_inline()

    def add_drain(self, drain: Callable[[], None]) -> None:
        """`drain` runs at the start of every window, on the flusher's thread, and may append."""
        with self._condition:
            self._drains = [*self._drains, drain]

    def remove_drain(self, drain: Callable[[], None]) -> None:
        with self._condition:
            self._drains = [each for each in self._drains if each != drain]

    def relieve(self, log: Flushable) -> None:
        """Back-pressure: returns when what is appended to the log so far is durable."""
        if self._runner == get_ident():
            self._flush([(log, log.begin_flush())])
        else:
            self.wait_durable()

    def sync_all(self) -> None:
        """Syncs everything appended so far, under durability="os" too."""
        self.wait_durable()
        self._sync_deferred()

    def run_jobs(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Runs jobs that write or sync; several at a time, as the disk commits them together.

        Returns when all have ended; raises what the first one raised that did not end well.
        """
        if len(jobs) <= 2 or not self._threaded:
            for job in jobs:
                job()
            return
        futures: list[Future[None]] = []
        try:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor  # slow to import, seldom needed

                self._pool = ThreadPoolExecutor(SYNC_THREADS, "streamlog-sync")
            for job in jobs:
                futures.append(self._pool.submit(job))
        # The interpreter is ending: its pools take nothing any more, nor can a first one be made.
        except RuntimeError:
            for job in jobs[len(futures) :]:
                job()
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]

    def fail(self, error: StorageError) -> None:
        """Ends all writing; the first reason stays. Waiters get the error on the flusher's thread.

        Not on this one, which may hold a log's lock: a callback that reads it would wait for ever.
        """
        waiters: list[DurableCallback] = []
        with self._condition:
            if self._failure is None:
                self._failure = error
            if self._thread is None:
                waiters, self._waiters = self._waiters, waiters
            self._condition.notify_all()
        for waiter in waiters:
            waiter(self._failure)

    def flush_last(self, logs: Sequence[Flushable]) -> None:
        """After `close`: one more window for what was appended meanwhile, synced in any case."""
        self._sync = True
        self._flush([(log, log.begin_flush()) for log in logs])
        self._sync_deferred()

    def close(self) -> None:
        """Runs the last windows and ends the thread. Later waiters get `LogClosedError`."""
        if self._thread is None:
            self._threaded = False  # too late to start one: the interpreter may be ending
        if self._failure is None:
            self.request()
        with self._condition:
            self._closing = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def release(self) -> None:
        """Ends what is left of the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    # The windows

    def _wake(self) -> None:
        """Under the condition."""
        if not self._threaded:
            return
        if self._thread is None:
            name = f"streamlog-flusher {os.path.basename(self._path)}"
            self._thread = Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _has_work(self) -> bool:
        if self._failure is not None:
            return bool(self._waiters)
        return bool(self._dirty or self._waiters or self._requested)

    def _run(self) -> None:
        self._runner = get_ident()
        while True:
            with self._condition:
                while not self._has_work():
                    if self._closing:
                        return
                    self._condition.wait()
                self._pace()
            try:
                self._run_window()
            except BaseException:  # a bug in a drain or callback; writing has ended
                from logging import getLogger  # slow to import, hardly ever needed

                getLogger(__name__).exception("the flusher of %s ended", self._path)

    def _pace(self) -> None:
        """Under the condition: lets a window gather data as long as nobody waits for it."""
        due_s = self._window_began_s + PACE_S
        while not (self._waiters or self._requested or self._closing or self._failure):
            rest_s = due_s - time.monotonic()
            if rest_s <= 0:
                break
            self._condition.wait(rest_s)
        self._window_began_s = time.monotonic()

    def _run_inline(self) -> None:
        """Without a thread: windows until nothing is left; a nested call leaves it to the outer."""
        if self._runner is not None:
            return
        self._runner = get_ident()
        try:
            while self._has_work():
                self._run_window()
        finally:
            self._runner = None

    def _run_window(self) -> None:
        with self._condition:
            self._requested = False
            waiters, self._waiters = self._waiters, []
        try:
            if self._failure is not None:
                return
            for drain in self._drains:
                drain()
            with self._condition:
                dirty, self._dirty = list(self._dirty), {}
            self._flush([(log, log.begin_flush()) for log in dirty])
        except StorageError as error:
            self.fail(error)
        except BaseException as error:
            self.fail(StorageError(self._path, f"the flusher ended: {error!r}"))
            raise
        finally:
            self._call_back(waiters)
        if self._due and self._failure is None:
            self._move_recovery_points()

    def _call_back(self, waiters: list[DurableCallback]) -> None:
        """Every one of them, whatever the others do: somebody waits behind each."""
        error: BaseException | None = None
        for waiter in waiters:
            try:
                waiter(self._failure)
            except BaseException as raised:  # a bug of the caller's: it ends writing, loudly
                error = error or raised
        if error is not None:
            self.fail(StorageError(self._path, f"the flusher ended: {error!r}"))
            raise error

    def _flush(self, points: list[tuple[Flushable, FlushPoint]]) -> None:
        """Syncs, then advances. Raises `StorageError`, and then nothing has advanced."""
        if self._failure is not None:
            raise self._failure
        segments = [segment for _, point in points for segment, _ in point.segments]
        directories = dict.fromkeys(d for _, point in points for d in point.directories)
        if self._sync:
            self._sync_files(segments, list(directories))
        else:
            with self._condition:
                self._unsynced.update(dict.fromkeys(segments))
                self._unsynced_directories.update(directories)
        for log, point in points:
            log.complete_flush(point)
            if point.checkpoint is not None:
                self._due.append(point.checkpoint)
        try:
            self._owner.publish([log for log, _ in points])
        except OSError as error:
            failure = wrap_write_error(self._path, error)
            self.fail(failure)
            raise failure from error

    def _sync_deferred(self) -> None:
        """Syncs what durability="os" has left to the system so far."""
        with self._syncing_deferred:  # who finds nothing left returns when that is synced
            if self._failure is not None:
                raise self._failure
            with self._condition:
                segments, self._unsynced = list(self._unsynced), {}
                directories, self._unsynced_directories = list(self._unsynced_directories), {}
            self._sync_files(segments, directories)

    def _sync_files(self, segments: Sequence[Segment], directories: Sequence[str]) -> None:
        """Raises `StorageError`, and then all writing has ended."""
        try:
            self._sync_at_once(segments, directories)
        except OSError as error:
            failure = wrap_sync_error(self._path, error)
            self.fail(failure)
            raise failure from error

    def _sync_at_once(self, segments: Sequence[Segment], directories: Sequence[str]) -> None:
        jobs: list[Callable[[], None]] = [segment.datasync for segment in segments]
        jobs += [partial(self._files.sync_directory, path) for path in directories]
        self.run_jobs(jobs)

    def _move_recovery_points(self) -> None:
        due, self._due = self._due, []
        try:
            self._sync_deferred()  # a recovery point is never ahead of the disk
            self._owner.checkpoint(due)
        except StorageError:
            assert self._failure is not None, "writing has ended"
        except OSError as error:
            self.fail(wrap_write_error(self._path, error))
