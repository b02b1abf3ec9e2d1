"""Applications on a real log, step by step: the worker's own parts without its loop.

    with LogMachine(folder) as machine:
        life = machine.start(app)
        machine.send("lines", "key", "value", timestamp=7)
        life.work()
        machine.read("out")

What a worker leaves to time, when to run and when to commit, is the caller's here, so that a
process can die between any two steps. The log is in memory, as are the stores below the caches
where no database is given: a process that dies takes them with it, and the next one restores them
from the changelogs.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import streamlog
from processors.runtime.boot import read_boot_id
from processors.runtime.commit import Transactions
from processors.runtime.start import Site, Starter
from processors.runtime.stores import Stores
from processors.state.memory import MemoryStore
from streamlog.client.contract import TopicPartition
from streamlog.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from processors import App
    from processors.runtime.application import Application
    from processors.runtime.stores import Database
    from processors.state.byte_store import ByteStore
    from streamlog.client.contract import Consumer, Headers, Log, Record

Row = list[Any]
"""Key, value and timestamp."""

_numbers = count()


class LogMachine:
    """A log in memory, its clock, and who reads and writes beside the applications."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.log: Log = streamlog.open(":memory:", threaded=False, clock=self.clock)
        self.folder = folder
        self.runner = asyncio.Runner()
        self._producer = self.log.producer()
        self._readers: dict[str, Consumer] = {}
        self._lives: list[Life] = []

    def start(self, app: App, **options: Any) -> Life:
        """The first life of an application; `partitions` are those of its topics, one each."""
        partitions: int = options.pop("partitions", 1)
        compacted = options.pop("compacted", ())
        application = app.plan()
        for source in application.topology.sources:
            config = {"cleanup.policy": "compact"} if source.topic in compacted else None
            self.log.create_topic(source.topic, partitions, config=config, exist_ok=True)
        life = Life(self, application, **options)
        self._lives.append(life)
        return life

    def send(
        self,
        topic: str,
        key: Any,
        value: Any,
        timestamp: int,
        *,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        """Nobody sees it before `flush`, or the next `work` of an application."""
        self._producer.send(
            topic, key, value, timestamp=timestamp, partition=partition, headers=headers
        )

    def flush(self) -> None:
        self._producer.flush()

    def read(self, topic: str, *, key: Any = str, value: Any = str) -> list[Record]:
        """What has been committed to a topic since the last call, in the order of partitions."""
        if topic not in self.log.topics():
            return []
        self.log.sync()
        if topic not in self._readers:
            reader = self.log.consumer(key=key, value=value, start="earliest")
            reader.assign(
                [TopicPartition(topic, at) for at in range(self.log.topic(topic).partitions)]
            )
            self._readers[topic] = reader
        found: list[Record] = []
        while records := self._readers[topic].poll(max_records=10_000):
            found += records
        return sorted(found, key=lambda record: record.partition)

    def rows(self, topic: str, **serdes: Any) -> list[Row]:
        return [[each.key, each.value, each.timestamp] for each in self.read(topic, **serdes)]

    def clear(self) -> None:
        """Ends all applications and deletes all topics, so that others may use their names."""
        for life in self._lives:
            life.die()
        self._lives.clear()
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._producer.close()
        self._producer = self.log.producer()
        for topic in self.log.topics():
            if not topic.startswith("__"):
                self.log.delete_topic(topic)

    def close(self) -> None:
        self.clear()
        self.log.close()
        self.runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Life:
    """An application from start to death, and on into its next life.

    Args:
        database: Makes what the stores are kept in; what it made is closed at death and made
            again, empty.
        chunk_size: The most records of a round.
    """

    def __init__(
        self,
        machine: LogMachine,
        application: Application,
        *,
        database: Callable[[], Database] | None = None,
        chunk_size: int = 1_024,
        cache_bytes: int | None = None,
    ) -> None:
        self._machine = machine
        self._application = application
        self._database = database or InMemory
        self._chunk_size = chunk_size
        self._cache_bytes = cache_bytes
        self._begin()

    def work(self) -> None:
        """Runs and commits until there is nothing left, in any topic that is read."""
        self._machine.flush()
        while self.run() or self._take_answers() or self.tasks.is_pending():
            self.commit()
            self._machine.log.sync()

    def _take_answers(self) -> bool:
        """Awaits all calls that are in flight; whether there were any."""
        engine, waiting = self.tasks.engine, self.tasks.engine.rows_waiting
        while engine.rows_waiting:
            self._machine.runner.run(asyncio.sleep(0))
            if engine.has_answers:
                engine.take_answers()
        return waiting > 0

    def run(self, rounds: int | None = None) -> int:
        """Runs what waits, at most so many rounds, without a commit; returns the records."""
        ran = 0
        while (rounds is None or rounds > 0) and self.tasks.poll():
            ran += self.tasks.run_round(self._chunk_size)
            rounds = None if rounds is None else rounds - 1
        return ran

    def tick(self) -> None:
        """Tells the operators the clock's time, as a worker does now and then."""
        engine, now_ms = self.tasks.engine, self._machine.clock.now_ms()
        engine.tick(now_ms)
        engine.look_at_sources(now_ms, self.tasks.at_end())
        engine.find_due(now_ms)

    def commit(self) -> None:
        """As a worker does, with a checkpoint."""
        self._transactions.begin_commit().result()
        self._transactions.end_commit()
        self.stores.positions.update(self.tasks.stream_positions)
        self._machine.runner.run(self._checkpoint())

    async def _checkpoint(self) -> None:
        self.stores.checkpoint()
        await self.stores.settle()

    def send(self) -> None:
        """Writes into the open transaction what there is to be written."""
        self._transactions.send()

    def die(self) -> None:
        """What is not committed is aborted; what was kept is gone."""
        if not self._is_dead:
            self._is_dead = True
            self._machine.runner.run(self.tasks.calls.stop())
            self.tasks.close()
            self._producer.close()
            self._opened.close()
            self._manifest_path.unlink(missing_ok=True)

    def restart(self) -> None:
        """Dies and begins again, from the log alone."""
        self.die()
        self._begin()

    def values(self, store: str) -> dict[Any, Any]:
        """What a store with one entry a key has, of all partitions."""
        found: dict[Any, Any] = {}
        for (name, _), state in self.stores.states.items():
            if name == store:
                found.update(state.items())
        return found

    def _begin(self) -> None:
        machine, self._is_dead = self._machine, False
        self._producer = machine.log.producer(transactional_id=self._application.name)
        self._opened = self._database()
        self.stores = Stores(self._opened, machine.log, machine.clock)
        self._manifest_path = machine.folder / f"manifest-{next(_numbers)}.json"
        site = Site(
            application=self._application,
            log=machine.log,
            clock=machine.clock,
            manifest_path=self._manifest_path,
            boot_id=read_boot_id(),
        )
        starter = Starter(site, self._producer, self.stores)
        self.tasks = machine.runner.run(starter.start(lambda: None))
        if self._cache_bytes is not None:
            for state in self.stores.states.values():
                state.cache_bytes = self._cache_bytes
        self._transactions = Transactions(self._producer, self.tasks)


class InMemory:
    """A database that is gone with its process."""

    def __init__(self) -> None:
        self._stores: dict[str, MemoryStore] = {}

    def store(self, name: str) -> ByteStore:
        return self._stores.setdefault(name, MemoryStore())

    def drop(self, name: str) -> None:
        self._stores.pop(name, None)

    def flush(self) -> None: ...

    def close(self) -> None:
        self._stores.clear()
