"""A keyed store in four layers: cache, `committing`, `committed`, byte store (compiled).

    entries      decoded values; what operators read and write          dropped by an abort
    committing   what the last flush encoded; its transaction is open   dropped by an abort
    committed    committed, and not yet in the byte store               written by a checkpoint
    byte store   committed up to its recorded position

Reads go down the layers. A flush encodes the dirty entries once, into `committing`, which is also
what goes to the changelog, and clears their marks there and not at the commit: a write that
happens while the commit is being synced marks its entry again. An entry that is not dirty can
leave the cache at any time, since the layers below it know its value.
"""

from __future__ import annotations

import struct
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from streamlog.serdes import STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_extensions import i64

    from processors.state.byte_store import ByteStore
    from processors.state.position import Position
    from streamlog.client.contract import TopicPartition
    from streamlog.serdes import Serde

NO_TIMESTAMP: Final = -1
ENTRY_OVERHEAD_BYTES: Final = 320
DEFAULT_CACHE_BYTES: Final = 32 << 20

_TIMESTAMP: Final = struct.Struct(">q")


def unpack_timestamp(data: bytes) -> int:
    return int.from_bytes(data[:8], "big", signed=True)


class Entry:
    """One key's decoded value. `value` is None where the key is absent.

    Whoever changes `value` or `timestamp` calls `state.mark` unless `dirty` is set. `stored` is
    False where the layers below are known to have no value.
    """

    __slots__ = ("dirty", "generation", "key", "key_bytes", "state", "stored", "timestamp", "value")

    def __init__(
        self, state: KeyValueState, key: Any, key_bytes: bytes, value: Any, timestamp: i64
    ) -> None:
        self.state: KeyValueState = state
        self.key: Any = key
        self.key_bytes: bytes = key_bytes
        self.value: Any = value
        self.timestamp: i64 = timestamp
        self.dirty: bool = False
        self.stored: bool = value is not None
        self.generation: i64 = 0


