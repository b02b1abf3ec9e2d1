"""What survives a loss of power, and what must not."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from streamlog.files import read_file, replace_file, write_file
from streamlog.testing import Adversary, Cut, FaultyFiles, choose_cuts

if TYPE_CHECKING:
    from pathlib import Path


def end(files: FaultyFiles, adversary: Adversary) -> FaultyFiles:
    return files.cut(Cut(len(files.operations), adversary))


@pytest.fixture
def files() -> FaultyFiles:
    """A directory with one durable file."""
    files = FaultyFiles()
    files.makedirs("/d")
    files.sync_directory("/")
    write_file(files, "/d/a", b"durable")
    files.sync_directory("/d")
    return files


@pytest.mark.parametrize("adversary", list(Adversary))
def test_what_was_synced_survives(files: FaultyFiles, adversary: Adversary) -> None:
    assert read_file(end(files, adversary), "/d/a") == b"durable"


def test_a_write_without_a_sync_may_be_lost_or_not(files: FaultyFiles) -> None:
    files.open("/d/a", "write").pwrite(b" and more", 7)
    assert read_file(end(files, Adversary.NOTHING), "/d/a") == b"durable"
    assert read_file(end(files, Adversary.ALL), "/d/a") == b"durable and more"
    torn = read_file(end(files, Adversary.TORN), "/d/a")
    assert b"durable and more".startswith(torn)


def test_a_torn_write_ends_anywhere(files: FaultyFiles) -> None:
    files.open("/d/a", "write").pwrite(b"x" * 50, 7)
    cut = Cut(len(files.operations), Adversary.TORN)
    sizes = {files.cut(cut, seed=str(seed)).size("/d/a") for seed in range(300)}
    assert len(sizes) > 30


def test_zeroed_pages_keep_the_size(files: FaultyFiles) -> None:
    files.open("/d/a", "write").pwrite(b"x" * 10_000, 7)
    cut = Cut(len(files.operations), Adversary.ZEROED)
    contents = {read_file(files.cut(cut, seed=str(seed)), "/d/a") for seed in range(20)}
    assert {len(content) for content in contents} == {10_007}
    assert any(b"\0" * 64 in content for content in contents)
    assert all(content.startswith(b"durable") for content in contents)


def test_later_writes_may_survive_earlier_ones(files: FaultyFiles) -> None:
    file = files.open("/d/a", "write")
    file.pwrite(b"1", 7)
    file.pwrite(b"2", 8)
    cut = Cut(len(files.operations), Adversary.REORDERED)
    contents = {read_file(files.cut(cut, seed=str(seed)), "/d/a") for seed in range(50)}
    assert contents == {b"durable", b"durable1", b"durable\x002", b"durable12"}


def test_a_new_name_is_lost_unless_its_directory_is_synced(files: FaultyFiles) -> None:
    write_file(files, "/d/b", b"content")
    assert end(files, Adversary.MISSING).listdir("/d") == ["a"]
    assert end(files, Adversary.ALL).listdir("/d") == ["a", "b"]
    files.sync_directory("/d")
    assert read_file(end(files, Adversary.MISSING), "/d/b") == b"content"


def test_a_replaced_file_is_the_old_one_or_the_new_one_at_every_cut(files: FaultyFiles) -> None:
    before = len(files.operations)
    replace_file(files, "/d/a", b"replaced")
    for cut in choose_cuts(len(files.operations), first=before):
        content = read_file(files.cut(cut), "/d/a")
        assert content in {b"durable", b"replaced"}
    assert read_file(end(files, Adversary.NOTHING), "/d/a") == b"replaced"


def test_an_unlink_may_come_back(files: FaultyFiles) -> None:
    files.unlink("/d/a")
    assert not files.exists("/d/a")
    assert read_file(end(files, Adversary.NOTHING), "/d/a") == b"durable"
    files.sync_directory("/d")
    assert not end(files, Adversary.NOTHING).exists("/d/a")


def test_a_directory_that_was_not_synced_into_its_parent_is_gone(files: FaultyFiles) -> None:
    files.makedirs("/d/e/f")
    write_file(files, "/d/e/f/x", b"x")
    files.sync_directory("/d/e/f")
    assert not end(files, Adversary.NOTHING).exists("/d/e")
    files.sync_directory("/d/e")
    files.sync_directory("/d")
    assert read_file(end(files, Adversary.NOTHING), "/d/e/f/x") == b"x"


def test_cuts_may_be_asked_for_in_any_order(files: FaultyFiles) -> None:
    for size in range(5):
        write_file(files, "/d/a", bytes(size))
    cuts = [Cut(after, Adversary.ALL) for after in range(len(files.operations) + 1)]
    forwards = [files.cut(cut).exists("/d/a") and files.cut(cut).size("/d/a") for cut in cuts]
    again = [files.cut(cut).exists("/d/a") and files.cut(cut).size("/d/a") for cut in cuts[::-1]]
    assert forwards == again[::-1]


def test_survivors_can_be_cut_again(files: FaultyFiles) -> None:
    survivors = end(files, Adversary.NOTHING)
    survivors.open("/d/a", "write").pwrite(b"XX", 0)
    assert read_file(end(survivors, Adversary.NOTHING), "/d/a") == b"durable"
    assert read_file(end(survivors, Adversary.ALL), "/d/a") == b"XXrable"


def test_notes_are_those_before_the_cut(files: FaultyFiles) -> None:
    files.note("first")
    at = len(files.operations)
    write_file(files, "/d/b", b"")
    files.note("second")
    assert files.notes(Cut(at, Adversary.ALL)) == ["first"]
    assert files.notes() == ["first", "second"]


def test_cuts_are_chosen_by_hash_always_the_same_ones() -> None:
    some = choose_cuts(100, count=50, seed="s")
    assert len(some) == 50
    assert some == choose_cuts(100, count=50, seed="s")
    assert some != choose_cuts(100, count=50, seed="t")
    assert some == sorted(some, key=lambda cut: cut.after)
    assert len(choose_cuts(9)) == 10 * len(Adversary)


def test_an_operation_fails_once_and_without_effect(files: FaultyFiles) -> None:
    files.fail("write", after=1, error=errno.ENOSPC)
    file = files.open("/d/a", "write")
    file.pwrite(b"1", 7)
    with pytest.raises(OSError, match="No space left"):
        file.pwrite(b"2", 8)
    file.pwrite(b"3", 8)
    assert read_file(files, "/d/a") == b"durable13"


def test_a_disk_may_be_full(files: FaultyFiles) -> None:
    files.capacity_bytes = 10
    file = files.open("/d/a", "write")
    file.pwrite(b"123", 7)
    with pytest.raises(OSError, match="No space left"):
        file.pwrite(b"4", 10)
    file.truncate(5)
    file.pwrite(b"4", 5)


def test_survivors_go_to_the_real_disk_and_back(files: FaultyFiles, tmp_path: Path) -> None:
    files.makedirs("/d/e")
    write_file(files, "/d/e/b", b"below")
    files.write_to(str(tmp_path), "/d")
    assert (tmp_path / "a").read_bytes() == b"durable"
    assert (tmp_path / "e" / "b").read_bytes() == b"below"
    again = FaultyFiles.read_from(str(tmp_path), "/x")
    assert read_file(end(again, Adversary.NOTHING), "/x/e/b") == b"below"
