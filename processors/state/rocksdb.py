"""The byte stores of a worker in one RocksDB, a column family each.

The database runs without its own write-ahead log: the changelog topic is that. A column family
holds its own position, under a reserved key, so that data and position are written, flushed and
lost together. Atomic flush is on as well, but does not suffice alone: the binding's `flush`
flushes one column family, and a position flushed without the data that it describes would lose
that data for good.

Keys that begin with the byte 0xff get another one in front, which keeps the order of keys and
leaves the reserved key free.

What the binding does, found by trying: iterators end early and silently at a damaged block until
their status is asked; a write holds the GIL and a flush does not; damage is an `Exception` whose
text begins with "Corruption" or tells of a missing file. A database is open, and its directory
locked, as long as a column family, an iterator or a batch refers to it. So none is left in a local
variable when something raises: whoever keeps the error keeps its frames.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    SstFileWriter,
    WriteBatch,
    WriteOptions,
)

from processors.errors import CorruptStoreError, StateError
from processors.state.cached import range_end
from processors.state.position import Position, decode_position

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

POSITION_KEY: Final = b"\xff.position"
ESCAPE: Final = b"\xff"
BULK_ROWS: Final = 100_000
"""From this many rows on, a write goes by sorted file ingest: 0.25 instead of 0.9 µs a row."""
L0_FILES: Final = 12
"""So many flushed files are merged into the level below at once; RocksDB's own choice is 4."""

_DAMAGE: Final = ("Corruption", "No such file or directory", "Invalid argument")


