"""What a transaction will write: rows of bytes, a topic each, in the order of their tickets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from processors.operators.chunk import Chunk, merge_chunks
from processors.operators.columns import byte_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.client.contract import Headers


ROW_BYTES: Final = 100
"""What a waiting row takes beside its key and value."""


@dataclass(slots=True)
class Output:
    """Rows for one topic, or for one partition of it, as `Producer.send_columns` takes them."""

    keys: list[bytes | None] = field(default_factory=list[bytes | None])
    values: list[bytes | None] = field(default_factory=list[bytes | None])
    timestamps: list[int] = field(default_factory=list[int])
    headers: list[Headers] | None = None

    def __len__(self) -> int:
        return len(self.timestamps)

    def extend(
        self,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        if headers is not None and self.headers is None:
            self.headers = [[] for _ in self.timestamps]
        self.keys += keys
        self.values += values
        self.timestamps += timestamps
        if self.headers is not None:
            self.headers += headers if headers is not None else [[] for _ in timestamps]


Address = tuple[str, int | None]
"""A topic and a partition; None where the key chooses the partition."""


class RoundOutbox:
    """Collects what the sinks of all tasks write in one round and brings it into order.

    Several sinks may write to one topic, in several tasks: the rows of a topic are merged by
    ticket, those of one ticket in the order in which the sinks came, so that it does not matter
    how many records a round has.
    """

    def __init__(self) -> None:
        self._chunks: dict[Address, list[Chunk]] = {}
        self._outputs: dict[Address, Output] = {}
        self.rows_of_sinks = 0
        self.waiting_bytes = 0
        """About so much waits to be taken."""

    def add(self, topic: str, rows: Chunk, partition: int | None = None) -> None:
        """Rows of bytes, bound for a topic; without `partition` the key chooses it."""
        if len(rows):
            self._chunks.setdefault((topic, partition), []).append(rows)

    def add_columns(
        self,
        address: Address,
        keys: list[bytes | None],
        values: list[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        """Rows that are in order already."""
        if timestamps:
            output = self._outputs.setdefault(address, Output())
            output.extend(keys, values, timestamps, headers)
            self.waiting_bytes += byte_size(values) + byte_size(keys) + ROW_BYTES * len(timestamps)

    def end_round(self) -> None:
        for address, chunks in self._chunks.items():
            rows = merge_chunks(chunks)
            assert rows.keys is not None
            assert rows.values is not None
            self.rows_of_sinks += len(rows)
            self.add_columns(address, rows.keys, rows.values, rows.timestamps, rows.headers)
        self._chunks.clear()

    def take(self) -> dict[Address, Output]:
        assert not self._chunks, "outputs are taken between rounds"
        outputs, self._outputs = self._outputs, {}
        self.waiting_bytes = 0
        return outputs

    def clear(self) -> None:
        self._chunks.clear()
        self._outputs.clear()
        self.waiting_bytes = 0
