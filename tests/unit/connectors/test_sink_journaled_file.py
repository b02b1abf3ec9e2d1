"""A file and its offsets: what is refused when they are opened."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from connectors.errors import DestinationError
from connectors.sinks.journal import Entry, HeldOffset, Journal, decode_entry, encode_entry
from connectors.sinks.journaled_file import JournaledFile
from streamlog.files import read_file
from streamlog.testing import Adversary, Cut, FaultyFiles

PATH = "/out/f"


def offsets(next_offset: int) -> list[HeldOffset]:
    return [HeldOffset("t", "id", 0, next_offset)]


def opened(files: FaultyFiles, layout: str = "append json") -> JournaledFile:
    file = JournaledFile(files, PATH, layout)
    file.open()
    return file


@pytest.fixture
def files() -> FaultyFiles:
    made = FaultyFiles()
    file = opened(made)
    file.append(b"one\n", offsets(1))
    file.append(b"two\n", offsets(2))
    file.close()
    return made


def overwrite(files: FaultyFiles, path: str, content: bytes) -> None:
    file = files.open(path, "create")
    file.truncate(0)
    file.pwrite(content, 0)


def refusal(files: FaultyFiles, layout: str = "append json") -> str:
    with pytest.raises(DestinationError) as caught:
        opened(files, layout)
    return str(caught.value)


def test_what_was_appended_is_there_with_its_offsets(files: FaultyFiles) -> None:
    file = opened(files)
    assert file.read() == b"one\ntwo\n"
    assert file.last.offsets == offsets(2)


def test_bytes_that_were_never_committed_are_cut_off(files: FaultyFiles) -> None:
    files.open(PATH, "write").pwrite(b"half a li", 8)
    assert opened(files).read() == b"one\ntwo\n"


def test_a_torn_entry_is_the_state_before(files: FaultyFiles) -> None:
    journal = read_file(files, f"{PATH}.offsets")
    begin = journal.rindex(b"\n", 0, -1) + 1
    for end in range(begin, len(journal)):
        overwrite(files, f"{PATH}.offsets", journal[:end])
        file = opened(files)
        assert file.last.offsets == offsets(1)
        assert file.read() == b"one\n"
        overwrite(files, PATH, b"one\ntwo\n")
        file.close()


@pytest.mark.parametrize("index", [0, 5, 9, 40])
def test_a_damaged_entry_before_a_whole_one_is_no_torn_one(files: FaultyFiles, index: int) -> None:
    journal = bytearray(read_file(files, f"{PATH}.offsets"))
    journal[index] ^= 1
    overwrite(files, f"{PATH}.offsets", bytes(journal))
    assert "is damaged" in refusal(files)


def test_an_empty_journal_is_damaged(files: FaultyFiles) -> None:
    overwrite(files, f"{PATH}.offsets", b"")
    assert "is damaged" in refusal(files)


def test_a_file_that_is_gone_or_shorter_is_refused(files: FaultyFiles) -> None:
    overwrite(files, PATH, b"one\n")
    assert "has 4 bytes, but held 8" in refusal(files)
    files.unlink(PATH)
    assert "is gone, but /out/f.offsets remains" in refusal(files)


def test_a_file_without_journal_is_refused_unless_it_is_empty(files: FaultyFiles) -> None:
    files.unlink(f"{PATH}.offsets")
    assert "move it away" in refusal(files)
    overwrite(files, PATH, b"")
    assert opened(files).last.offsets == []


def test_another_layout_is_refused(files: FaultyFiles) -> None:
    assert "was written as 'append json'" in refusal(files, "upsert json")


def test_a_second_sink_on_the_file_is_refused(files: FaultyFiles) -> None:
    first = opened(files)
    assert "another sink" in refusal(files)
    first.close()
    opened(files)


def test_a_full_disk_stops_the_sink_and_nothing_that_counted_is_lost(files: FaultyFiles) -> None:
    file = opened(files)
    files.fail("write", error=errno.ENOSPC)
    with pytest.raises(DestinationError, match="/out/f: No space left on device"):
        file.append(b"three\n", offsets(3))
    with pytest.raises(DestinationError, match="an earlier write failed"):
        file.append(b"three\n", offsets(3))
    file.close()
    again = opened(files)
    assert again.read() == b"one\ntwo\n"
    again.append(b"three\n", offsets(3))
    assert again.read() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("kind", ["write", "datasync", "create", "rename", "sync_directory"])
@pytest.mark.parametrize("after", range(4))
def test_a_failure_while_replacing_leaves_the_old_content_or_the_new(
    files: FaultyFiles, kind: str, after: int
) -> None:
    file = opened(files)
    files.fail(kind, after=after, error=errno.EIO)
    with suppress(DestinationError):
        file.replace(b"all\n", offsets(3))
    again = opened(files.cut(Cut(len(files.operations), Adversary.ALL)))
    assert (again.read(), again.last.offsets) in [
        (b"one\ntwo\n", offsets(2)),
        (b"all\n", offsets(3)),
    ]


def test_a_long_journal_is_written_anew() -> None:
    files = FaultyFiles()
    files.makedirs("/out")
    journal = Journal.create(files, "/out/j", "append json")
    for sequence in range(1, 2_000):
        journal.append(
            Entry(
                sequence=sequence,
                length=sequence,
                replaced=False,
                layout="append json",
                offsets=offsets(sequence),
            )
        )
    assert files.size("/out/j") <= 1 << 16
    assert Journal.load(files, "/out/j").last.sequence == 1_999


def test_an_entry_comes_back_and_a_changed_one_does_not() -> None:
    entry = Entry(sequence=1, length=2, replaced=True, layout="x", offsets=offsets(3))
    line = encode_entry(entry).removesuffix(b"\n")
    assert decode_entry(line) == entry
    for index in range(len(line)):
        changed = bytearray(line)
        changed[index] ^= 4
        assert decode_entry(bytes(changed)) is None
