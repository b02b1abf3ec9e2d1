"""Ends the transactions that a crash left open in partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.coordination.internal_topic import OFFSETS_TOPIC
from streamlog.coordination.transaction_state import PREPARED, TransactionState, settles
from streamlog.record import ControlType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.coordination.group_coordinator import GroupCoordinator
    from streamlog.coordination.transaction_state import TransactionMetadata
    from streamlog.storage import LogDirectory
    from streamlog.topic import TopicPartition

COORDINATOR_EPOCH: Final = 0
"""Of every marker: there is one coordinator and it never moves."""


def end_leftovers(
    directory: LogDirectory,
    groups: GroupCoordinator,
    transactions: Iterable[TransactionMetadata],
    *,
    now_ms: int,
) -> bool:
    """Appends the missing markers, unsynced; whether there were any.

    What a prepare record decides is ended as it says, everything else is aborted, whoever it was.
    Partitions that have their marker already are left alone, so a crash on the way does no harm.
    """
    prepared = {
        metadata.producer_id: metadata for metadata in transactions if metadata.state in PREPARED
    }
    leftovers = directory.open_transactions()
    for partition, producers in leftovers.items():
        log = directory.partition(*partition)
        for producer_id, (open_epoch, _) in producers.items():
            decided = prepared.get(producer_id)
            kind, epoch = choose_marker(decided, partition, open_epoch)
            log.append_control(kind, producer_id, epoch, COORDINATOR_EPOCH, now_ms=now_ms)
            if partition.topic == OFFSETS_TOPIC:
                groups.end_transaction(
                    partition.partition, producer_id, commit=kind is ControlType.COMMIT
                )
    return bool(leftovers)


def choose_marker(
    decided: TransactionMetadata | None, partition: TopicPartition, open_epoch: int
) -> tuple[ControlType, int]:
    """The marker that ends a producer's open data in a partition, and its epoch.

    `decided` is the prepare record of that producer id, if its transactional id is at one.
    """
    if decided is None or not settles(decided, partition, open_epoch):
        return ControlType.ABORT, open_epoch
    committed = decided.state is TransactionState.PREPARE_COMMIT
    kind = ControlType.COMMIT if committed else ControlType.ABORT
    return kind, decided.producer_epoch
