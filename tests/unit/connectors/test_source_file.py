"""The file source: every line once, whatever the blocks, restarts and rotations."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from connectors.api import Batch, Exhausted, SourceColumns, SourceEvent
from connectors.errors import SourceReadError
from connectors.sources.file import FileSource
from connectors.sources.file_config import FieldKey, FileSourceConfig
from streamlog.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEXT = b"one\r\ntwo\n\nf\xc3\xbcr\n\rx\r\ny\r\r\nlast"
LINES = [b"one", b"two", b"", b"f\xc3\xbcr", b"\rx", b"y\r", b"last"]


class Offsets:
    """A source's context whose offsets survive what the test throws away."""

    connector = "lines"
    clock = SystemClock()

    def __init__(self) -> None:
        self.draining = False
        self.stored: dict[str, str] = {}

    def commit(self, batch: Batch) -> None:
        self.stored[json.dumps(batch.partition)] = json.dumps(batch.offset)

    def offset(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        stored = self.stored.get(json.dumps(partition))
        return None if stored is None else json.loads(stored)

    def offsets(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return [(json.loads(p), json.loads(o)) for p, o in self.stored.items()]


def opened(offsets: Offsets, *paths: Path | str, block_bytes: int = 64, **more: Any) -> FileSource:
    source = FileSource(
        FileSourceConfig(paths=[str(path) for path in paths], **more), block_bytes=block_bytes
    )
    asyncio.run(source.open(offsets))
    return source


def columns(batch: Batch) -> SourceColumns:
    assert isinstance(batch.records, SourceColumns)
    return batch.records


def batches_of(source: FileSource, *, last: bool) -> Iterator[Batch]:
    return source.read_pass(source.find(last=last), last=last)


def take(source: FileSource, offsets: Offsets, *, last: bool = False) -> list[bytes | None]:
    """The values of a pass, each batch committed."""
    values: list[bytes | None] = []
    for batch in batches_of(source, last=last):
        offsets.commit(batch)
        values += columns(batch).values
    return values


@pytest.mark.parametrize("block_bytes", range(1, len(TEXT) + 2))
def test_the_size_of_a_block_does_not_matter(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(TEXT)
    offsets = Offsets()
    source = opened(offsets, path, block_bytes=block_bytes)
    assert take(source, offsets) == LINES[:-1]
    assert take(source, offsets, last=True) == LINES[-1:]
    assert take(source, offsets, last=True) == []
    [(_, stored)] = offsets.offsets()
    assert stored["position"] == len(TEXT)


@pytest.mark.parametrize("seen", range(len(TEXT) + 1))
def test_a_file_that_is_read_while_it_is_written_gives_every_line_once(
    tmp_path: Path, seen: int
) -> None:
    """At every byte; the source is opened anew behind each look at the file."""
    path = tmp_path / "f"
    offsets = Offsets()
    path.write_bytes(TEXT[:seen])
    values = take(opened(offsets, path, block_bytes=4), offsets)
    with path.open("ab") as file:
        file.write(TEXT[seen:])
    values += take(opened(offsets, path, block_bytes=4), offsets)
    values += take(opened(offsets, path, block_bytes=4), offsets, last=True)
    assert values == LINES


@pytest.mark.parametrize("batches", range(8))
def test_a_crash_behind_any_commit_loses_and_doubles_nothing(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(TEXT)
    offsets = Offsets()
    values: list[bytes | None] = []
    first = batches_of(opened(offsets, path, block_bytes=1), last=True)
    for _, batch in zip(range(batches), first, strict=False):
        offsets.commit(batch)
        values += columns(batch).values
    assert values + take(opened(offsets, path), offsets, last=True) == LINES


@pytest.mark.parametrize(
    ("later", "lines"),
    [
        (b"\n", []),
        (b"\r\n", []),
        (b"\nmore\n", [b"more"]),
        (b"\r\nmore\n", [b"more"]),
        (b"\n\n", [b""]),
        (b"+rest\n", [b"+rest"]),
    ],
)
def test_a_line_emitted_without_newline_is_remembered(
    tmp_path: Path, later: bytes, lines: list[bytes]
) -> None:
    """Its newline, when it comes, ends no second line; what is added to it is one of its own."""
    path = tmp_path / "f"
    path.write_bytes(b"a\nlast")
    offsets = Offsets()
    assert take(opened(offsets, path), offsets, last=True) == [b"a", b"last"]
    with path.open("ab") as file:
        file.write(later)
    for last in (False, True):
        assert take(opened(offsets, path), offsets, last=last) == lines
        lines = []


def test_positions_are_bytes_where_kafka_connect_counts_characters(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("héllo\nwörld ☃\n")
    offsets = Offsets()
    take(opened(offsets, path), offsets)
    stored = offsets.offset({"filename": str(path)})
    assert stored is not None
    assert stored["position"] == 18
    with path.open("a") as file:
        file.write("☃☃\n")
    assert take(opened(offsets, path), offsets) == ["☃☃".encode()]


def test_an_offset_of_kafka_connects_own_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one\ntwo\n")
    offsets = Offsets()
    offsets.commit(Batch([], {"filename": str(path)}, {"position": 4}))
    assert take(opened(offsets, path), offsets) == [b"two"]


def test_a_truncated_file_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one\ntwo\nthree\n")
    offsets = Offsets()
    source = opened(offsets, path)
    take(source, offsets)
    path.write_bytes(b"new\n")
    assert take(source, offsets) == [b"new"]
    path.write_bytes(b"longer than before\n")
    assert take(opened(offsets, path), offsets) == [b"longer than before"]


@pytest.mark.parametrize("left", range(12))
def test_a_file_may_be_truncated_while_it_is_read(tmp_path: Path, left: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one\ntwo\nthree\n")
    offsets = Offsets()
    source = opened(offsets, path, block_bytes=5)
    batches = batches_of(source, last=False)
    values = [*columns(next(batches)).values]
    os.truncate(path, left)
    for batch in batches:
        values += columns(batch).values
    assert values == [b"one", b"two"][: 2 if left >= 8 else 1]


def test_a_replaced_file_that_is_longer_and_begins_alike_is_noticed(tmp_path: Path) -> None:
    head = b"".join(b"# the same header %d\n" % n for n in range(200))
    path = tmp_path / "f"
    path.write_bytes(head + b"old\n")
    offsets = Offsets()
    take(opened(offsets, path), offsets)
    path.write_bytes(head + b"new\nand more\n")
    assert take(opened(offsets, path), offsets)[-2:] == [b"new", b"and more"]


def test_a_rotated_file_is_read_on_and_its_successor_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    offsets = Offsets()
    source = opened(offsets, tmp_path / "app.log*")
    assert take(source, offsets) == [b"1", b"2"]
    with path.open("ab") as file:
        file.write(b"3\n")
    path.rename(tmp_path / "app.log.1")
    path.write_bytes(b"4\n")
    assert sorted(take(source, offsets), key=str) == [b"3", b"4"]
    assert take(opened(offsets, tmp_path / "app.log*"), offsets) == []


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("successor", [False, True])
def test_a_file_that_is_rotated_again_and_again_is_read_once(
    tmp_path: Path, restart: bool, successor: bool
) -> None:
    """With a line written behind each look, and the new file there at the next look or later."""
    path = tmp_path / "app.log"
    offsets = Offsets()
    source = opened(offsets, tmp_path / "app.log*")
    values: list[bytes | None] = []
    for number in range(5):
        path.write_bytes(b"%d seen\n" % number)
        values += take(source, offsets)
        with path.open("ab") as file:
            file.write(b"%d late\n" % number)
        for old in (3, 2, 1):
            if (tmp_path / f"app.log.{old}").exists():
                (tmp_path / f"app.log.{old}").rename(tmp_path / f"app.log.{old + 1}")
        path.rename(tmp_path / "app.log.1")
        if restart:
            source = opened(offsets, tmp_path / "app.log*")
        if not successor:
            values += take(source, offsets)
    values += take(source, offsets)
    assert sorted(values, key=str) == [
        f"{number} {when}".encode() for number in range(5) for when in ("late", "seen")
    ]


@pytest.mark.parametrize("batches", range(8))
def test_a_crash_within_a_rotation_of_many_doubles_nothing(tmp_path: Path, batches: int) -> None:
    """Wherever the transaction ends: no cursor is overwritten before its file has another."""
    offsets = Offsets()
    values: list[bytes | None] = []
    for name in ("app.log.2", "app.log.1", "app.log"):
        (tmp_path / name).write_text(f"{name}\n")
    values += take(opened(offsets, tmp_path / "app.log*"), offsets)
    for old, new in [("app.log.2", "app.log.3"), ("app.log.1", "app.log.2")]:
        (tmp_path / old).rename(tmp_path / new)
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")
    (tmp_path / "app.log").write_bytes(b"new\n")
    again = batches_of(opened(offsets, tmp_path / "app.log*"), last=False)
    for _, batch in zip(range(batches), again, strict=False):
        offsets.commit(batch)
        values += columns(batch).values
    values += take(opened(offsets, tmp_path / "app.log*"), offsets)
    assert sorted(values, key=str) == [b"app.log", b"app.log.1", b"app.log.2", b"new"]


def test_names_that_are_exchanged_keep_their_places(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f"{name}\n")
    offsets = Offsets()
    source = opened(offsets, tmp_path / "*")
    take(source, offsets)
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "b").rename(tmp_path / "a")
    (tmp_path / "c").rename(tmp_path / "b")
    assert take(source, offsets) == []


def test_a_crash_within_a_rotation_doubles_nothing(tmp_path: Path) -> None:
    """The renamed file's cursor is committed before anything of the new file."""
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    offsets = Offsets()
    values = take(opened(offsets, tmp_path / "app.log*"), offsets)
    path.rename(tmp_path / "app.log.1")
    path.write_bytes(b"3\n4\n")
    again = opened(offsets, tmp_path / "app.log*", block_bytes=1)
    for batch in batches_of(again, last=False):
        offsets.commit(batch)
        values += columns(batch).values
        if values[-1] == b"3":
            break
    values += take(opened(offsets, tmp_path / "app.log*"), offsets)
    assert values == [b"1", b"2", b"3", b"4"]


def test_a_rotation_between_look_and_open_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    offsets = Offsets()
    source = opened(offsets, tmp_path / "app.log*")
    values = take(source, offsets)
    with path.open("ab") as file:
        file.write(b"3\n")
    files = source.find(last=False)
    path.rename(tmp_path / "app.log.1")
    path.write_bytes(b"4\n")
    for batch in source.read_pass(files, last=False):
        offsets.commit(batch)
        values += columns(batch).values
    values += take(source, offsets)
    assert sorted(values, key=str) == [b"1", b"2", b"3", b"4"]


def test_a_hard_link_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    offsets = Offsets()
    assert take(opened(offsets, tmp_path / "*"), offsets) == [b"1"]
    os.link(tmp_path / "a", tmp_path / "b")
    assert take(opened(offsets, tmp_path / "*"), offsets) == [b"1"]


def test_files_come_in_the_order_of_their_paths_each_once(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        (tmp_path / name).write_text(f"{name}\n")
    offsets = Offsets()
    source = opened(offsets, tmp_path / "[bc]", tmp_path / "*")
    assert take(source, offsets) == [b"a", b"b", b"c"]
    assert [p["filename"][-1] for p, _ in offsets.offsets()] == ["a", "b", "c"]


def test_a_long_line_makes_its_block_grow_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\n" + b"x" * 100 + b"\nb\n" + b"y" * 400 + b"\nc\n" + b"z" * 400)
    offsets = Offsets()
    source = opened(offsets, path, block_bytes=8, max_line_bytes=100)
    batches = list(batches_of(source, last=True))
    values = [v for b in batches for v in columns(b).values]
    assert values == [b"a", b"x" * 100, b"b", b"c"]
    origins = [p.origin for b in batches for p in b.poison]
    assert origins == [f"{path}, line at byte {n}" for n in (105, 508)]


@pytest.mark.parametrize("limit", range(1, 12))
def test_the_limit_holds_wherever_the_block_ends(tmp_path: Path, limit: int) -> None:
    lines = [b"x" * n for n in (3, 7, 1, 11, 5)]
    path = tmp_path / "f"
    path.write_bytes(b"\n".join(lines) + b"\n")
    for block_bytes in range(1, 35):
        source = opened(Offsets(), path, block_bytes=block_bytes, max_line_bytes=limit)
        values = [v for b in batches_of(source, last=True) for v in columns(b).values]
        assert values == [line for line in lines if len(line) <= limit]


def test_the_path_or_a_field_can_be_the_key(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b'{"id":"a"}\n{"id":"b"}\n')
    [batch] = batches_of(opened(Offsets(), path, key="file"), last=True)
    assert columns(batch).keys == [os.fsencode(path)] * 2
    key = FieldKey(field="id")
    [batch] = batches_of(opened(Offsets(), path, format="json", key=key), last=True)
    assert columns(batch).keys == [b"a", b"b"]


def events(source: FileSource, offsets: Offsets) -> list[SourceEvent]:
    """What `read` yields, with the run's end after the first `Exhausted`."""

    async def collect() -> list[SourceEvent]:
        found: list[SourceEvent] = []
        async for event in source.read():
            found.append(event)
            offsets.draining = isinstance(event, Exhausted)
        return found

    return asyncio.run(collect())


def test_while_following_the_last_line_waits_for_the_end_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\nb")
    offsets = Offsets()
    first, exhausted, second = events(opened(offsets, path, poll_ms=20), offsets)
    assert isinstance(first, Batch)
    assert first.offset["position"] == 2
    assert exhausted == Exhausted(0.02)
    assert isinstance(second, Batch)
    assert second.offset["position"] == 3
    assert second.offset["unterminated"]


def test_without_following_the_source_ends(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\nb")
    found = events(opened(Offsets(), path, follow=False), Offsets())
    assert [type(event) for event in found] == [Batch, Batch]


def test_paths_that_match_nothing_are_an_error_at_the_end(tmp_path: Path) -> None:
    pattern = f"{tmp_path}/*.txt"
    with pytest.raises(SourceReadError, match="no file matches"):
        take(opened(Offsets(), pattern), Offsets(), last=True)
    assert take(opened(Offsets(), pattern), Offsets()) == []


def test_a_file_or_directory_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"1\n")

    def refuse(path: str, *_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    for function, named in [("open", tmp_path / "f"), ("scandir", tmp_path)]:
        with monkeypatch.context() as patch:  # to root, who may run this, nothing is forbidden
            patch.setattr(os, function, refuse)
            with pytest.raises(SourceReadError, match=f"{named}: Permission denied"):
                take(opened(Offsets(), tmp_path / "*"), Offsets())
