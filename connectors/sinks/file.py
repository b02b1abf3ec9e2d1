"""The `file` sink: records as lines of one file, exactly once.

    sink:
      file:
        path: counts.jsonl
        format: json        # or text
        mode: upsert        # or append
        compact_ratio: 2

The offsets are kept with the data (see `journaled_file`), so after a crash the file continues
where it ends. With `mode: upsert` changes are appended and the file is compacted when it has
grown to `compact_ratio` times the size of its table, and on stop: then it has one line a key,
sorted by key (texts by code point, numbers by value). A tombstone deletes its key. The table is
held in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from connectors.api import BlockingSink, SinkBatch, SinkContext, sink
from connectors.errors import DestinationError
from connectors.sinks.file_config import FileSinkConfig
from connectors.sinks.journal import HeldOffset
from connectors.sinks.journaled_file import JournaledFile
from connectors.sinks.rows import JsonRows, Rows, Table, TextRows
from streamlog.client.contract import TopicPartition
from streamlog.files import Files, OsFiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SMALL_BYTES: Final = 1 << 16
"""A file of up to this size is not compacted before the stop."""


class Content(Protocol):
    """What a mode makes of records. Owned by the sink's thread."""

    def load(self, file: JournaledFile) -> None: ...

    def put(self, batch: SinkBatch) -> None: ...

    def flush(self, file: JournaledFile, offsets: list[HeldOffset]) -> None:
        """Brings what was put, and the offsets, to the file; durable on return."""
        ...

    def finish(self, file: JournaledFile) -> None:
        """Gives the file its final form."""
        ...


@sink("file", config=FileSinkConfig, delivery="transactional")
class FileSink(BlockingSink[FileSinkConfig]):
    """Writes one file. Owned by the thread that the runtime gives it."""

    def __init__(self, config: FileSinkConfig, *, files: Files | None = None) -> None:
        super().__init__(config)
        layout = f"{config.mode} {config.format}"
        self._file = JournaledFile(files or OsFiles(), config.path, layout)
        self._content = _content_of(config)
        self._held: dict[TopicPartition, HeldOffset] = {}
        self._topic_ids: dict[str, str] = {}
        self._moved = False

    def open(
        self, partitions: Sequence[TopicPartition], context: SinkContext
    ) -> Mapping[TopicPartition, int]:
        self._file.open()
        self._held = {TopicPartition(h.topic, h.partition): h for h in self._file.last.offsets}
        for partition, held in self._held.items():
            topic_id = context.topic_ids.get(partition.topic)
            if topic_id is not None and str(topic_id) != held.topic_id:
                raise DestinationError(
                    self._file.path,
                    f"holds records of another topic {partition.topic!r} (its log was removed?): "
                    "remove it with its .offsets to begin anew, or give another path",
                )
        self._topic_ids = {topic: str(topic_id) for topic, topic_id in context.topic_ids.items()}
        self._content.load(self._file)
        return {p: self._held[p].next_offset for p in partitions if p in self._held}

    def put(self, batch: SinkBatch) -> None:
        self._content.put(batch)
        topic, number = batch.partition
        held = HeldOffset(topic, self._topic_ids[topic], number, batch.next_offset)
        self._held[batch.partition] = held
        self._moved = True

    def flush(self) -> Mapping[TopicPartition, int]:
        if self._moved:
            self._content.flush(self._file, list(self._held.values()))
            self._moved = False
        return {partition: held.next_offset for partition, held in self._held.items()}

    def close(self) -> None:
        try:
            if self._file.is_sound and not self._moved:  # else the runtime gives up records
                self._content.finish(self._file)
        finally:
            self._file.close()


class Appending:
    """Every record stays."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lines: list[bytes] = []

    def load(self, file: JournaledFile) -> None:
        """Nothing of the file is needed."""

    def put(self, batch: SinkBatch) -> None:
        if len(batch):
            self._lines.append(self._rows.encode(batch))

    def flush(self, file: JournaledFile, offsets: list[HeldOffset]) -> None:
        file.append(b"".join(self._lines), offsets)
        self._lines.clear()

    def finish(self, file: JournaledFile) -> None:
        """The file has its form."""


class Upserting:
    """The latest value of each key stays."""

    def __init__(self, compact_ratio: float) -> None:
        self._table = Table()
        self._compact_ratio = compact_ratio

    def load(self, file: JournaledFile) -> None:
        try:
            self._table.load(file.read())
        except msgspec.DecodeError as error:
            reason = (
                f"is not as a sink left it ({error}): remove it with its .offsets to begin anew"
            )
            raise DestinationError(file.path, reason) from None  # it says all there is

    def put(self, batch: SinkBatch) -> None:
        self._table.put(batch)

    def flush(self, file: JournaledFile, offsets: list[HeldOffset]) -> None:
        lines = self._table.take_lines()
        length = file.last.length + len(lines)
        if length > max(_SMALL_BYTES, self._compact_ratio * self._table.size_bytes):
            file.replace(self._table.content(), offsets)
        else:
            file.append(lines, offsets)

    def finish(self, file: JournaledFile) -> None:
        if not file.last.final:
            file.replace(self._table.sorted_content(), file.last.offsets, final=True)


def _content_of(config: FileSinkConfig) -> Content:
    if config.mode == "upsert":
        return Upserting(config.compact_ratio)
    return Appending(JsonRows() if config.format == "json" else TextRows())
