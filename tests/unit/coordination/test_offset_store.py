from __future__ import annotations

from streamlog.coordination.offset_record import (
    GroupKey,
    OffsetAndMetadata,
    OffsetKey,
    encode_key,
    encode_offset,
)
from streamlog.coordination.offset_store import OffsetStore, StoredOffset
from streamlog.coordination.replay import Replay
from streamlog.topic import TopicPartition

IN = TopicPartition("in", 0)
KEY = OffsetKey("g", IN)
HOME, OTHER_HOME = 3, 4


def at(offset: int) -> OffsetAndMetadata:
    return OffsetAndMetadata(offset, commit_ms=0)


def committed(store: OffsetStore) -> int | None:
    found = store.offsets("g").get(IN)
    return None if found is None else found.offset


def test_the_newest_record_is_the_committed_offset() -> None:
    store = OffsetStore()
    store.put(KEY, StoredOffset(0, at(5)))
    store.put(KEY, StoredOffset(1, at(3)))
    assert committed(store) == 3, "going back is a commit like any other"
    assert store.groups() == ["g"]


def test_a_tombstone_deletes() -> None:
    store = OffsetStore()
    store.put(KEY, StoredOffset(0, at(5)))
    store.put(KEY, StoredOffset(1, None))
    assert committed(store) is None
    assert store.groups() == []


def test_a_deletion_is_forgotten_when_nothing_older_can_come_any_more() -> None:
    store = OffsetStore()
    for number in range(3):
        store.put(OffsetKey(f"passing-{number}", IN), StoredOffset(number, None))
    store.put(KEY, StoredOffset(9, None))
    store.set_pending(HOME, 7, {KEY: StoredOffset(8, at(5))})
    store.forget_deleted()
    store.put(OffsetKey("passing-1", IN), StoredOffset(0, at(1)))  # a little later
    assert store.groups() == []
    store.put(OffsetKey("passing-2", IN), StoredOffset(10, at(1)))
    store.forget_deleted()
    assert store._groups.keys() == {"passing-2", "g"}
    store.end_transaction(HOME, 7, commit=True)
    assert committed(store) is None, "the deletion is newer"
    store.forget_deleted()
    assert store.groups() == list(store._groups) == ["passing-2"]


def test_an_offset_in_a_transaction_is_pending_until_its_marker() -> None:
    store = OffsetStore()
    store.set_pending(HOME, 7, {KEY: StoredOffset(0, at(5))})
    assert committed(store) is None
    assert store.pending("g") == {IN}
    store.end_transaction(HOME, 7, commit=True)
    assert committed(store) == 5
    assert store.pending("g") == set()


def test_an_aborted_offset_never_was() -> None:
    store = OffsetStore()
    store.set_pending(HOME, 7, {KEY: StoredOffset(0, at(5))})
    store.end_transaction(HOME, 7, commit=False)
    assert committed(store) is None
    assert store.pending("g") == set()


def test_a_marker_decides_only_its_own_partition_and_producer() -> None:
    store = OffsetStore()
    store.set_pending(HOME, 7, {KEY: StoredOffset(0, at(5))})
    store.end_transaction(OTHER_HOME, 7, commit=True)
    store.end_transaction(HOME, 8, commit=True)
    assert committed(store) is None
    assert store.pending("g") == {IN}


def test_a_marker_does_not_undo_a_later_plain_commit() -> None:
    store = OffsetStore()
    store.set_pending(HOME, 7, {KEY: StoredOffset(0, at(5))})
    store.put(KEY, StoredOffset(1, at(9)))
    store.end_transaction(HOME, 7, commit=True)
    assert committed(store) == 9


def test_a_marker_does_not_bring_back_what_was_deleted_meanwhile() -> None:
    store = OffsetStore()
    store.set_pending(HOME, 7, {KEY: StoredOffset(0, at(5))})
    store.put(KEY, StoredOffset(1, None))
    store.end_transaction(HOME, 7, commit=True)
    assert committed(store) is None


def test_a_replay_is_what_happened_live() -> None:
    keys, values = [encode_key(KEY)], [encode_offset(at(5))]
    replay = Replay()
    replay.records(keys, values, [0])
    replay.records(keys, [encode_offset(at(6))], [1], transaction_of=7)
    replay.records(keys, [encode_offset(at(7))], [2], transaction_of=8)
    replay.records([encode_key(GroupKey("g"))], [b"\x00\x03"], [3])
    replay.marker(7, commit=True)
    store = OffsetStore()
    store.load(replay.latest)
    for producer_id, pending in replay.pending.items():
        store.load_pending(HOME, producer_id, pending)
    assert committed(store) == 6
    assert store.pending("g") == {IN}
    store.end_transaction(HOME, 8, commit=True)
    assert committed(store) == 7


def test_a_replay_keeps_the_highest_offset_as_compaction_would() -> None:
    key = encode_key(KEY)
    replay = Replay()
    replay.records([key], [encode_offset(at(6))], [0], transaction_of=7)
    replay.records([key], [None], [1])
    replay.marker(7, commit=True)
    store = OffsetStore()
    store.load(replay.latest)
    assert committed(store) is None


def test_a_replay_forgets_what_was_aborted() -> None:
    replay = Replay()
    replay.records([encode_key(KEY)], [encode_offset(at(6))], [0], transaction_of=7)
    replay.marker(7, commit=False)
    assert replay.latest == {}
    assert replay.pending == {}
