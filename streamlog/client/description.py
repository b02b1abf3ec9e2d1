"""What the log knows, as the contract shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.client.contract import ProducerDescription, TransactionDescription

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.coordination import TransactionMetadata
    from streamlog.storage import ProducerSummary


def describe_transaction(metadata: TransactionMetadata) -> TransactionDescription:
    return TransactionDescription(
        transactional_id=metadata.transactional_id,
        producer_id=metadata.producer_id,
        producer_epoch=metadata.producer_epoch,
        state=metadata.state.kafka_name,
        timeout_ms=metadata.timeout_ms,
        start_ms=None if metadata.start_ms < 0 else metadata.start_ms,
        last_update_ms=metadata.last_update_ms,
        partitions=metadata.partitions,
    )


def describe_producers(producers: Iterable[ProducerSummary]) -> list[ProducerDescription]:
    """By producer id."""
    return [
        ProducerDescription(
            producer_id=each.producer_id,
            producer_epoch=each.epoch,
            last_sequence=each.last_sequence,
            last_timestamp=each.last_timestamp,
            coordinator_epoch=each.coordinator_epoch,
            transaction_start_offset=each.transaction_first_offset,
        )
        for each in sorted(producers)
    ]
