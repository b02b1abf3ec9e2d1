"""Committed offsets as the records of `__consumer_offsets` say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.coordination.offset_record import (
    OffsetAndMetadata,
    OffsetKey,
    decode_key,
    decode_offset,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.coordination.replay import KeyedRecord
    from streamlog.topic import TopicPartition


class StoredOffset(NamedTuple):
    """A committed offset and where its record stands; None was deleted."""

    record_offset: int
    committed: OffsetAndMetadata | None


class OffsetStore:
    """Fed by records in the order of their partition; the highest record offset of a key wins.

    An offset that was committed in a transaction is pending until that partition has the
    transaction's marker. `home` is the number of the offsets partition: a transaction may end in
    one and not yet in another. Not for two threads at a time.
    """

    def __init__(self) -> None:
        self._groups: dict[str, dict[TopicPartition, StoredOffset]] = {}
        self._pending: dict[tuple[int, int], dict[OffsetKey, StoredOffset]] = {}
        self._deleted: dict[OffsetKey, StoredOffset] = {}

    def load(self, records: Mapping[bytes, KeyedRecord]) -> None:
        """Takes what a replay found decided; records of other kinds are passed over."""
        for key, stored in _decode(records).items():
            self.put(key, stored)

    def load_pending(
        self, home: int, producer_id: int, records: Mapping[bytes, KeyedRecord]
    ) -> None:
        """Takes what a replay found undecided."""
        self.set_pending(home, producer_id, _decode(records))

    def put(self, key: OffsetKey, stored: StoredOffset) -> None:
        """A record outside of transactions."""
        offsets = self._groups.setdefault(key.group, {})
        known = offsets.get(key.partition)
        if known is None or known.record_offset < stored.record_offset:
            offsets[key.partition] = stored

    def pending_in(self, home: int, producer_id: int) -> dict[OffsetKey, StoredOffset]:
        """What an open transaction is about to commit; empty where none is open."""
        return dict(self._pending.get((home, producer_id), {}))

    def set_pending(
        self, home: int, producer_id: int, pending: Mapping[OffsetKey, StoredOffset]
    ) -> None:
        """Replaces what an open transaction is about to commit."""
        if pending:
            self._pending[home, producer_id] = dict(pending)
        else:
            self._pending.pop((home, producer_id), None)

    def end_transaction(self, home: int, producer_id: int, *, commit: bool) -> None:
        """A marker in the offsets partition `home`."""
        for key, stored in self._pending.pop((home, producer_id), {}).items():
            if commit:
                self.put(key, stored)

    def forget_deleted(self) -> None:
        """Forgets the deletions that were there at the last call already; call it now and then.

        A deletion is kept so that no older record of its key, which may come a little later or
        with a transaction's marker, brings the offset back.
        """
        pending = {key for keys in self._pending.values() for key in keys}
        for key, stored in self._deleted.items():
            offsets = self._groups.get(key.group, {})
            if offsets.get(key.partition) is stored and key not in pending:
                del offsets[key.partition]
                if not offsets:
                    del self._groups[key.group]
        self._deleted = {
            OffsetKey(group, partition): stored
            for group, offsets in self._groups.items()
            for partition, stored in offsets.items()
            if stored.committed is None
        }

    def groups(self) -> list[str]:
        """Groups with a committed offset."""
        return sorted(group for group in self._groups if self.offsets(group))

    def offsets(self, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
        """What is committed and decided; an open transaction's offsets are not in it."""
        return {
            partition: stored.committed
            for partition, stored in self._groups.get(group, {}).items()
            if stored.committed is not None
        }

    def pending(self, group: str) -> set[TopicPartition]:
        """Partitions whose offset an open transaction is about to change."""
        return {
            key.partition for keys in self._pending.values() for key in keys if key.group == group
        }


def _decode(records: Mapping[bytes, KeyedRecord]) -> dict[OffsetKey, StoredOffset]:
    decoded: dict[OffsetKey, StoredOffset] = {}
    for raw, (offset, value) in records.items():
        key = decode_key(raw)
        if isinstance(key, OffsetKey):
            decoded[key] = StoredOffset(offset, None if value is None else decode_offset(value))
    return decoded
