"""What a file of a log says, entry by entry: batches, records, indexes, snapshots, checkpoints.

An entry is a dict with its `kind`; times are milliseconds, keys and values bytes. A file that is
damaged is shown as far as it can be, and an entry of kind `damage` stands where it cannot.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import CorruptRecordError, UnsupportedCompressionError
from streamlog.files import read_file
from streamlog.record import Codec, Columns, TimestampType, decode_batch, read_control
from streamlog.record.header import CODEC_MASK
from streamlog.storage import layout
from streamlog.storage.checkpoint_file import decode_epochs, decode_offsets
from streamlog.storage.durable_offsets import FILE_HEADER, SLOT_SIZE, decode_slots
from streamlog.storage.inspect.salvage import Ended, Lost, Salvage, Whole
from streamlog.storage.offset_index import ENTRY as OFFSET_ENTRY
from streamlog.storage.producer_snapshot import decode_snapshot
from streamlog.storage.time_index import ENTRY as TIME_ENTRY
from streamlog.storage.transaction_index import ENTRY as ABORTED_ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from struct import Struct

    from streamlog.files import Files

    Entry = dict[str, Any]

OFFSET_CHECKPOINTS: Final = frozenset(
    {
        layout.RECOVERY_POINTS,
        layout.LOG_START_OFFSETS,
        layout.HIGH_WATERMARKS,
        layout.CLEANED_OFFSETS,
    }
)
TEXTS: Final = frozenset(
    {
        layout.META_PROPERTIES,
        layout.PARTITION_METADATA,
        layout.SESSION,
        layout.CLEAN_SHUTDOWN,
        layout.LOCK,
    }
)
_SEGMENT_FILE = re.compile(r"(\d{20})(\.[a-z]+)(\.cleaned|\.swap|\.deleted)?")
_PARTITION = re.compile(r"(.+)-\d+(\.[0-9a-f]{32}-delete)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What of a file is wanted: its records too, and between which offsets."""

    records: bool = True
    start: int = 0
    end: int = 1 << 63


def dump_path(files: Files, path: str, wanted: Wanted | None = None) -> Iterator[Entry]:
    """The entries of a file, or of all files of a partition or of a log.

    Before a file's entries comes one of kind `file`, with its `path`, what it is (`type`) and the
    `topic`. Raises `OSError` where the path cannot be read.
    """
    wanted = wanted or Wanted()
    if not _is_directory(files, path):
        yield from _dump_file(files, path, wanted)
        return
    for name in files.listdir(path):
        child = os.path.join(path, name)
        if not _is_directory(files, child):
            yield from _dump_file(files, child, wanted)
        elif _PARTITION.fullmatch(name):
            yield from dump_path(files, child, wanted)


def _dump_file(files: Files, path: str, wanted: Wanted) -> Iterator[Entry]:
    name = os.path.basename(path)
    match = _SEGMENT_FILE.fullmatch(name)
    kind, reader = _reader(match[2] if match else name)
    entry: Entry = {"kind": "file", "path": path, "type": kind, "bytes": files.size(path)}
    topic = _PARTITION.fullmatch(os.path.basename(os.path.dirname(os.path.abspath(path))))
    if topic is not None:
        entry["topic"] = topic[1]
    yield entry
    if kind == "segment":
        yield from _dump_segment(files, path, wanted)
    elif reader is not None:
        base = int(match[1]) if match else 0
        yield from reader(read_file(files, path), base)


def _reader(name: str) -> tuple[str, Callable[[bytes, int], Iterator[Entry]] | None]:
    """What a name's file is, and what reads it; for the segments' files by suffix."""
    match name:
        case layout.LOG:
            return "segment", None
        case layout.OFFSET_INDEX:
            return "offset index", _offset_index
        case layout.TIME_INDEX:
            return "time index", _time_index
        case layout.TRANSACTION_INDEX:
            return "transaction index", _transaction_index
        case layout.SNAPSHOT:
            return "producer snapshot", _snapshot
        case layout.DURABLE_OFFSETS:
            return "durable offsets", _durable_offsets
        case layout.LEADER_EPOCH_CHECKPOINT:
            return "leader epochs", _epochs
        case _ if name in OFFSET_CHECKPOINTS:
            return "checkpoint", _offsets
        case _ if name in TEXTS:
            return "text", _text
        case _:
            return "unknown", None


# Segments


def _dump_segment(files: Files, path: str, wanted: Wanted) -> Iterator[Entry]:
    with contextlib.closing(files.open(path)) as file:
        for piece in Salvage(file, 0, gaps=True).pieces():
            match piece:
                case Whole(header=header):
                    if header.base_offset >= wanted.end:
                        return
                    if header.last_offset >= wanted.start:
                        yield _batch(piece)
                        if wanted.records:
                            yield from _records(piece, wanted)
                case Lost(position=position, end_position=end, reason=reason):
                    yield {**_damage(position, reason), "end_position": end}
                case Ended(position=position, padding_bytes=padding):
                    if padding:
                        yield {"kind": "padding", "position": position, "bytes": padding}


def _batch(piece: Whole) -> Entry:
    header = piece.header
    codec = header.attributes & CODEC_MASK
    entry: Entry = {
        "kind": "batch",
        "position": piece.position,
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "records": header.record_count,
        "bytes": header.size_bytes,
        "codec": Codec(codec).name.lower() if codec <= Codec.ZSTD else f"unknown {codec}",
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
        "append_time": header.timestamp_type is TimestampType.LOG_APPEND_TIME,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "transactional": header.is_transactional,
        "control": header.is_control,
        "delete_horizon": header.base_timestamp if header.has_delete_horizon else None,
        "leader_epoch": header.partition_leader_epoch,
        "crc": header.crc,
    }
    if piece.mended:
        entry["damage"] = piece.mended
    return entry


