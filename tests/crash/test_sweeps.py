"""What all sweeps rely on: every cut is made, and one that fails is named."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from streamlog.files import write_file
from streamlog.testing import Adversary, Cut, FaultyFiles

if TYPE_CHECKING:
    from .conftest import Sweep


@pytest.fixture
def files() -> FaultyFiles:
    files = FaultyFiles()
    for number in range(3):
        write_file(files, f"/{number}", b"content")
    return files


def test_every_operation_is_cut_by_every_adversary(files: FaultyFiles, sweep: Sweep) -> None:
    made: set[Cut] = set()
    for share in range(2):
        sweep.cut(files, lambda _, cut: made.add(cut), in_ci=10_000, share=share, shares=2)
    assert {cut.after for cut in made} == set(range(len(files.operations) + 1))
    assert {cut.adversary for cut in made} == set(Adversary)
    assert sweep.made == len(made)


def test_a_cut_that_fails_is_named(files: FaultyFiles, sweep: Sweep) -> None:
    def check(survivors: FaultyFiles, cut: Cut) -> None:
        assert not survivors.exists("/2")

    with pytest.raises(AssertionError) as raised:
        sweep.cut(files, check, in_ci=10_000)
    (note,) = raised.value.__notes__
    assert "Cut(after=" in note
    assert "path='/2'" in note


def test_every_operation_of_a_kind_fails_once(files: FaultyFiles, sweep: Sweep) -> None:
    failed: list[tuple[int, int | None]] = []

    def check(failing: FaultyFiles, place: int) -> None:
        for number in range(3):
            try:
                write_file(failing, f"/{number}", b"content")
            except OSError as error:
                failed.append((number, error.errno))

    sweep.fail(files, "datasync", check, in_ci=3, error=errno.EIO)
    assert failed == [(0, errno.EIO), (1, errno.EIO), (2, errno.EIO)]
