"""Brings batches to a sink: retries, and poison records set apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.api import Poison, Retry
from connectors.runtime.conversion import poison_row
from connectors.runtime.stop import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connectors.api import AnySink, SinkBatch, SinkContext
    from connectors.runtime.calls import Calls
    from connectors.runtime.poison import PoisonRow
    from connectors.runtime.retry import Retries
    from connectors.runtime.stop import Stop
    from streamlog.client.contract import TopicPartition
    from streamlog.clock import Clock


class Delivery:
    """Calls `put` and `flush` until they succeed. Owned by the sink's task.

    A put that raises has done nothing, so what was good in its batch is put again without the
    bad: the rows before the one that the sink names, then those behind it. If the sink names
    none, the batch is halved until a single row is left.
    """

    def __init__(
        self,
        sink: AnySink,
        calls: Calls,
        retries: Retries,
        stop: Stop,
        clock: Clock,
        take_poison: Callable[[PoisonRow], None],
    ) -> None:
        self._sink = sink
        self._calls = calls
        self._retries = retries
        self._stop = stop
        self._clock = clock
        self._take_poison = take_poison

    async def open(
        self, partitions: Sequence[TopicPartition], context: SinkContext
    ) -> Mapping[TopicPartition, int]:
        """What the sink holds."""
        return await self._persist(self._sink.open, partitions, context)

    async def put(self, batch: SinkBatch) -> int:
        """Returns how many rows the sink took."""
        taken = 0
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            try:
                await self._persist(self._sink.put, part)
                taken += len(part)
            except Poison as poison:
                waiting += reversed(self._set_apart(part, poison))
        return taken

    async def flush(self) -> Mapping[TopicPartition, int]:
        """What the sink has made durable."""
        return await self._persist(self._sink.flush)

    def _set_apart(self, batch: SinkBatch, poison: Poison) -> list[SinkBatch]:
        """What remains to be put, in order."""
        size = len(batch)
        assert size, "a sink refused a batch without records"
        index = poison.index if size > 1 else 0
        if index is None:
            return [batch.slice(0, size // 2), batch.slice(size // 2, size)]
        self._take_poison(poison_row(batch, index, "TASK_PUT", poison.reason))
        before = [batch.slice(0, index)] if index else []
        # The rest is put even if it is empty: its next offset lies behind the bad row.
        return [*before, batch.slice(index + 1, size)]

    async def _persist(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Calls until it does not ask for a retry; a stop while waiting raises `Stopped`."""
        while True:
            try:
                result = await self._calls(method, *arguments)
            except Retry as retry:
                delay_ms = self._retries.failed(retry, self._clock.now_ms())
                await self._stop.wait(delay_ms / 1_000)
                if self._stop.requested:
                    raise Stopped from retry
            else:
                self._retries.succeeded()
                return result
