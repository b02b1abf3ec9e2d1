"""The files at the root of a log directory: checkpoints, the clean stop, durable offsets."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from streamlog.errors import CorruptLogError
from streamlog.files import read_file, replace_file
from streamlog.storage import layout
from streamlog.storage.checkpoint_file import decode_offsets, encode_offsets
from streamlog.storage.durable_offsets import DurableOffsetsReader, PartitionId
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.files import Files
    from streamlog.storage.durable_offsets import DurableOffset


@dataclass(slots=True)
class Checkpoints:
    """What the root says of every partition."""

    recovery_points: dict[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    log_start_offsets: dict[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    high_watermarks: dict[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    durable_offsets: dict[PartitionId, DurableOffset] = field(
        default_factory=dict[PartitionId, "DurableOffset"]
    )

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """What was deleted: another partition may have the name one day."""
        for partition in partitions:
            for offsets in (self.recovery_points, self.log_start_offsets, self.high_watermarks):
                offsets.pop(partition, None)

    def write(self, files: Files, root: str) -> None:
        """Durably, all of them."""
        write_offsets(files, root, layout.RECOVERY_POINTS, self.recovery_points)
        write_offsets(files, root, layout.LOG_START_OFFSETS, self.log_start_offsets)
        write_offsets(files, root, layout.HIGH_WATERMARKS, self.high_watermarks)


class CleanStop(msgspec.Struct, rename="camel"):
    """The content of the marker. Kafka's fields, and the partitions with open transactions."""

    version: int = 0
    broker_epoch: int = -1
    open_transactions: list[tuple[str, int]] = []


def read_checkpoints(files: Files, root: str) -> Checkpoints:
    """Raises `CorruptLogError` for a damaged file: each is replaced as a whole."""
    return Checkpoints(
        read_offsets(files, root, layout.RECOVERY_POINTS),
        read_offsets(files, root, layout.LOG_START_OFFSETS),
        read_offsets(files, root, layout.HIGH_WATERMARKS),
        DurableOffsetsReader(files, os.path.join(root, layout.DURABLE_OFFSETS)).read(),
    )


def read_offsets(files: Files, root: str, name: str) -> dict[TopicPartition, int]:
    path = os.path.join(root, name)
    if not files.exists(path):
        return {}
    try:
        return decode_offsets(read_file(files, path))
    except ValueError as error:
        raise CorruptLogError(path, 0, f"a damaged checkpoint: {error}") from error


def write_offsets(files: Files, root: str, name: str, offsets: dict[TopicPartition, int]) -> None:
    """Durably."""
    replace_file(files, os.path.join(root, name), encode_offsets(offsets))


def take_clean_stop(files: Files, root: str) -> CleanStop | None:
    """The marker of a clean stop, None without one. It is removed, durably."""
    path = os.path.join(root, layout.CLEAN_SHUTDOWN)
    if not files.exists(path):
        return None
    try:
        stop = msgspec.json.decode(read_file(files, path), type=CleanStop)
    except msgspec.DecodeError:
        stop = None  # a torn marker says nothing
    files.unlink(path)
    files.sync_directory(root)
    return stop


def write_clean_stop(files: Files, root: str, open_transactions: list[TopicPartition]) -> None:
    """Durably, after everything else."""
    stop = CleanStop(open_transactions=[(topic, number) for topic, number in open_transactions])
    replace_file(files, os.path.join(root, layout.CLEAN_SHUTDOWN), msgspec.json.encode(stop))


def make_directory(files: Files, path: str) -> None:
    """Makes a directory and those above it that are missing, durably."""
    missing: list[str] = []
    while not files.exists(path):
        missing.append(path)
        path = os.path.dirname(path)
    if not missing:
        return
    files.makedirs(missing[0])
    for made in reversed(missing):
        files.sync_directory(os.path.dirname(made))


def segments_size(files: Files, directory: str) -> int:
    """The bytes of a partition's segments, with what is preallocated."""
    size = 0
    for name in files.listdir(directory):
        if name.endswith(layout.LOG):
            with contextlib.suppress(FileNotFoundError):
                size += files.size(os.path.join(directory, name))
    return size
