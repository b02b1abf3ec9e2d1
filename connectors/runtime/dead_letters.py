"""A sink's dead letters, each written once.

They are written in a transaction that also commits, for a group of its own
(`connect-NAME.dead-letters`), how far the sink has judged its input; and that before the
destination is flushed. A crash between the two makes the sink read some records again: a poison
record among them that lies below the committed offset has its dead letter already.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streamlog.client.contract import GroupMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.runtime.poison import PoisonPolicy, PoisonRow
    from streamlog.client.contract import Log, Producer, TopicPartition


class DeadLetters:
    """Collects poison rows and writes them at a flush. Owned by the sink's task."""

    def __init__(self, log: Log, connector: str, policy: PoisonPolicy) -> None:
        self._log = log
        self._policy = policy
        self._transactional_id = f"connect-{connector}-0"
        self._group = GroupMetadata(group_id=f"connect-{connector}.dead-letters")
        self._written = log.committed_offsets(self._group.group_id)
        self._producer: Producer | None = None
        self._rows: list[PoisonRow] = []

    def take(self, row: PoisonRow) -> None:
        """Keeps a poison row, or leaves it out.

        Raises:
            PoisonRecordError: the policy is to fail.
        """
        if row.position is not None:
            partition, offset = row.position
            if offset < self._written.get(partition, 0):
                return
        if self._policy.judge(row):
            self._rows.append(row)

    async def write(self, positions: Mapping[TopicPartition, int]) -> None:
        """Writes what was kept; durable on return. `positions` is how far all is judged."""
        topic = self._policy.dead_letter_topic
        if not self._rows or topic is None:
            return
        if self._producer is None:
            self._producer = await asyncio.to_thread(
                self._log.producer, transactional_id=self._transactional_id
            )
        rows, offsets = self._rows, dict(positions)
        self._producer.begin_transaction()
        self._producer.send_columns(
            topic,
            [row.key for row in rows],
            [row.value for row in rows],
            headers=[self._policy.headers_of(row) for row in rows],
        )
        self._producer.send_offsets_to_transaction(offsets, self._group)
        await asyncio.wrap_future(self._producer.commit_transaction_async())
        self._written |= offsets
        self._rows = []

    async def close(self) -> None:
        if self._producer is not None:
            await asyncio.to_thread(self._producer.close)
