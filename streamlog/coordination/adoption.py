"""How the transactions end that a foreign broker left open in partitions that are taken over.

What it had decided to commit is committed, as it would do itself when it starts again; all else is
aborted, as it would do in the end, since the producers are not going to come back here.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, Final

from streamlog.coordination.internal_topic import TRANSACTION_TOPIC
from streamlog.coordination.transaction_record import decode_key, decode_value
from streamlog.coordination.transaction_state import TransactionState
from streamlog.errors import CorruptLogError, CorruptRecordError
from streamlog.files import OsFiles, read_file
from streamlog.record import Batch, Columns, ControlType, End, decode_batch, scan

if TYPE_CHECKING:
    from streamlog.coordination.transaction_state import TransactionMetadata
    from streamlog.topic import TopicPartition

_DIRECTORY: Final = re.compile(re.escape(TRANSACTION_TOPIC) + r"-\d+")
_SEGMENT: Final = re.compile(r"\d{20}\.log")


class ForeignTransactions:
    """What the `__transaction_state` of a stopped broker says of its transactions.

    Without that topic in its directory, nothing was decided.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    @cached_property
    def _committing(self) -> dict[int, TransactionMetadata]:
        """By producer id; read when it is first asked for, as hardly anything is ever open."""
        newest: dict[str, TransactionMetadata | None] = {}
        for name in OsFiles().listdir(self._root):
            if _DIRECTORY.fullmatch(name):
                _read_partition(os.path.join(self._root, name), newest)
        return {
            metadata.producer_id: metadata
            for metadata in newest.values()
            if metadata is not None and metadata.state is TransactionState.PREPARE_COMMIT
        }

    def choose_marker(
        self, partition: TopicPartition, producer_id: int, open_epoch: int
    ) -> tuple[ControlType, int]:
        """The marker that ends what a producer has open in a partition, and its epoch.

        A prepare record has the epoch of its data or, with KIP-890, the next one.

        Raises `CorruptLogError` for a damaged segment of the topic.
        """
        decided = self._committing.get(producer_id)
        if (
            decided is not None
            and decided.producer_epoch - 1 <= open_epoch <= decided.producer_epoch
            and partition in decided.partitions
        ):
            return ControlType.COMMIT, decided.producer_epoch
        return ControlType.ABORT, open_epoch


def _read_partition(path: str, newest: dict[str, TransactionMetadata | None]) -> None:
    """Folds the records of a partition to the newest of each transactional id."""
    files = OsFiles()
    for name in sorted(files.listdir(path)):
        if not _SEGMENT.fullmatch(name):
            continue
        segment = os.path.join(path, name)
        for event in scan(read_file(files, segment)):
            if isinstance(event, Batch):
                columns = Columns()
                try:
                    decode_batch(event.data, 0, columns)
                    _fold(columns, newest)
                except CorruptRecordError as error:
                    raise CorruptLogError(segment, event.position, error.reason) from error
            elif not isinstance(event, End):
                raise CorruptLogError(segment, event.position, event.reason)


def _fold(columns: Columns, newest: dict[str, TransactionMetadata | None]) -> None:
    for key, value in zip(columns.keys, columns.values, strict=True):
        transactional_id = None if key is None else decode_key(key)
        if transactional_id is not None:
            newest[transactional_id] = (
                None if value is None else decode_value(transactional_id, value)
            )
