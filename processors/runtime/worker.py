"""The worker: one application in one asyncio loop, from start to stop.

    starting ─> restoring ─> running ─> stopping ─> stopped
        ▲                       │
        └── the tasks died: closed, restored, begun again

A worker is one failure domain: its own transactional id, transaction, restart. Rounds are bounded
and the loop runs others in between. When to commit adapts: as soon as the input is drained and
something is pending, so that latency is that of a small batch; under a backlog at the latest after
the commit interval, so that throughput is that of large ones.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from processors.errors import CorruptStoreError
from processors.runtime.boot import read_boot_id
from processors.runtime.collector import rare_collections
from processors.runtime.commit import Transactions
from processors.runtime.progress import Life, Progress
from processors.runtime.start import Site, Starter
from processors.runtime.stores import Stores
from processors.runtime.top import TopTable, find_last_table
from processors.runtime.topics import missing_sources
from processors.runtime.wake import make_wake
from processors.runtime.work import Work
from processors.state.position import NO_BOOT_ID
from streamlog.errors import (
    ConcurrentTransactionsError,
    TransactionAbortedError,
    UnknownTopicError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    from processors.runtime.application import Application
    from processors.runtime.stores import Database
    from processors.runtime.tasks import Tasks
    from streamlog.client.contract import Log, Producer
    from streamlog.targets import RunContext, TargetStatus

SOURCE_WAIT_MS: Final = 5_000
"""How long a start waits for topics that another target of the run may be about to make."""

LOOK_S: Final = 0.02
RESTARTS: Final = 3
"""So many deaths of the tasks without a commit in between end the worker."""

ROCKSDB_SHARE: Final = 8
"""RocksDB's block cache and write buffers take this part of the memory budget."""

_log = logging.getLogger(__name__)


class Worker:
    """A target of `streamlog run`. All methods are called in the loop's thread."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._progress = Progress()
        self._stopping = False
        self._at_once = False
        self._wake = asyncio.Event()
        self._running: asyncio.Task[Any] | None = None

    @property
    def name(self) -> str:
        return self._application.name

    def request_stop(self, *, at_once: bool = False, drain: bool = False) -> None:
        self._stopping = True
        self._wake.set()
        # While stores are restored there is nothing to be finished, and they go on from there.
        if (at_once or self._progress.state == "restoring") and not self._at_once:
            self._at_once = True
            if self._running is not None:
                self._running.cancel()

    def status(self) -> TargetStatus:
        return self._progress.status()

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        return self._progress.top(count)

    async def run(self, context: RunContext) -> None:
        """Works until stopped. Restarts its tasks where they died and nothing else is wrong."""
        self._running = asyncio.current_task()
        restarts = 0
        try:
            if self._application.find_topics is not None:
                self._application = self._application.find_topics(context.log.topics())
            for channel in self._application.channels:
                channel.attach(make_wake(self._wake))
            await self._wait_for_sources(context)
            while not self._stopping:
                commits = self._progress.commits
                try:
                    with rare_collections():
                        await self._live(context)
                    return
                except (CorruptStoreError, TransactionAbortedError) as error:
                    restarts = restarts + 1 if commits == self._progress.commits else 1
                    if restarts > RESTARTS:
                        raise
                    _log.warning("%s: the tasks died and start anew: %s", self.name, error)
                    if isinstance(error, CorruptStoreError):
                        _set_aside(self._state_path(context))
        except asyncio.CancelledError:
            if not self._at_once:
                raise
        finally:
            for channel in self._application.channels:
                channel.detach()
            self._running = None
            self._progress.state = "stopped"

    async def _wait_for_sources(self, context: RunContext) -> None:
        """Topics that are read must be there; another target may be about to make them."""
        until_ms = context.clock.now_ms() + SOURCE_WAIT_MS
        while missing := missing_sources(self._application, context.log):
            if self._stopping or context.clock.now_ms() >= until_ms:
                raise UnknownTopicError(missing[0], context.log.topics())
            await asyncio.sleep(LOOK_S)

    async def _live(self, context: RunContext) -> None:
        """One life of the tasks."""
        async with AsyncExitStack() as stack:
            producer = stack.enter_context(await self._open_producer(context.log))
            database = self._open_database(self._state_path(context))
            stack.callback(database.close)
            stores = Stores(database, context.log, context.clock, _written_boot_id(context.log))
            stack.push_async_callback(stores.settle)
            site = Site(
                application=self._application,
                log=context.log,
                clock=context.clock,
                manifest_path=context.state_dir / self.name / "manifest.json",
                boot_id=read_boot_id(),
            )
            tasks = await self._start(Starter(site, producer, stores))
            stack.callback(tasks.close)
            stack.push_async_callback(tasks.crew.stop)
            stack.push_async_callback(tasks.calls.stop)
            transactions = Transactions(producer, tasks)
            stack.push_async_callback(transactions.settle)
            states = find_last_table(self._application, stores)
            table = TopTable(states) if states else None
            life = Life(log=context.log, tasks=tasks, transactions=transactions, table=table)
            self._progress.follow(life)
            stack.callback(self._progress.end_life)
            work = Work(
                tasks,
                transactions,
                stores,
                self._application.options,
                self._progress,
                self._wake,
                lambda: self._stopping,
                context.clock.now_ms,
            )
            await work.run()
            self._progress.state = "stopping"
            await work.finish()
            await self._progress.keep_top()

    async def _start(self, starter: Starter) -> Tasks:
        self._progress.begin(starter)
        tasks = await starter.start(make_wake(self._wake))
        for (store, partition), reason in starter.rebuilt.items():
            _log.warning("%s: store %s-%d is rebuilt: %s", self.name, store, partition, reason)
        return tasks

    def _open_database(self, path: Path) -> Database:
        # Imported here: RocksDB's binding takes longer to load than all of this package.
        from processors.state.rocksdb import RocksDB

        memory_bytes = self._application.options.memory_bytes // ROCKSDB_SHARE
        try:
            return RocksDB(path, memory_bytes=memory_bytes)
        except CorruptStoreError as error:
            _log.warning("%s: %s; rebuilding all stores", self.name, error)
            _set_aside(path)
            return RocksDB(path, memory_bytes=memory_bytes)

    async def _open_producer(self, log: Log) -> Producer:
        """Fences a predecessor, whose last transaction may just be in completion."""
        while True:
            try:
                return log.producer(transactional_id=self.name)
            except ConcurrentTransactionsError:
                await asyncio.sleep(LOOK_S)

    def _state_path(self, context: RunContext) -> Path:
        return context.state_dir / self.name / "rocksdb"


def _set_aside(path: Path) -> None:
    from processors.state.rocksdb import set_aside

    _log.warning("the damaged database is kept as %s", set_aside(path))


def _written_boot_id(log: Log) -> UUID:
    """What positions carry: a boot matters only where the log is not synced."""
    # Other transports than a directory promise durability, and do not say so.
    return read_boot_id() if getattr(log, "durability", "fsync") == "os" else NO_BOOT_ID
