"""The newest record of every key of a partition, as compaction would keep it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class KeyedRecord(NamedTuple):
    """A value and where it stands in its partition; no value is a tombstone."""

    offset: int
    value: bytes | None


class Replay:
    """Folds a partition's batches into `latest`, and into `pending` what has no marker yet.

    The record with the highest offset wins, not the one that was decided last: a transaction's
    marker does not bring back a value that a later plain record replaced, since compaction would
    keep the later record as well. Tombstones stay, for the same reason.
    """

    __slots__ = ("latest", "pending")

    def __init__(self) -> None:
        self.latest: dict[bytes, KeyedRecord] = {}
        self.pending: dict[int, dict[bytes, KeyedRecord]] = {}

    def records(
        self,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        offsets: Sequence[int],
        *,
        transaction_of: int | None = None,
    ) -> None:
        """One batch; `transaction_of` is the producer id of a transactional one."""
        if transaction_of is None:
            into = self.latest
        else:
            into = self.pending.setdefault(transaction_of, {})
        for key, value, offset in zip(keys, values, offsets, strict=True):
            if key is not None:
                into[key] = KeyedRecord(offset, value)

    def marker(self, producer_id: int, *, commit: bool) -> None:
        """The end of a producer's transaction in this partition."""
        decided = self.pending.pop(producer_id, {})
        if not commit:
            return
        for key, record in decided.items():
            known = self.latest.get(key)
            if known is None or known.offset < record.offset:
                self.latest[key] = record
