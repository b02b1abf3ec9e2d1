"""What a file holds, remembered beside it: one line an entry, the last whole one counts.

    crc32 of the JSON, 8 hex digits | space | JSON | newline
    {"sequence":3,"length":120,"replaced":false,"final":false,"layout":"append json",
     "offsets":[["orders","<topic id>",0,12]]}

An entry is appended and synced before the next one is written, so only the last line can be torn.
The first entry, and a journal that is written anew because it grew long, come by temporary file
and rename, so a journal that holds no whole entry at all is damaged, not torn.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from connectors.errors import DestinationError
from streamlog.files import read_file, replace_file

if TYPE_CHECKING:
    from streamlog.files import File, Files

_LONG_BYTES: Final = 1 << 16


class HeldOffset(NamedTuple):
    """The next offset of a partition that a file holds; the id tells topics of one name apart."""

    topic: str
    topic_id: str
    partition: int
    next_offset: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A state of the file.

    Attributes:
        sequence: One more than the entry before.
        length: How many bytes of the file count; what follows them was never committed.
        replaced: The file was written anew for this entry, and may still wait for its rename.
        final: The content has the form of a finished file.
        layout: What kind of content the file has, as one that is appended to in another way
            would be none.
        offsets: For every partition, the next offset behind what the file holds.
    """

    sequence: int
    length: int
    replaced: bool
    final: bool = False
    layout: str
    offsets: list[HeldOffset]


def encode_entry(entry: Entry) -> bytes:
    text = msgspec.json.encode(entry)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode_entry(line: bytes) -> Entry | None:
    """The entry in a line without its newline, or None where it is none that was written whole."""
    text = line[9:]
    if line[:9] != b"%08x " % zlib.crc32(text):
        return None
    try:
        return msgspec.json.decode(text, type=Entry)
    except msgspec.DecodeError:
        return None


class Journal:
    """The journal of one file. Owned by one thread."""

    def __init__(self, files: Files, path: str, last: Entry, end: int) -> None:
        self._files = files
        self._path = path
        self._file: File = files.open(path, "write")
        self._end = end
        self.last = last

    @classmethod
    def create(cls, files: Files, path: str, layout: str) -> Journal:
        """The journal of a file that holds nothing yet."""
        entry = Entry(sequence=0, length=0, replaced=False, layout=layout, offsets=[])
        content = encode_entry(entry)
        replace_file(files, path, content)
        return cls(files, path, entry, len(content))

    @classmethod
    def load(cls, files: Files, path: str) -> Journal:
        """Raises `DestinationError` where the journal is damaged."""
        content = read_file(files, path)
        *lines, _ = content.split(b"\n")  # what has no newline was not written whole
        entries = [decode_entry(line) for line in lines]
        whole = entries.index(None) if None in entries else len(entries)
        last = entries[whole - 1] if whole else None
        if last is None or any(entry is not None for entry in entries[whole:]):
            raise DestinationError(path, "is damaged, so what its file holds is unknown")
        end = sum(len(line) + 1 for line in lines[:whole])
        journal = cls(files, path, last, end)
        journal._file.truncate(end)  # a torn line would show behind entries shorter than it
        return journal

    def append(self, entry: Entry) -> None:
        """Durable on return. A crash leaves the state before or this one."""
        content = encode_entry(entry)
        if self._end + len(content) > _LONG_BYTES:
            self._file.close()
            replace_file(self._files, self._path, content)
            self._file = self._files.open(self._path, "write")
            self._end = 0
        else:
            self._file.pwrite(content, self._end)
            self._file.datasync()
        self._end += len(content)
        self.last = entry

    def close(self) -> None:
        self._file.close()


def make_directory(files: Files, path: str) -> None:
    """Makes a directory and those above it, durably."""
    if not files.exists(path):
        parent = os.path.dirname(path)
        make_directory(files, parent)
        files.makedirs(path)
        files.sync_directory(parent)
