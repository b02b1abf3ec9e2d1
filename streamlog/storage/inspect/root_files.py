"""What the files at the root of a log directory say, and which of them are damaged."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from streamlog.errors import CorruptLogError, DirectoryAccessError, StorageError
from streamlog.files import read_file
from streamlog.storage import layout
from streamlog.storage.checkpoint_file import encode_offsets
from streamlog.storage.directory_files import CleanStop, read_offsets
from streamlog.storage.durable_offsets import (
    FILE_HEADER,
    MAGIC,
    SLOT_SIZE,
    VERSION,
    DurableOffset,
    PartitionId,
    decode_slots,
)
from streamlog.storage.identity import check_format, read_session
from streamlog.storage.inspect.finding import Finding

if TYPE_CHECKING:
    from uuid import UUID

    from streamlog.files import Files
    from streamlog.topic import TopicPartition

CHECKPOINTS: Final = (
    layout.RECOVERY_POINTS,
    layout.LOG_START_OFFSETS,
    layout.HIGH_WATERMARKS,
    layout.CLEANED_OFFSETS,
)
KNOWN_NAMES: Final = frozenset(
    {
        *CHECKPOINTS,
        layout.META_PROPERTIES,
        layout.LOCK,
        layout.CLEAN_SHUTDOWN,
        layout.DURABLE_OFFSETS,
        layout.SESSION,
        "state",  # of applications, beside the log
    }
)


@dataclass(slots=True)
class RootFiles:
    """The root's files, as far as they can be read."""

    checkpoints: dict[str, dict[TopicPartition, int]] = field(
        default_factory=dict[str, "dict[TopicPartition, int]"]
    )
    durable: dict[PartitionId, DurableOffset] = field(
        default_factory=dict[PartitionId, DurableOffset]
    )
    clean: bool = False
    findings: list[Finding] = field(default_factory=list[Finding])

    def ends(self, partition: TopicPartition, topic_id: UUID | None) -> dict[str, int]:
        """Where the log ends, by the file that says so."""
        ends = {
            name: self.checkpoints[name][partition]
            for name in (layout.RECOVERY_POINTS, layout.HIGH_WATERMARKS)
            if partition in self.checkpoints.get(name, {})
        }
        durable = None if topic_id is None else self.durable.get((topic_id, partition.partition))
        if durable is not None:
            ends[layout.DURABLE_OFFSETS] = durable.high_watermark
        return ends

    def checkpoint(self, name: str, partition: TopicPartition) -> int:
        return self.checkpoints.get(name, {}).get(partition, 0)


def read_root(files: Files, root: str, boot_id: str) -> RootFiles:
    """Raises `FormatVersionError` for a newer format, `DirectoryAccessError` where is no log."""
    found = RootFiles()
    _read_format(files, root, found)
    for name in CHECKPOINTS:
        try:
            offsets = found.checkpoints[name] = read_offsets(files, root, name)
            path = os.path.join(root, name)
            if files.exists(path) and read_file(files, path) != encode_offsets(offsets):
                _add(found, root, name, "mended", "not as it was written", "its offsets are read")
        except CorruptLogError as error:
            _add(found, root, name, "damage", error.reason, "its offsets are found in the segments")
    found.clean = _read_clean_stop(files, root, found)
    for name in (layout.RECOVERY_POINTS, layout.LOG_START_OFFSETS, layout.HIGH_WATERMARKS):
        if found.clean and not files.exists(os.path.join(root, name)):
            _add(found, root, name, "damage", "is missing after a clean stop", "not needed to save")
    _read_durable(files, root, found)
    session = read_session(files, root)
    if session is None and files.exists(os.path.join(root, layout.SESSION)):
        _add(found, root, layout.SESSION, "mended", "no session can be read", "opening writes it")
    if (
        session is not None
        and session.durability == "os"
        and not session.is_of_boot(boot_id)
        and not found.clean
    ):
        found.durable = {}  # the machine has stopped: nothing of it is certain
    return found


def _read_format(files: Files, root: str, found: RootFiles) -> None:
    path = os.path.join(root, layout.META_PROPERTIES)
    try:
        if check_format(files, root):
            return
        reason = "is missing"
    except StorageError as error:
        if error.path != path:
            raise
        reason = "no streamlog.format can be read"
    names = files.listdir(root) if files.exists(root) else []
    if not any(name in CHECKPOINTS or name == layout.DURABLE_OFFSETS for name in names):
        raise DirectoryAccessError(root, "there is no log here")
    _add(found, root, layout.META_PROPERTIES, "damage", reason, "it can be written anew")


def _read_clean_stop(files: Files, root: str, found: RootFiles) -> bool:
    path = os.path.join(root, layout.CLEAN_SHUTDOWN)
    if not files.exists(path):
        return False
    try:
        msgspec.json.decode(read_file(files, path), type=CleanStop)
    except msgspec.DecodeError as error:
        reason = f"a damaged marker: {error}"
        _add(found, root, layout.CLEAN_SHUTDOWN, "mended", reason, "opening reads more")
    return True


def _read_durable(files: Files, root: str, found: RootFiles) -> None:
    name = layout.DURABLE_OFFSETS
    path = os.path.join(root, name)
    if not files.exists(path):
        if files.exists(os.path.join(root, layout.SESSION)):
            _add(found, root, name, "mended", "is missing", "opening writes it anew")
        return
    content = read_file(files, path)
    header = content[: FILE_HEADER.size]
    if header != FILE_HEADER.pack(MAGIC, VERSION):
        kind, version = header[:4], int.from_bytes(header[4:8])
        reason = "no such file"
        if kind == MAGIC and version > VERSION:
            reason = f"version {version} of a newer streamlog; this one reads {VERSION}"
        _add(found, root, name, "mended", reason, "opening writes it anew")
        return
    rest = (len(content) - FILE_HEADER.size) % SLOT_SIZE
    for place, slot in enumerate(decode_slots(content)):
        if slot is None:
            position = FILE_HEADER.size + place * SLOT_SIZE
            _add(found, root, name, "mended", "a slot that says nothing", "not read", position)
        else:
            found.durable[slot[0]] = slot[1]
    if rest:
        _add(found, root, name, "mended", "a slot is cut off", "not read", len(content) - rest)


def _add(
    found: RootFiles,
    root: str,
    name: str,
    level: str,
    reason: str,
    saved: str,
    position: int = 0,
) -> None:
    found.findings.append(
        Finding(
            level="damage" if level == "damage" else "mended",
            path=os.path.join(root, name),
            position=position,
            reason=reason,
            saved=saved,
        )
    )
