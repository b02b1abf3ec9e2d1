"""What a foreign broker left open ends as it had decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import streamlog
from streamlog.coordination import ForeignTransactions, TransactionMetadata, TransactionState
from streamlog.coordination.transaction_record import encode_key, encode_value
from streamlog.errors import CorruptLogError
from streamlog.record import ControlType, encode_batch
from streamlog.storage import LogDirectory
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from pathlib import Path

COMMITTING = TransactionState.PREPARE_COMMIT
STATES = {
    # producer id: its last record's state and epoch; its data have epoch 4 in partition 0
    1: (COMMITTING, 4),
    2: (COMMITTING, 5),  # KIP-890
    3: (COMMITTING, 6),  # decided about something else
    4: (TransactionState.PREPARE_ABORT, 4),
    5: (TransactionState.ONGOING, 4),
    6: (TransactionState.COMPLETE_COMMIT, 4),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "broker"
    with LogDirectory.open(root, durability="os") as directory:
        directory.create_topic("__transaction_state", 50)
        directory.create_topic("theirs")
        for producer_id, (state, epoch) in STATES.items():
            log = directory.partition("__transaction_state", producer_id)
            for each in (TransactionState.ONGOING, state):
                value = encode_value(metadata(producer_id, each, epoch))
                key = encode_key(f"id-{producer_id}")
                log.append(encode_batch([key], [value], [0]), now_ms=0)
            batch = encode_batch(
                [None], [b"%d" % producer_id], [0],
                producer_id=producer_id, producer_epoch=4, base_sequence=0, transactional=True,
            )  # fmt: skip
            directory.partition("theirs", 0).append(batch, now_ms=0)
    return root


def metadata(producer_id: int, state: TransactionState, epoch: int) -> TransactionMetadata:
    return TransactionMetadata(
        transactional_id=f"id-{producer_id}",
        producer_id=producer_id,
        producer_epoch=epoch,
        timeout_ms=60_000,
        state=state,
        partitions=(TopicPartition("theirs", 0),),
        last_update_ms=0,
        start_ms=0,
    )


def test_only_what_was_decided_to_be_committed_is(source: Path) -> None:
    transactions = ForeignTransactions(str(source))
    partition = TopicPartition("theirs", 0)
    markers = {each: transactions.choose_marker(partition, each, 4) for each in (*STATES, 7)}
    assert markers == {
        1: (ControlType.COMMIT, 4),
        2: (ControlType.COMMIT, 5),
        **dict.fromkeys((3, 4, 5, 6, 7), (ControlType.ABORT, 4)),
    }
    elsewhere = TopicPartition("theirs", 1)
    assert transactions.choose_marker(elsewhere, 1, 4) == (ControlType.ABORT, 4)


def test_an_adopted_topic_has_no_open_transactions(source: Path, tmp_path: Path) -> None:
    with streamlog.open(tmp_path / "ours", durability="os") as log:
        log.adopt_topic("ours", source, source_name="theirs")
        with log.consumer("ours") as consumer:
            assert [record.value for record in consumer.poll(10)] == [b"1", b"2"]
        with log.consumer("ours", isolation="read_uncommitted") as consumer:
            assert len(consumer.poll(10)) == len(STATES)


def test_damage_in_the_brokers_transactions_is_named(source: Path) -> None:
    (segment,) = (source / "__transaction_state-3").glob("*.log")
    content = segment.read_bytes()
    segment.write_bytes(content[:-1])
    with pytest.raises(CorruptLogError, match=rf"__transaction_state-3/{segment.name}"):
        ForeignTransactions(str(source)).choose_marker(TopicPartition("theirs", 0), 1, 4)
