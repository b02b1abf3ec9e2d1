"""The stores of a driver: in memory or in RocksDB, and restored from changelog rows."""

from __future__ import annotations

from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from processors.runtime.stores import byte_store_name, make_state
from processors.state.memory import MemoryStore
from processors.state.position import Position
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from processors.runtime.stores import Database
    from processors.state.byte_store import ByteStore
    from processors.state.state import State
    from processors.testing.topics import Row
    from processors.topology.partitioning import StoreSpec

StateKind = Literal["memory", "rocksdb"]

_NO_TOPIC_ID = UUID(int=0)


class DriverStores:
    """The states by store name and partition.

    Args:
        kind: Or a database that the caller has opened and closes.
        cache_bytes: The bound of each cache. It is kept after every commit, too, so that with 0 the
            next record finds all of them empty.
    """

    def __init__(
        self, specs: Sequence[StoreSpec], kind: StateKind | Database, cache_bytes: int
    ) -> None:
        if isinstance(kind, str) and kind not in ("memory", "rocksdb"):
            raise ValueError(f"state={kind!r}: choose 'memory' or 'rocksdb'")
        self.states: dict[tuple[str, int], State] = {}
        self._specs = list(specs)
        self._kind = kind
        self._cache_bytes = cache_bytes
        self._disk = ExitStack()
        self.restore({})

    def named(self, name: str) -> list[State]:
        found = [state for (store, _), state in self.states.items() if store == name]
        if not found:
            known = sorted({store for store, _ in self.states})
            raise KeyError(f"no store {name!r}; there are {known}")
        return found

    def kind_of(self, name: str) -> str:
        """What a store is declared as."""
        return next(spec.kind for spec in self._specs if spec.name == name)

    def checkpoint(self) -> None:
        """What is committed goes to the byte stores, and caches back to their bounds."""
        for state in self.states.values():
            if state.has_committed():
                state.checkpoint(Position(topic_id=_NO_TOPIC_ID, offset=0, wall_time_ms=0))
            state.trim()

    def restore(self, changelogs: Mapping[str, Sequence[Row]]) -> None:
        """Drops everything and makes it again from the rows of the changelogs."""
        self.close()
        database = self._open()
        for spec in self._specs:
            rows = changelogs.get(spec.changelog, ())
            for partition in range(spec.partitions):
                store = self._store(database, spec, partition)
                changelog = TopicPartition(spec.changelog, partition)
                _fill(store, [row for row in rows if row.partition == partition])
                state = make_state(spec, store, changelog, self._cache_bytes)
                state.complete = next(iter(store.range()), None) is None
                self.states[spec.name, partition] = state

    def close(self) -> None:
        self.states.clear()
        self._disk.close()

    def _open(self) -> Database | None:
        if not isinstance(self._kind, str):
            return self._kind
        if self._kind == "memory" or not self._specs:
            return None
        # Imported here: RocksDB's binding takes longer to load than all of this package.
        from pathlib import Path

        from processors.state.rocksdb import RocksDB

        path = self._disk.enter_context(TemporaryDirectory(prefix="streamlog-driver-"))
        database = RocksDB(Path(path))
        self._disk.callback(database.close)
        return database

    def _store(self, database: Database | None, spec: StoreSpec, partition: int) -> ByteStore:
        if database is None:
            return MemoryStore()
        name = byte_store_name(spec.name, partition)
        database.drop(name)
        return database.store(name)


def _fill(store: ByteStore, rows: Sequence[Row]) -> None:
    """Writes the last value of every key, as a restore does."""
    latest = {row.key: row for row in rows if row.key is not None}
    if latest:
        store.write(
            [
                (key, None if row.value is None else row.timestamp.to_bytes(8, "big") + row.value)
                for key, row in latest.items()
            ],
            Position(topic_id=_NO_TOPIC_ID, offset=0, wall_time_ms=0),
        )
