"""Kafka's checkpoint files: text, replaced as a whole.

Offsets of partitions:              Leader epochs of one partition:

    0                               0
    <number of lines>               <number of lines>
    <topic> <partition> <offset>    <epoch> <start offset>
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "0"


def encode_offsets(offsets: Mapping[TopicPartition, int]) -> bytes:
    """The file's content."""
    lines = [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
    return _encode_lines(lines)


def decode_offsets(content: bytes) -> dict[TopicPartition, int]:
    """Raises `ValueError` for a damaged file."""
    offsets: dict[TopicPartition, int] = {}
    for line in _decode_lines(content):
        topic, partition, offset = line.split(" ")
        offsets[TopicPartition(topic, int(partition))] = int(offset)
    return offsets


def encode_epochs(epochs: Mapping[int, int]) -> bytes:
    """Leader epoch to the offset where it starts."""
    return _encode_lines([f"{epoch} {offset}" for epoch, offset in epochs.items()])


def decode_epochs(content: bytes) -> dict[int, int]:
    """Raises `ValueError` for a damaged file."""
    pairs = [line.split(" ") for line in _decode_lines(content)]
    return {int(epoch): int(offset) for epoch, offset in pairs}


def _encode_lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in [VERSION, str(len(lines)), *lines]).encode()


def _decode_lines(content: bytes) -> list[str]:
    version, count, *lines = content.decode().splitlines()
    if version != VERSION:
        raise ValueError(f"version {version}")
    if int(count) != len(lines):
        raise ValueError(f"{len(lines)} lines instead of {count}")
    return lines
