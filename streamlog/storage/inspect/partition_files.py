"""What there is in a partition's directory, by name, and its batches one after the other."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from streamlog.files import read_file
from streamlog.storage import layout
from streamlog.storage.inspect.salvage import Ended, Lost, Salvage, Whole
from streamlog.storage.offset_index import ENTRY, ENTRY_SIZE
from streamlog.storage.partition_log import MAX_TORN_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from streamlog.files import Files
    from streamlog.storage.inspect.salvage import Piece

_IN_BETWEEN = re.compile(
    r"(\d{20})(\.log|\.index|\.timeindex|\.txnindex|\.snapshot)(\.cleaned|\.swap|\.deleted)"
)
SMALL_FILES: Final = frozenset({layout.LEADER_EPOCH_CHECKPOINT, layout.PARTITION_METADATA})


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A file of batches; `base_offset` is where its batches begin, whatever its name says."""

    base_offset: int
    path: str
    size_bytes: int
    named_offset: int

    def path_of(self, suffix: str) -> str:
        """Of an index that goes with it."""
        name = layout.file_name(self.named_offset, suffix)
        return os.path.join(os.path.dirname(self.path), name)


@dataclass(frozen=True, slots=True)
class Known:
    """What else is known of a partition: how far it was durable, and how its log was stopped."""

    log_start_offset: int = 0
    recovery_point: int = 0
    durable_end: int = 0
    """Batches below it were synced."""
    clean: bool = False
    gaps: bool = False
    """Whether compaction may have taken offsets away."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a crash has torn, from `offset` to the end of the log: opening cuts it off."""

    position: int
    offset: int
    removed_bytes: int
    reason: str


@dataclass(slots=True)
class PartitionFiles:
    """The names in a partition's directory."""

    directory: str
    segments: list[SegmentFile] = field(default_factory=list[SegmentFile])
    indexes: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Offsets in the names, by suffix."""
    snapshots: list[int] = field(default_factory=list[int])
    in_between: list[str] = field(default_factory=list[str])
    """Names that a crash in the middle of a compaction or a deletion leaves."""
    foreign: list[str] = field(default_factory=list[str])
    swapped: bool = False
    """Whether segments have each other's names."""


def list_partition(files: Files, directory: str) -> PartitionFiles:
    """Reads the names, and where they contradict the batches, the first batch of each segment."""
    found = PartitionFiles(directory, indexes={suffix: [] for suffix in layout.INDEXES})
    paths: dict[int, str] = {}
    swaps: dict[int, str] = {}
    for name in files.listdir(directory):
        parsed = layout.parse_file_name(name)
        path = os.path.join(directory, name)
        if parsed is not None:
            offset, suffix = parsed
            if suffix == layout.LOG:
                paths[offset] = path
            elif suffix == layout.SNAPSHOT:
                found.snapshots.append(offset)
            else:
                found.indexes[suffix].append(offset)
        elif match := _IN_BETWEEN.fullmatch(name):
            found.in_between.append(name)
            if match[2] == layout.LOG and match[3] == layout.SWAP:
                swaps[int(match[1])] = path
        elif name not in SMALL_FILES:
            found.foreign.append(name)
    for base, path in swaps.items():
        end = _end_offset(files, path, base)
        paths = {at: old for at, old in paths.items() if not base <= at < end}
        paths[base] = path
    bases = _true_bases(files, paths)
    found.swapped = bases != {base: base for base in paths}
    found.segments = sorted(
        (SegmentFile(bases[named], path, files.size(path), named) for named, path in paths.items()),
        key=lambda segment: segment.base_offset,
    )
    return found


def walk_partition(
    files: Files, partition: PartitionFiles, known: Known
) -> Iterator[tuple[SegmentFile, Piece | Cut]]:
    """Every segment's pieces in order of offsets; after a `Cut` comes nothing more.

    A segment whose first offset does not continue the one before is for the caller to notice.
    """
    expected: int | None = None
    segments = partition.segments
    for place, segment in enumerate(segments):
        following = segments[place + 1].base_offset if place + 1 < len(segments) else None
        undecided = not known.clean and expected is not None and expected >= known.durable_end
        if undecided and segment.base_offset != expected:
            reason = f"the next segment begins at {segment.base_offset}, not {expected}"
            yield segment, Cut(0, expected or 0, _content(segments[place:]), reason)
            return
        start = segment.base_offset if expected is None else max(expected, segment.base_offset)
        pieces = _salvage(files, segment, start, following, known)
        for piece in pieces:
            match piece:
                case Lost(position=position, offset=offset) if (
                    not known.clean and offset >= known.durable_end
                ):
                    removed = _content(segments[place:]) - position
                    if removed <= MAX_TORN_BYTES:
                        yield segment, Cut(position, offset, removed, piece.reason)
                        return
                    yield segment, piece
                case Whole(header=header, mended=mended):
                    if mended and not known.clean and header.base_offset >= known.durable_end:
                        removed = _content(segments[place:]) - piece.position
                        yield segment, Cut(piece.position, header.base_offset, removed, mended)
                        return
                    expected = header.next_offset
                    yield segment, piece
                case _:
                    if isinstance(piece, Ended) and expected is None:
                        expected = start
                    yield segment, piece


def _salvage(
    files: Files, segment: SegmentFile, start: int, following: int | None, known: Known
) -> Iterator[Piece]:
    end = following
    if following is None and known.clean:
        end = max(known.recovery_point, known.durable_end) or None
    with contextlib.closing(files.open(segment.path)) as file:
        yield from Salvage(
            file,
            start,
            end_offset=end,
            indexed=partial(_indexed_positions, files, segment),
            gaps=known.gaps,
        ).pieces()


def _indexed_positions(files: Files, segment: SegmentFile) -> Collection[int]:
    path = segment.path_of(layout.OFFSET_INDEX)
    if not files.exists(path):
        return ()
    data = read_file(files, path)
    whole = len(data) - len(data) % ENTRY_SIZE
    return {position for _, position in ENTRY.iter_unpack(data[:whole])}


def _content(segments: Collection[SegmentFile]) -> int:
    return sum(segment.size_bytes for segment in segments)


def _true_bases(files: Files, paths: dict[int, str]) -> dict[int, int]:
    """Where each segment's batches begin, by the offset in its name.

    That is what the name says, unless the contents of some have changed places: when they begin
    with each other's offsets, all of them, it is the names that are wrong.
    """
    bases = {base: base for base in paths}
    ordered = sorted(paths)
    wrong: dict[int, int] = {}
    for base, following in zip_longest(ordered, ordered[1:]):
        first = _first_offset(files, paths[base])
        if first is not None and (first < base or (following is not None and first >= following)):
            wrong[base] = first
    if len(wrong) > 1 and set(wrong.values()) == set(wrong):
        bases |= wrong
    return bases


def _first_offset(files: Files, path: str) -> int | None:
    with contextlib.closing(files.open(path)) as file:
        piece = next(Salvage(file, 0, gaps=True).pieces())
        return piece.header.base_offset if isinstance(piece, Whole) and not piece.mended else None


def _end_offset(files: Files, path: str, base: int) -> int:
    """The offset behind the last batch of a segment that waits for its name."""
    end = base
    with contextlib.closing(files.open(path)) as file:
        for piece in Salvage(file, base, gaps=True).pieces():
            if isinstance(piece, Whole):
                end = piece.header.next_offset
    return end
