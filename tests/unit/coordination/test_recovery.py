from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.contract import GroupMetadata
from streamlog.coordination.recovery import choose_marker
from streamlog.coordination.transaction_state import TransactionMetadata, TransactionState
from streamlog.record import ControlType
from streamlog.testing import Adversary, FaultyFiles
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from conftest import World

A0, A1 = TopicPartition("a", 0), TopicPartition("a", 1)
GROUP = GroupMetadata(group_id="g")


def prepared(state: TransactionState) -> TransactionMetadata:
    return TransactionMetadata(
        transactional_id="t",
        producer_id=1,
        producer_epoch=4,
        timeout_ms=1,
        state=state,
        partitions=(A0,),
    )


def test_a_prepare_record_decides_its_own_transaction() -> None:
    commit, abort = TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT
    assert choose_marker(prepared(commit), A0, 3) == (ControlType.COMMIT, 4)
    assert choose_marker(prepared(abort), A0, 3) == (ControlType.ABORT, 4)


def test_what_is_not_decided_is_aborted_with_its_own_epoch() -> None:
    commit = TransactionState.PREPARE_COMMIT
    assert choose_marker(None, A0, 3) == (ControlType.ABORT, 3)
    assert choose_marker(prepared(commit), A1, 3) == (ControlType.ABORT, 3)
    assert choose_marker(prepared(commit), A0, 4) == (ControlType.ABORT, 4)


def test_a_crash_before_the_commit_point_aborts(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"never")
    writer.send_offsets(GROUP, {A0: 5})
    world.directory.flusher.wait_durable()
    survived = world.after_power_loss()
    assert survived.committed_values("a") == []
    assert survived.groups.committed("g", timeout=0) == {}
    assert survived.directory.open_transactions() == {}
    assert survived.transactions.describe("t") is not None


def test_a_crash_behind_the_commit_point_commits(world: World) -> None:
    """All markers are lost: recovery appends them, to the offsets' partition too."""
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.send("a", 1, b"2")
    writer.send_offsets(GROUP, {A0: 5})
    writer.commit()
    survived = world.after_power_loss(at=behind_the_commit_point(world.files))
    assert survived.committed_values("a", 0) == [b"1"]
    assert survived.committed_values("a", 1) == [b"2"]
    assert survived.groups.committed("g", timeout=0) == {A0: 5}
    survived.directory.flusher.wait_durable()
    assert survived.states("t")[-1] == ("CompleteCommit", 1)


def behind_the_commit_point(files: FaultyFiles) -> int:
    """Right behind the sync of the prepare record: the markers' window comes after."""
    return 1 + max(
        at
        for at, operation in enumerate(files.operations)
        if operation.kind == "datasync" and "__transaction_state" in operation.path
    )


def test_the_transaction_begun_behind_a_commit_is_not_taken_for_it(world: World) -> None:
    """The marker survives in one partition and is lost in the other, the new data survive."""
    writer = world.writer("t")
    writer.send("a", 0, b"first")
    writer.send("a", 1, b"first")
    ending = writer.start_end(commit=True)
    writer.become(ending.result(0))
    writer.send("a", 0, b"second")
    writer.send("a", 1, b"second")
    assert world.states("t")[-1] == ("PrepareCommit", 1)
    survived = world.after_power_loss(Adversary.ALL)
    assert survived.committed_values("a", 0) == [b"first"]
    assert survived.committed_values("a", 1) == [b"first"]
    again = survived.writer("t")
    again.send("a", 0, b"third")
    again.commit()
    assert survived.committed_values("a", 0) == [b"first", b"third"]


def test_recovery_leaves_nothing_for_the_next_recovery(world: World) -> None:
    writer = world.writer("t")
    writer.send("a", 0, b"1")
    writer.commit()
    writer.send("a", 0, b"never")
    world.directory.flusher.wait_durable()
    once = world.after_power_loss()
    end = once.directory.partition("a", 0).log_end_offset
    twice = once.after_power_loss()
    assert twice.directory.partition("a", 0).log_end_offset == end
    assert twice.committed_values("a") == [b"1"]
