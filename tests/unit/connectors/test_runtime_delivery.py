"""Batches to a sink: retries, and poison records set apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from connectors.api import BlockingSink, Poison, Retry, Sink, SinkBatch
from connectors.config.document import Retry as RetryConfig
from connectors.errors import RetryError
from connectors.runtime.calls import Calls
from connectors.runtime.delivery import Delivery
from connectors.runtime.retry import Retries
from connectors.runtime.stop import Stop
from streamlog.testing import ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connectors.api import AnySink
    from connectors.runtime.poison import PoisonRow

PARTITION = TopicPartition("t", 0)


def batch(values: list[Any], next_offset: int) -> SinkBatch:
    raw: list[bytes | None] = [str(value).encode() for value in values]
    offsets = [2 * n for n in range(len(values))]
    return SinkBatch(PARTITION, values, values, raw, raw, offsets, offsets, None, next_offset)


class Picky(Sink[None]):
    """Refuses negative numbers, naming them or not, and remembers what it was given."""

    def __init__(self, *, names_them: bool) -> None:
        super().__init__(None)
        self.names_them = names_them
        self.taken: list[Any] = []
        self.next_offset = 0

    async def put(self, batch: SinkBatch) -> None:
        bad = [index for index, value in enumerate(batch.values) if value < 0]
        if bad:
            raise Poison("negative", index=bad[0] if self.names_them else None)
        self.taken += batch.values
        assert batch.next_offset >= self.next_offset
        self.next_offset = batch.next_offset

    async def flush(self) -> Mapping[TopicPartition, int]:
        return {PARTITION: self.next_offset}


def deliver(
    sink: AnySink, work: Callable[[Delivery], Any], *, stop: Stop | None = None, for_ms: int = 1_000
) -> tuple[Any, list[PoisonRow]]:
    poison: list[PoisonRow] = []

    async def run() -> Any:
        config = RetryConfig(for_ms=for_ms, initial_delay_ms=0)
        calls = Calls(sink)
        delivery = Delivery(
            sink, calls, Retries("c", config), stop or Stop(), ManualClock(), poison.append
        )
        try:
            return await work(delivery)
        finally:
            calls.close()

    return asyncio.run(run()), poison


@pytest.mark.parametrize("names_them", [True, False])
@pytest.mark.parametrize(
    "values",
    [[], [1], [-1], [1, 2, 3], [-1, 2, -3], [1, -2], [-1, -2, -3, -4], [1, 2, -3, 4, 5, -6, 7]],
)
def test_bad_records_are_set_apart_and_the_good_keep_their_order(
    values: list[int], names_them: bool
) -> None:
    sink = Picky(names_them=names_them)
    taken, poison = deliver(sink, lambda d: d.put(batch(values, 99)))
    assert sink.taken == [value for value in values if value >= 0]
    assert taken == len(sink.taken)
    assert [row.position for row in poison] == [
        (PARTITION, 2 * index) for index, value in enumerate(values) if value < 0
    ]
    assert sink.next_offset == 99  # behind the bad ones too


class Busy(BlockingSink[None]):
    """Asks for retries a number of times."""

    def __init__(self, times: int, after_ms: int | None = None) -> None:
        super().__init__(None)
        self.times = times
        self.after_ms = after_ms
        self.puts: list[SinkBatch] = []

    def put(self, batch: SinkBatch) -> None:
        self.puts.append(batch)
        if len(self.puts) <= self.times:
            raise Retry("busy", after_ms=self.after_ms)

    def flush(self) -> Mapping[TopicPartition, int]:
        return {}


def test_a_retry_puts_the_same_batch_again() -> None:
    sink, given = Busy(3), batch([1], 2)
    taken, _ = deliver(sink, lambda d: d.put(given))
    assert taken == 1
    assert sink.puts == [given] * 4


def test_retries_end_when_their_time_is_over() -> None:
    with pytest.raises(RetryError, match="after 1 attempts: busy"):
        deliver(Busy(1, after_ms=11), lambda d: d.put(batch([1], 2)), for_ms=10)
