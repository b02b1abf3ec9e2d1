"""Whole batches are found around damage, and nothing is taken for one that is none."""

from __future__ import annotations

import pytest

from streamlog.files import write_file
from streamlog.record import encode_batch
from streamlog.storage.inspect.salvage import Ended, Lost, Piece, Salvage, Whole
from streamlog.testing import FaultyFiles

PATH = "/segment"


def batch(base_offset: int, *values: bytes) -> bytes:
    columns = [None] * len(values), list(values), [1_000] * len(values)
    return bytes(encode_batch(*columns, base_offset=base_offset))


ONE, TWO, THREE = batch(0, b"a", b"b"), batch(2, b"c" * 50), batch(3, b"d", b"e", b"f")


def pieces(content: bytes, *, offset: int = 0, gaps: bool = False) -> list[Piece]:
    files = FaultyFiles()
    write_file(files, PATH, content)
    return list(Salvage(files.open(PATH), offset, gaps=gaps).pieces())


def shown(found: list[Piece]) -> list[str]:
    """`3` is a whole batch at offset 3, `3!` a restored one, `-` is lost."""
    names: list[str] = []
    for piece in found:
        match piece:
            case Whole(header=header, mended=mended):
                names.append(f"{header.base_offset}{'!' if mended else ''}")
            case Lost():
                names.append("-")
            case Ended(padding_bytes=padding):
                names += ["zeros"] if padding else []
    return names


def changed(data: bytes, position: int, value: int) -> bytes:
    return data[:position] + bytes([value]) + data[position + 1 :]


def test_a_whole_file_is_its_batches() -> None:
    assert shown(pieces(ONE + TWO + THREE)) == ["0", "2", "3"]
    assert shown(pieces(ONE + bytes(100))) == ["0", "zeros"]
    assert shown(pieces(b"")) == []


def test_what_is_before_and_behind_a_damaged_batch_is_whole() -> None:
    found = pieces(ONE + changed(TWO, 80, 0) + THREE)
    assert shown(found) == ["0", "-", "3"]
    lost = found[1]
    assert isinstance(lost, Lost)
    assert (lost.position, lost.end_position, lost.offset) == (len(ONE), len(ONE + TWO), 2)
    assert "CRC" in lost.reason


@pytest.mark.parametrize(
    ("position", "value", "said"),
    [
        pytest.param(7, 9, "base offset 9 instead of 2", id="offset"),
        pytest.param(11, 0, "batch length 0 instead of", id="length"),
        pytest.param(8, 1, "batch length", id="length beyond the file"),
        pytest.param(16, 5, "magic 5 instead of 2", id="magic"),
    ],
)
def test_a_field_outside_of_the_checksum_is_restored(position: int, value: int, said: str) -> None:
    found = pieces(ONE + changed(TWO, position, value) + THREE)
    assert shown(found) == ["0", "2!", "3"]
    restored = found[1]
    assert isinstance(restored, Whole)
    assert restored.data == TWO
    assert restored.mended.startswith(said)


def test_a_whole_header_that_is_gone_loses_one_batch() -> None:
    assert shown(pieces(ONE + bytes(61) + TWO[61:] + THREE)) == ["0", "-", "3"]


def test_a_file_that_ends_inside_of_a_batch_is_torn() -> None:
    lost = pieces(ONE + TWO[:-5])[1]
    assert isinstance(lost, Lost)
    assert lost.torn


def test_a_batch_inside_of_a_value_is_not_the_logs() -> None:
    inner = batch(4, b"never written") + batch(5, b"nor this")
    outer = batch(2, inner, b"and more")
    for position in (8, 11, 16, 90):
        damaged = changed(changed(outer, position, 7), 30, 7)
        following = batch(4, b"x") + batch(5, b"y")
        assert shown(pieces(ONE + damaged + following)) == ["0", "-", "4", "5"], position
        found = [piece for piece in pieces(ONE + damaged + following) if isinstance(piece, Whole)]
        assert b"never written" not in b"".join(piece.data for piece in found)


def test_a_batch_whose_place_cannot_be_told_is_lost() -> None:
    assert shown(pieces(ONE + batch(0, b"again", b"and", b"again"))) == ["0", "-"]
    assert shown(pieces(ONE + batch(9, b"far", b"off") + THREE, gaps=True)) == ["0", "-", "-"]


def test_offsets_may_be_missing_where_compaction_has_been() -> None:
    assert shown(pieces(ONE + batch(9, b"far") + batch(20, b"farther"), gaps=True)) == [
        "0",
        "9",
        "20",
    ]


@pytest.mark.parametrize("magic", [0, 1])
def test_the_old_formats_of_kafka_are_named(magic: int) -> None:
    lost = pieces(changed(changed(ONE, 16, magic), 70, 9))[0]
    assert isinstance(lost, Lost)
    assert "Kafka before 0.11" in lost.reason