def _records(piece: Whole, wanted: Wanted) -> Iterator[Entry]:
    columns = Columns()
    try:
        if piece.header.is_control:
            control = read_control(piece.data)
            yield {
                "kind": "marker",
                "offset": control.offset,
                "timestamp": control.timestamp,
                "type": control.type.name.lower(),
                "producer_id": control.producer_id,
                "producer_epoch": control.producer_epoch,
                "coordinator_epoch": control.coordinator_epoch,
            }
            return
        decode_batch(piece.data, 0, columns)
    except (CorruptRecordError, UnsupportedCompressionError) as error:
        yield _damage(piece.position, str(error))
        return
    headers = columns.headers or [[] for _ in columns.offsets]
    for offset, timestamp, key, value, each in zip(
        columns.offsets, columns.timestamps, columns.keys, columns.values, headers, strict=True
    ):
        if wanted.start <= offset < wanted.end:
            yield {
                "kind": "record",
                "offset": offset,
                "timestamp": timestamp,
                "key": key,
                "value": value,
                "headers": each,
            }


# What is made from them


def _entries(form: Struct, data: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Place and fields of each entry, up to the zeros that Kafka keeps behind the last one."""
    whole = len(data) - len(data) % form.size
    empty = bytes(form.size)
    for position in range(0, whole, form.size):
        if position and data[position : position + form.size] == empty:
            return
        yield position, form.unpack_from(data, position)


def _cut_short(form: Struct, data: bytes) -> Iterator[Entry]:
    rest = len(data) % form.size
    if rest:
        yield _damage(len(data) - rest, f"{rest} bytes, less than an entry")


def _offset_index(data: bytes, base: int) -> Iterator[Entry]:
    for position, (offset, at) in _entries(OFFSET_ENTRY, data):
        yield {"kind": "offset", "at": position, "offset": base + offset, "position": at}
    yield from _cut_short(OFFSET_ENTRY, data)


def _time_index(data: bytes, base: int) -> Iterator[Entry]:
    for position, (timestamp, offset) in _entries(TIME_ENTRY, data):
        yield {"kind": "time", "at": position, "timestamp": timestamp, "offset": base + offset}
    yield from _cut_short(TIME_ENTRY, data)


def _transaction_index(data: bytes, base: int) -> Iterator[Entry]:
    names = ("version", "producer_id", "first_offset", "last_offset", "last_stable_offset")
    for position, fields in _entries(ABORTED_ENTRY, data):
        yield {"kind": "aborted", "at": position, **dict(zip(names, fields, strict=True))}
    yield from _cut_short(ABORTED_ENTRY, data)


def _snapshot(data: bytes, base: int) -> Iterator[Entry]:
    entries = decode_snapshot(data)
    if entries is None:
        yield _damage(0, "a damaged snapshot: its version, checksum or size is wrong")
        return
    for entry in entries:
        last = entry.batches[-1] if entry.batches else None
        yield {
            "kind": "producer",
            "producer_id": entry.producer_id,
            "producer_epoch": entry.epoch,
            "last_sequence": entry.last_sequence,
            "first_offset": last.first_offset if last else -1,
            "last_offset": last.last_offset if last else -1,
            "last_timestamp": entry.last_timestamp,
            "coordinator_epoch": entry.coordinator_epoch,
            "transaction_first_offset": entry.transaction_first_offset,
        }


def _offsets(data: bytes, base: int) -> Iterator[Entry]:
    try:
        offsets = decode_offsets(data)
    except ValueError as error:
        yield _damage(0, f"a damaged checkpoint: {error}")
        return
    for (topic, partition), offset in offsets.items():
        yield {"kind": "checkpoint", "topic": topic, "partition": partition, "offset": offset}


def _epochs(data: bytes, base: int) -> Iterator[Entry]:
    try:
        epochs = decode_epochs(data)
    except ValueError as error:
        yield _damage(0, f"a damaged checkpoint: {error}")
        return
    for epoch, offset in epochs.items():
        yield {"kind": "epoch", "epoch": epoch, "start_offset": offset}


def _durable_offsets(data: bytes, base: int) -> Iterator[Entry]:
    slots = decode_slots(data)
    if not slots and len(data) > FILE_HEADER.size:
        yield _damage(0, "no durable offsets of this version")
    for place, slot in enumerate(slots):
        position = FILE_HEADER.size + place * SLOT_SIZE
        if slot is None:
            yield _damage(position, "a slot whose checksum is wrong")
            continue
        (topic_id, partition), offset = slot
        yield {
            "kind": "durable",
            "at": position,
            "topic_id": str(topic_id),
            "partition": partition,
            "high_watermark": offset.high_watermark,
            "last_stable_offset": offset.last_stable_offset,
        }


def _text(data: bytes, base: int) -> Iterator[Entry]:
    for line in data.decode(errors="backslashreplace").splitlines():
        yield {"kind": "line", "text": line}


def _damage(position: int, reason: str) -> Entry:
    return {"kind": "damage", "position": position, "reason": reason}


def _is_directory(files: Files, path: str) -> bool:
    """Asked of the seam, which has no such question."""
    try:
        files.listdir(path)
    except NotADirectoryError:
        return False
    return True
