"""All kinds of files behave alike while nothing fails: on disk, in memory, faulty ones."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from streamlog.files import Files, OsFiles, read_file, replace_file, write_file
from streamlog.memory_files import BLOCK_BYTES, MemoryFiles
from streamlog.testing import FaultyFiles

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=[OsFiles, FaultyFiles, MemoryFiles])
def files(request: pytest.FixtureRequest) -> Files:
    return request.param()


@pytest.fixture
def root(files: Files, tmp_path: Path) -> str:
    files.makedirs(str(tmp_path / "root"))
    return str(tmp_path / "root")


def test_a_file_is_written_and_read_anywhere(files: Files, root: str) -> None:
    file = files.open(f"{root}/a", "create")
    file.pwrite(b"hello", 0)
    file.pwrite(bytearray(b"J"), 0)
    file.pwrite(memoryview(b"!"), 7)
    assert file.pread(100, 0) == b"Jello\0\0!"
    assert file.pread(3, 1) == b"ell"
    assert file.pread(3, 100) == b""
    assert (file.size(), files.size(f"{root}/a")) == (8, 8)
    file.datasync()
    file.close()
    file.close()


def test_a_file_is_truncated_and_extended_with_zeros(files: Files, root: str) -> None:
    file = files.open(f"{root}/a", "create")
    file.pwrite(b"hello", 0)
    file.truncate(2)
    file.preallocate(4)
    file.preallocate(3)
    assert file.pread(10, 0) in {b"he\0\0", b"he"}  # some systems have nothing to reserve
    file.truncate(6)
    assert file.size() == 6


def test_open_creates_only_when_asked(files: Files, root: str) -> None:
    for mode in ("read", "write"):
        with pytest.raises(FileNotFoundError):
            files.open(f"{root}/a", mode)  # type: ignore[arg-type]
    files.open(f"{root}/a", "create").pwrite(b"x", 0)
    assert files.open(f"{root}/a", "create").pread(9, 0) == b"x"
    with pytest.raises(OSError, match="Bad file descriptor"):
        files.open(f"{root}/a").pwrite(b"x", 0)


def test_names_are_listed_renamed_and_removed(files: Files, root: str) -> None:
    for name in ("b", "a"):
        write_file(files, f"{root}/{name}", name.encode())
    assert files.listdir(root) == ["a", "b"]
    files.rename(f"{root}/a", f"{root}/b")
    assert (files.listdir(root), read_file(files, f"{root}/b")) == (["b"], b"a")
    files.unlink(f"{root}/b")
    files.sync_directory(root)
    assert files.listdir(root) == []
    for change in (
        lambda: files.unlink(f"{root}/b"),
        lambda: files.rename(f"{root}/b", f"{root}/c"),
        lambda: files.listdir(f"{root}/b"),
        lambda: files.size(f"{root}/b"),
        lambda: files.sync_directory(f"{root}/b"),
    ):
        with pytest.raises(FileNotFoundError):
            change()


def test_an_unlinked_file_stays_readable_while_it_is_open(files: Files, root: str) -> None:
    write_file(files, f"{root}/a", b"x")
    file = files.open(f"{root}/a")
    files.unlink(f"{root}/a")
    assert file.pread(1, 0) == b"x"


def test_directories_are_made_with_those_above_and_removed_with_those_below(
    files: Files, root: str
) -> None:
    files.makedirs(f"{root}/a/b/c")
    files.makedirs(f"{root}/a/b")
    write_file(files, f"{root}/a/b/x", b"")
    assert files.exists(f"{root}/a/b/c")
    files.rmtree(f"{root}/a")
    assert not files.exists(f"{root}/a")


def test_a_file_is_replaced_as_a_whole(files: Files, root: str) -> None:
    replace_file(files, f"{root}/a", b"a long first content")
    replace_file(files, f"{root}/a", b"second")
    assert read_file(files, f"{root}/a") == b"second"
    assert files.listdir(root) == ["a"]


def test_a_lock_is_held_by_one(files: Files, root: str) -> None:
    lock = files.lock(f"{root}/.lock", b"42\n")
    assert read_file(files, f"{root}/.lock") == b"42\n"
    with pytest.raises(BlockingIOError):
        files.lock(f"{root}/.lock", b"43\n")
    lock.release()
    lock.release()
    files.makedirs(root)  # what is in memory goes with its lock
    files.lock(f"{root}/.lock", b"44\n").release()


def test_a_directory_has_one_canonical_name(files: Files, root: str) -> None:
    assert files.canonical(f"{root}/../root/") == files.canonical(root)
    others = {FaultyFiles().canonical(root), MemoryFiles().canonical(root)}
    assert files.canonical(root) not in others


@pytest.mark.parametrize("seed", range(5))
def test_reads_and_writes_across_blocks_are_those_of_an_array(
    files: Files, root: str, seed: int
) -> None:
    choose = random.Random(seed)
    file, model = files.open(f"{root}/a", "create"), bytearray()
    for _ in range(60):
        offset = choose.randint(0, len(model))
        size = choose.choice([0, 1, 100, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 7])
        match choose.randint(0, 3):
            case 0:
                file.truncate(offset)
                del model[offset:]
            case 1:
                file.truncate(len(model) + size)
                model.extend(bytes(size))
            case _:
                data = choose.randbytes(size)
                file.pwrite(data, offset)
                model[offset : offset + size] = data
        start = choose.randint(0, len(model))
        assert file.pread(size + 5, start) == model[start : start + size + 5]
        assert file.size() == len(model)


def test_a_directory_is_renamed_with_what_is_in_it(files: Files, root: str) -> None:
    files.makedirs(f"{root}/a/b")
    write_file(files, f"{root}/a/b/x", b"x")
    files.rename(f"{root}/a", f"{root}/c")
    assert read_file(files, f"{root}/c/b/x") == b"x"
    assert files.listdir(root) == ["c"]


def test_the_wrong_kind_of_path_is_refused(files: Files, root: str) -> None:
    write_file(files, f"{root}/a", b"x")
    files.makedirs(f"{root}/d")
    with pytest.raises(IsADirectoryError):
        files.open(f"{root}/d", "create")
    with pytest.raises(NotADirectoryError):
        files.open(f"{root}/a/x", "create")
    with pytest.raises(NotADirectoryError):
        files.listdir(f"{root}/a")