class RocksDB:
    """The database of one worker. Owned by one thread, except `flush`.

    Raises `CorruptStoreError` from the constructor and from every method where RocksDB reports
    damage; the caller closes, calls `set_aside` and opens an empty one.
    """

    def __init__(self, path: Path, *, memory_bytes: int = 64 << 20) -> None:
        self._path = path
        self._cache = Cache(memory_bytes // 2)
        self._memory_bytes = memory_bytes
        self._write_options = _write_options()
        self._stores: dict[str, RocksStore] = {}
        path.mkdir(parents=True, exist_ok=True)
        with reporting(path):
            names = Rdict.list_cf(str(path)) if (path / "CURRENT").exists() else []
            self._existing = set(names) - {"default"}
            families = {name: self._options() for name in self._existing}
            self._db = Rdict(str(path), self._options(), column_families=families)

    @property
    def path(self) -> Path:
        return self._path

    def store(self, name: str) -> RocksStore:
        """The store of this name, made if there is none."""
        found = self._stores.get(name)
        if found is None:
            with reporting(self._path):
                if name not in self._existing:
                    self._db.create_column_family(name, self._options())
                    self._existing.add(name)
                found = RocksStore(self._path, self._db, name, self._write_options, self._options())
            self._stores[name] = found
        return found

    def names(self) -> set[str]:
        """The stores that exist, opened by `store` or not."""
        return set(self._existing)

    def drop(self, name: str) -> None:
        """Removes a store with everything in it; `store` then makes an empty one."""
        dropped = self._stores.pop(name, None)
        if dropped is not None:
            dropped.close()
        if name in self._existing:
            with reporting(self._path):
                self._db.drop_column_family(name)
            self._existing.discard(name)

    def flush(self) -> None:
        """Makes everything written durable. Releases the GIL, so a thread may call it."""
        for store in list(self._stores.values()):
            store.flush()

    def close(self) -> None:
        """What was written since the last flush may be lost, with its position."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        _close(self._db)

    def _options(self) -> Options:
        # Indexes and filters count as cached blocks, in small parts: whole ones of a large store do
        # not fit into the cache, and each read would bring in megabytes of them.
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_bloom_filter(10, False)
        table.set_index_type(BlockBasedIndexType.two_level_index_search())
        table.set_partition_filters(True)
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_top_level_index_and_filter(True)
        table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
        options = Options(raw_mode=True)
        options.set_compression_type(DBCompressionType.none())
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_atomic_flush(True)
        options.set_write_buffer_size(self._memory_bytes // 8)
        # A key that is new is not looked for in the memtable: a quarter of the time of a miss.
        options.set_memtable_prefix_bloom_ratio(0.1)
        options.set_memtable_whole_key_filtering(True)
        options.set_db_write_buffer_size(self._memory_bytes // 2)
        # Nine in ten bits of all filters are those of the last level: without them the others stay
        # in the cache, and what is looked up is there most of the time. What is not costs a block.
        options.set_optimize_filters_for_hits(True)
        # Flushed files are small beside the level below, of which each compaction rewrites much.
        options.set_level_zero_file_num_compaction_trigger(L0_FILES)
        options.set_level_zero_slowdown_writes_trigger(3 * L0_FILES)
        options.set_level_zero_stop_writes_trigger(4 * L0_FILES)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        options.set_block_based_table_factory(table)
        return options


class RocksStore:
    """Meets `ByteStore` with one column family."""

    def __init__(
        self, path: Path, db: Rdict, name: str, write_options: WriteOptions, options: Options
    ) -> None:
        self._path = path
        self._db = db
        self._family = db.get_column_family(name)
        self._handle = db.get_column_family_handle(name)
        self._write_options = write_options
        self._options = options

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        escaped = [key if key < ESCAPE else ESCAPE + key for key in keys]
        with reporting(self._path):
            return self._family.get(escaped)  # type: ignore[return-value]  # a list gives a list

    def write(
        self,
        items: Iterable[tuple[bytes, bytes | None]],
        position: Position | None,
        wiped: Sequence[bytes] = (),
    ) -> None:
        rows = items if isinstance(items, list) else list(items)
        with reporting(self._path):
            if wiped or len(rows) < BULK_ROWS:
                self._db.write(self._batch(rows, position, wiped), self._write_options)
            else:
                self._ingest(rows, position)

    def range(
        self, start: bytes | None = None, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        with reporting(self._path):
            cursor = self._family.iter()
            try:
                cursor.seek(_escape(start) if start else b"")
                last = None if end is None else _escape(end)
                while cursor.valid():
                    key: bytes = cursor.key()
                    if last is not None and key >= last:
                        break
                    if key != POSITION_KEY:
                        yield key if key < ESCAPE else key[1:], cursor.value()
                    cursor.next()
                cursor.status()
            finally:
                del cursor

    def position(self) -> Position | None:
        with reporting(self._path):
            data = self._family.get(POSITION_KEY)
        return None if data is None else decode_position(data)

    def flush(self) -> None:
        with reporting(self._path):
            self._family.flush()

    def close(self) -> None:
        """Lets go of the database, which stays open as long as anything refers to it."""
        _close(self._family)
        del self._family, self._handle, self._db

    def _batch(
        self,
        rows: list[tuple[bytes, bytes | None]],
        position: Position | None,
        wiped: Sequence[bytes],
    ) -> WriteBatch:
        batch = WriteBatch(raw_mode=True)
        batch.set_default_column_family(self._handle)
        for prefix in wiped:
            end = range_end(prefix)
            assert end is not None, "no escaped keys begin with it"
            batch.delete_range(prefix, end, self._handle)
        put, escape = batch.put, ESCAPE
        for key, value in rows:
            if key >= escape:
                key = escape + key
            if value is None:
                batch.delete(key)
            else:
                put(key, value)
        if position is not None:
            put(POSITION_KEY, position.encode())
        return batch

    def _ingest(self, rows: list[tuple[bytes, bytes | None]], position: Position | None) -> None:
        """Ingests the rows as one sorted file: all of them become visible and durable at once."""
        latest = {_escape(key): value for key, value in rows}
        if position is not None:
            latest[POSITION_KEY] = position.encode()
        file = self._path / "ingest.sst"
        # What a crash left here may be linked to a file that RocksDB has taken over already:
        # opening it for writing would truncate both.
        file.unlink(missing_ok=True)
        writer = SstFileWriter(self._options)  # with filters, as the files that RocksDB writes
        writer.open(str(file))
        for key, value in sorted(latest.items()):
            if value is None:
                del writer[key]
            else:
                writer[key] = value
        writer.finish()
        options = IngestExternalFileOptions()
        options.set_move_files(True)
        self._family.ingest_external_file([str(file)], options)


def _close(database: Rdict) -> None:
    """Closes a database or column family, which flushes it first.

    Where that fails it is closed all the same, and nothing is lost that the changelog has not.
    """
    with suppress(Exception):
        database.close()


def set_aside(path: Path) -> Path:
    """Moves a damaged database out of the way, over an earlier one, and returns its new path.

    One that somebody has deleted meanwhile is out of the way already.
    """
    target = path.with_name(path.name + ".damaged")
    shutil.rmtree(target, ignore_errors=True)
    with suppress(FileNotFoundError):
        path.rename(target)
    return target


@contextmanager
def reporting(path: Path) -> Generator[None]:
    """Turns what the binding raises into errors of ours; it raises plain `Exception`."""
    try:
        yield
    except StateError:
        raise
    except Exception as error:
        reason = str(error)
        if any(sign in reason for sign in _DAMAGE):
            raise CorruptStoreError(str(path), reason) from error
        raise StateError(f"{path}: RocksDB: {reason}") from error


def _write_options() -> WriteOptions:
    options = WriteOptions()
    # The stub calls it a method; the binding has a property.
    options.disable_wal = True  # type: ignore[method-assign,assignment]
    return options


def _escape(key: bytes) -> bytes:
    return key if key < ESCAPE else ESCAPE + key