class KeyValueState:
    """The keyed store of one task. Owned by one thread.

    `entries` is keyed by the key itself where equal keys have equal bytes (`exact_keys` of the
    serde), else by the key's bytes: 1, True and 1.0 are equal in Python and three keys here.
    `forgotten` changes when entries leave the cache: who has kept some must look them up again.
    `on_leave`, where it is set, is called with the keys of `entries` that are about to leave.
    `complete` says that the cache has every key there is: what it has not, no layer has.
    `prefix` stands in front of every key's bytes, where several share a byte store and a changelog.
    `wiped` says that all the byte store has under the prefix is deleted, as of the last commit.
    """

    def __init__(
        self,
        name: str,
        key_serde: Serde[Any],
        value_serde: Serde[Any],
        store: ByteStore,
        changelog: TopicPartition | None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        prefix: bytes = b"",
    ) -> None:
        self.name: str = name
        self.key_serde: Any = key_serde
        self.value_serde: Any = value_serde
        self.store: Any = store
        self.changelog: Any = changelog
        self.cache_bytes: i64 = cache_bytes
        self.prefix: bytes = prefix
        self.complete: bool = False
        self.wiped: bool = False
        self.exact_keys: bool = key_serde.exact_keys
        self.entries: dict[Any, Entry] = {}
        self.forgotten: i64 = 0
        self.on_leave: Any = None
        self.dirty: list[Entry] = []
        self.committing: dict[bytes, tuple[Any, int]] = {}
        self.committed: dict[bytes, tuple[Any, int]] = {}
        self.committed_bytes: i64 = 0
        self._keys: list[bytes] = []
        self._values: list[Any] = []
        self._timestamps: list[int] = []
        self._generation: i64 = 1
        self._entry_bytes: i64 = ENTRY_OVERHEAD_BYTES
        self._cleared: list[bytes] = []
        self._wiping: bool = False
        self._is_text: bool = key_serde is STRING

    # Reading and writing.

    def entry(self, key: Any) -> Entry:
        """The entry of a key, loaded through the layers; with value None where it is absent."""
        if self.exact_keys:
            found = self.entries.get(key)
            if found is not None:
                return found
            return self._load(key, key, self._encode(key))
        key_bytes: bytes = self.key_serde.serialize(key)
        found = self.entries.get(key_bytes)
        return found if found is not None else self._load(key_bytes, key, key_bytes)

    def _encode(self, key: Any) -> bytes:
        """The key's bytes; most keys are texts, and most texts are ASCII."""
        if self._is_text and type(key) is str:
            text: str = key
            if text.isascii():
                return text.encode()
        encoded: bytes = self.key_serde.serialize(key)
        return encoded

    def find(self, key: Any) -> Entry | None:
        """The entry of a key that is present; makes none for one that is absent and known to be."""
        cache_key = key if self.exact_keys else self.key_serde.serialize(key)
        found = self.entries.get(cache_key)
        if found is None:
            if self.complete:
                return None
            found = self.entry(key)
        return None if found.value is None else found

    def lookup(self, keys: list[Any]) -> list[Entry]:
        """The entries of a column of keys, all misses loaded with one read of the byte store."""
        self.prefetch(keys)
        if self.exact_keys:
            entries = self.entries
            return [entries[key] for key in keys]
        return [self.entry(key) for key in keys]

    def prefetch(self, keys: list[Any]) -> None:
        """Loads the keys of a column that are not cached, with one read of the byte store."""
        column = keys if self.exact_keys else self.key_serde.serialize_column(keys)
        missing: dict[Any, Any] = {}
        entries = self.entries
        for index in range(len(column)):
            if column[index] not in entries:
                missing[column[index]] = keys[index]
        if missing:
            self._load_many(list(missing), list(missing.values()))

    def read_below(self, entries: list[Entry]) -> tuple[list[Any], list[int]]:
        """Values and timestamps (-1 where absent) below the cache: as the last flush left them."""
        values: list[Any] = [None] * len(entries)
        timestamps: list[int] = [NO_TIMESTAMP] * len(entries)
        places: list[int] = []
        for place in range(len(entries)):
            if entries[place].stored:
                places.append(place)
        if places:
            rows = self._rows_below([entries[place].key_bytes for place in places])
            found: list[Any] = self._decode(rows)
            for index in range(len(places)):
                values[places[index]] = found[index]
                timestamps[places[index]] = NO_TIMESTAMP if found[index] is None else rows[index][1]
        return values, timestamps

    def mark(self, entry: Entry) -> None:
        """Notes that an entry was changed; once between two flushes."""
        if not entry.dirty:
            entry.dirty = True
            self.dirty.append(entry)

    def get(self, key: Any) -> Any:
        """The value, or None."""
        return self.entry(key).value

    def put(self, key: Any, value: Any, timestamp: i64) -> None:
        entry = self.entry(key)
        entry.value = value
        entry.timestamp = timestamp
        self.mark(entry)

    def delete(self, key: Any, timestamp: i64) -> None:
        self.put(key, None, timestamp)

    def items(self, *, committed: bool = False) -> Iterator[tuple[Any, Any]]:
        """Key and value in the order of the key bytes; `committed` leaves out what is not yet."""
        for key, value, _ in self.rows(committed=committed):
            yield key, value

    def rows(self, *, committed: bool = False) -> Iterator[tuple[Any, Any, int]]:
        """Key, value and timestamp in the order of the key bytes."""
        skipped = len(self.prefix)
        for key_bytes, data, timestamp in self.encoded_rows(committed=committed):
            key = self.key_serde.deserialize(key_bytes[skipped:])
            yield key, self.value_serde.deserialize(data), timestamp

    def encoded_rows(self, *, committed: bool = False) -> Iterator[tuple[bytes, bytes, int]]:
        """As `rows`, in bytes; keys have the prefix."""
        overlay: dict[bytes, tuple[Any, int]] = dict(self.committed)
        if not committed:
            overlay.update(self.committing)
            for key_bytes in self._cleared:
                overlay[key_bytes] = (None, NO_TIMESTAMP)
            for entry in self.dirty:
                encoded = None if entry.value is None else self.value_serde.serialize(entry.value)
                overlay[entry.key_bytes] = (encoded, entry.timestamp)
        stored: Any = iter(())
        if not self.wiped:
            stored = self.store.range(self.prefix or None, range_end(self.prefix))
        last: Any = None
        for key_bytes, layer, data in merge(_above(overlay), _stored(stored), key=_row_order):
            if key_bytes == last:
                continue
            last = key_bytes
            row = data if layer == 0 else stored_row(data)
            if row[0] is not None:
                yield key_bytes, row[0], row[1]

    def clear(self) -> None:
        """Deletes every row."""
        if self.complete and not self._cleared:
            # Only what was flushed is in a layer below, or in the changelog.
            self._cleared = [
                entry.key_bytes for entry in self.entries.values() if entry.generation > 0
            ]
        else:
            # What an earlier call since the last flush has cleared is no row any more, and it is in
            # the layers below all the same.
            cleared = dict.fromkeys(self._cleared)
            cleared.update(dict.fromkeys([row[0] for row in self.encoded_rows()]))
            for entry in self.dirty:
                if entry.value is None:
                    cleared[entry.key_bytes] = None
            self._cleared = list(cleared)
        self.entries = {}
        self.dirty = []
        self.complete = True
        self.forgotten += 1

    # The commit.

    def flush(self) -> list[Entry]:
        """Encodes the dirty entries into `committing` and returns them in first-dirty order.

        Raises what the serde raises; nothing has changed then.
        """
        dirty = self.dirty
        if self._cleared:
            self._flush_cleared()
        if not dirty:
            return dirty
        keys = [entry.key_bytes for entry in dirty]
        timestamps: list[int] = [entry.timestamp for entry in dirty]
        values: list[Any] = self.value_serde.serialize_column([entry.value for entry in dirty])
        self.dirty = []
        generation = self._generation
        for entry in dirty:
            entry.dirty = False
            entry.stored = entry.value is not None
            entry.generation = generation
        rows = zip(values, timestamps, strict=True)
        self.committing.update(zip(keys, rows, strict=True))
        self._keys += keys
        self._values += values
        self._timestamps += timestamps
        self._weigh(keys, values)
        return dirty

    def _flush_cleared(self) -> None:
        cleared, self._cleared = self._cleared, []
        self._wiping = bool(self.prefix)
        absent: tuple[Any, int] = (None, NO_TIMESTAMP)
        self.committing.update(dict.fromkeys(cleared, absent))
        self._keys += cleared
        self._values += [None] * len(cleared)
        self._timestamps += [0] * len(cleared)

    def has_dirty(self) -> bool:
        """Whether something has changed since the last flush."""
        return bool(self.dirty) or bool(self._cleared)

    def has_committed(self) -> bool:
        """Whether a checkpoint would write something."""
        return bool(self.committed) or self.wiped

    def committing_records(self) -> tuple[list[Any], list[Any], list[int]]:
        """The changelog's columns of this commit: keys, values (None deletes), timestamps."""
        return self._keys, self._values, self._timestamps

    def on_committed(self) -> None:
        """The transaction of the last flushes is durable."""
        if self._wiping:
            # Everything that was before is deleted: what is left is what came since.
            self.wiped = True
            self.committed = {
                key: row for key, row in self.committing.items() if row[0] is not None
            }
        elif self.committed:
            self.committed.update(self.committing)
        else:
            self.committed = self.committing
        self._end_commit()

    def on_aborted(self) -> None:
        """The transaction will never be: forgets everything since the last commit."""
        self.entries = {}
        self.forgotten += 1
        self.dirty = []
        self._cleared = []
        self.complete = False
        self._end_commit()

    def _end_commit(self) -> None:
        self.committing = {}
        self._wiping = False
        self._keys = []
        self._values = []
        self._timestamps = []
        self._generation += 1
        waiting = len(self.committed) + (1 if self.wiped else 0)  # a wipe is to be written too
        self.committed_bytes = waiting * self._entry_bytes

    def checkpoint(self, position: Position | None) -> None:
        """Writes what is committed to the byte store, with the position that it reflects."""
        self.store.write(self.checkpoint_items(), position, [self.prefix] if self.wiped else [])
        self.on_checkpoint()

    def checkpoint_items(self) -> Iterable[tuple[bytes, bytes | None]]:
        """What a checkpoint writes, when the caller writes several stores in one batch."""
        pack = _TIMESTAMP.pack
        return [
            (key, None if row[0] is None else pack(row[1]) + row[0])
            for key, row in self.committed.items()
        ]

    def on_checkpoint(self) -> None:
        """What is committed is in the byte store now."""
        self.wiped = False
        self.committed = {}
        self.committed_bytes = 0

    # Memory.

    def cached_bytes(self) -> int:
        """What the cache takes, estimated from the sizes of what was encoded last."""
        return len(self.entries) * self._entry_bytes

    def trim(self) -> int:
        """Evicts clean entries where the cache is over its bound; returns how many.

        Called between chunks. It goes down to half, so that the next chunks do not pay again,
        and takes first what no flush since the last commit but one has written.
        """
        limit = self.cache_bytes // self._entry_bytes
        before = len(self.entries)
        if before <= limit:
            return 0
        excess = before - limit // 2
        self._evict(excess, self._generation - 1)
        if len(self.entries) > limit:
            self._evict(len(self.entries) - limit // 2, self._generation + 1)
        return before - len(self.entries)

    def _evict(self, count: i64, before: i64) -> None:
        leaving: list[Any] = []
        for key, entry in self.entries.items():
            if not entry.dirty and entry.generation < before:
                leaving.append(key)
                if len(leaving) >= count:
                    break
        if self.on_leave is not None:
            self.on_leave(leaving)
        for key in leaving:
            del self.entries[key]
        if not self._cleared:
            # Until that is flushed the layers below have what was cleared, and what came since is
            # dirty: it stays.
            self.complete = False
        self.forgotten += 1

    def evict_clean(self) -> None:
        """Evicts every entry that is not dirty."""
        self._evict(len(self.entries), self._generation + 1)

    def is_idle(self) -> bool:
        """Whether nothing of it is in memory."""
        if self.entries or self._cleared or self.committing:
            return False
        return not self.has_committed()

    def dirty_bytes(self) -> int:
        """What the dirty entries take, estimated."""
        return len(self.dirty) * self._entry_bytes

    def _weigh(self, keys: list[bytes], values: list[Any]) -> None:
        size: i64 = 0
        for index in range(len(keys)):
            size += len(keys[index])
            if values[index] is not None:
                size += len(values[index])
        # A decoded value takes about three times the bytes of its encoding.
        self._entry_bytes = ENTRY_OVERHEAD_BYTES + 3 * size // len(keys)

    # Loading.

    def _stored(self, keys: list[bytes]) -> list[Any]:
        """What the byte store has of the keys."""
        if self.wiped:
            return [None] * len(keys)
        stored: list[Any] = self.store.get_many(keys) if keys else []
        return stored

    def _rows_below(self, keys: list[bytes]) -> list[Any]:
        """Of each key the value's bytes and the timestamp, with one read of the byte store."""
        rows: list[Any] = []
        below: list[bytes] = []
        for key_bytes in keys:
            row = self.committing.get(key_bytes)
            if row is None:
                row = self.committed.get(key_bytes)
            if row is None:
                below.append(key_bytes)
            rows.append(row)
        stored = self._stored(below)
        taken = 0
        for index in range(len(rows)):
            if rows[index] is None:
                rows[index] = stored_row(stored[taken])
                taken += 1
        return rows

    def _load(self, cache_key: Any, key: Any, key_bytes: bytes) -> Entry:
        key_bytes = self.prefix + key_bytes
        if self.complete:
            entry = Entry(self, key, key_bytes, None, NO_TIMESTAMP)
            entry.stored = bool(self._cleared)  # which the next flush deletes below
        else:
            row = self.committing.get(key_bytes)
            if row is None:
                row = self.committed.get(key_bytes)
            if row is None:
                row = stored_row(self._stored([key_bytes])[0])
            value = None if row[0] is None else self.value_serde.deserialize(row[0])
            entry = Entry(self, key, key_bytes, value, row[1])
        self.entries[cache_key] = entry
        return entry

    def _load_many(self, cache_keys: list[Any], keys: list[Any]) -> None:
        encoded: list[bytes] = (
            self.key_serde.serialize_column(keys) if self.exact_keys else cache_keys
        )
        prefix = self.prefix
        if prefix:
            encoded = [prefix + key_bytes for key_bytes in encoded]
        entries = self.entries
        if self.complete:
            for index in range(len(keys)):
                entry = Entry(self, keys[index], encoded[index], None, NO_TIMESTAMP)
                entry.stored = bool(self._cleared)
                entries[cache_keys[index]] = entry
            return
        rows = self._rows_below(encoded)
        values: list[Any] = self._decode(rows)
        for index in range(len(rows)):
            entries[cache_keys[index]] = Entry(
                self, keys[index], encoded[index], values[index], rows[index][1]
            )

    def _decode(self, rows: list[Any]) -> list[Any]:
        """The values of rows as `stored_row` gives them; most of them may be absent."""
        present: list[Any] = [row[0] for row in rows if row[0] is not None]
        if len(present) == len(rows):
            whole: list[Any] = self.value_serde.deserialize_column(present)
            return whole
        values: list[Any] = [None] * len(rows)
        if present:
            found: list[Any] = self.value_serde.deserialize_column(present)
            taken = 0
            for index in range(len(rows)):
                if rows[index][0] is not None:
                    values[index] = found[taken]
                    taken += 1
        return values


def range_end(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with the prefix; None where there is no such key."""
    bare = prefix.rstrip(b"\xff")
    return bare[:-1] + bytes([bare[-1] + 1]) if bare else None


def _above(overlay: dict[bytes, tuple[Any, int]]) -> Iterator[tuple[bytes, int, Any]]:
    for key in sorted(overlay):
        yield key, 0, overlay[key]


def _stored(rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, int, Any]]:
    for key, data in rows:
        yield key, 1, data


def _row_order(row: tuple[bytes, int, Any]) -> tuple[bytes, int]:
    return row[0], row[1]


def stored_row(data: Any) -> tuple[Any, int]:
    """The value's bytes and the timestamp, from what the byte store holds of a key."""
    if data is None:
        return None, NO_TIMESTAMP
    return data[8:], unpack_timestamp(data)
