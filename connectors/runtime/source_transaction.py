"""A source's transaction: records, dead letters and source offsets commit together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from connectors.runtime.offsets import OFFSETS_TOPIC, encode_key, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.api import SourceColumns
    from connectors.config.document import Commit
    from streamlog.client.contract import Producer
    from streamlog.clock import Clock

TIMEOUT_MS: Final = 60_000
"""How much longer than its age at the latest a transaction may be open: Kafka's default."""
MAX_AGE_MS: Final = 600_000
"""Older it does not get, whatever is configured: it would be aborted after 15 minutes."""

OffsetPair = tuple["Mapping[str, Any]", "Mapping[str, Any]"]


class SourceTransaction:
    """One transaction after the other. Begins with the first thing sent. Owned by one task."""

    def __init__(self, producer: Producer, connector: str, commit: Commit, clock: Clock) -> None:
        self._producer = producer
        self._connector = connector
        self._policy = commit
        self._clock = clock
        self._began_ms: int | None = None
        self._size_bytes = 0
        self._offsets: dict[bytes, OffsetPair] = {}

    @property
    def is_open(self) -> bool:
        return self._began_ms is not None

    def send(self, topic: str, columns: SourceColumns) -> None:
        if columns.values:
            self._begin()
            self._producer.send_columns(
                topic,
                columns.keys,
                columns.values,
                timestamps=columns.timestamps,
                headers=columns.headers,
            )
            self._size_bytes += sum(map(len, filter(None, columns.values)))

    def move(self, partition: Mapping[str, Any], offset: Mapping[str, Any]) -> None:
        """Commits this source offset with the transaction."""
        self._begin()
        self._offsets[encode_key(self._connector, partition)] = (partition, offset)

    def _begin(self) -> None:
        if self._began_ms is None:
            self._producer.begin_transaction()
            self._began_ms = self._clock.now_ms()

    def remaining_ms(self) -> int | None:
        """How long until it should be committed, 0 if now; None where nothing is open."""
        if self._began_ms is None:
            return None
        if self._size_bytes >= self._policy.size_bytes:
            return 0
        age_ms = min(self._policy.age_ms, MAX_AGE_MS)
        return max(0, self._began_ms + age_ms - self._clock.now_ms())

    async def commit(self) -> Sequence[OffsetPair]:
        """Returns the source offsets that are durable now."""
        if not self.is_open:
            return ()
        offsets = list(self._offsets.values())
        if offsets:
            values = [to_json(offset) for _, offset in offsets]
            self._producer.send_columns(OFFSETS_TOPIC, list(self._offsets), values)
        await asyncio.wrap_future(self._producer.commit_transaction_async())
        self._began_ms = None
        self._size_bytes = 0
        self._offsets.clear()
        return offsets
