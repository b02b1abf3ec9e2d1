"""Transactions that a partition has open and no coordinator knows (KIP-664).

They hold the last stable offset back for ever. The log aborts them when it is opened, so there are
none but in topics taken over from elsewhere, or where a batch came in behind its marker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.contract import HangingTransaction
from streamlog.coordination.transaction_state import PREPARED, TransactionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamlog.coordination.transaction_state import TransactionMetadata
    from streamlog.topic import TopicPartition


def find_hanging(
    opened: Mapping[TopicPartition, Mapping[int, tuple[int, int]]],
    transactions: Iterable[TransactionMetadata],
) -> list[HangingTransaction]:
    """All of them, by partition and start.

    `opened` has the epoch and first offset of each producer's open data in a partition.
    """
    known = list(transactions)
    return [
        HangingTransaction(
            partition=partition,
            producer_id=producer_id,
            producer_epoch=epoch,
            start_offset=start_offset,
        )
        for partition, producers in sorted(opened.items())
        for producer_id, (epoch, start_offset) in producers.items()
        if find_knower(known, partition, producer_id) is None
    ]


def find_knower(
    transactions: Iterable[TransactionMetadata], partition: TopicPartition, producer_id: int
) -> str | None:
    """The transactional id whose transaction a producer's open data in a partition is."""
    for metadata in transactions:
        if (
            metadata.producer_id == producer_id
            and (metadata.state is TransactionState.ONGOING or metadata.state in PREPARED)
            and partition in metadata.partitions
        ):
            return metadata.transactional_id
    return None
