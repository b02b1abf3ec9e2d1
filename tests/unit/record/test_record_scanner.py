from __future__ import annotations

from streamlog.record import (
    Batch,
    BatchScanner,
    Corrupt,
    End,
    NeedData,
    Torn,
    encode_batch,
    read_header,
    scan,
)

ONE = bytes(encode_batch([b"k"], [b"first"], [1]))
TWO = bytes(encode_batch([b"k"], [b"the second"], [2], base_offset=1))


def test_whole_batches_and_nothing_behind_them_end_well() -> None:
    first, second, end = scan(ONE + TWO, 100)

    assert isinstance(first, Batch)
    assert (first.position, first.header, first.data) == (100, read_header(ONE), ONE)
    assert isinstance(second, Batch)
    assert (second.position, second.data) == (100 + len(ONE), TWO)
    assert end == End(100 + len(ONE + TWO), 0)


def test_no_bytes_end_well() -> None:
    assert list(scan(b"", 7)) == [End(7, 0)]


def test_zeros_behind_the_last_batch_are_padding() -> None:
    for zeros in (1, 60, 61, 5_000):
        assert list(scan(ONE + bytes(zeros)))[1:] == [End(len(ONE), zeros)]


def test_a_header_that_is_cut_is_torn() -> None:
    assert list(scan(ONE + TWO[:60]))[1:] == [Torn(len(ONE), "60 bytes, less than a batch header")]


def test_a_batch_that_is_cut_is_torn() -> None:
    assert list(scan(ONE + TWO[:-1]))[1:] == [Torn(len(ONE), f"{len(TWO) - 1} of {len(TWO)} bytes")]


def test_a_batch_that_does_not_match_its_crc_is_corrupt() -> None:
    damaged = TWO[:-2] + b"x" + TWO[-1:]
    (_, corrupt) = scan(ONE + damaged + ONE)

    assert isinstance(corrupt, Corrupt)
    assert corrupt.position == len(ONE)
    assert corrupt.reason.startswith("CRC ")


def test_a_damaged_batch_passes_where_the_crc_is_not_asked_for() -> None:
    damaged = TWO[:-2] + b"x" + TWO[-1:]

    assert list(scan(ONE + damaged, verify=False))[2:] == [End(len(ONE + TWO), 0)]


def test_bytes_that_are_no_batch_are_corrupt() -> None:
    assert list(scan(ONE + b"\x01" * 100))[1:] == [
        Corrupt(len(ONE), "magic 1 instead of 2"),
    ]


def test_zeros_with_something_behind_them_are_corrupt() -> None:
    zeros = bytes(100)
    for behind in (b"x", ONE):
        assert list(scan(ONE + zeros + behind))[1:] == [
            Corrupt(len(ONE), "zeros, and more behind them")
        ]


def test_a_batch_over_the_limit_is_corrupt_before_it_is_collected() -> None:
    scanner = BatchScanner(max_batch_bytes=len(TWO) - 1)
    scanner.feed(ONE + TWO[:61])

    assert isinstance(scanner.next_event(), Batch)
    assert scanner.next_event() == Corrupt(len(ONE), f"a batch of {len(TWO)} bytes")


def test_the_scanner_asks_for_data_until_it_has_a_batch() -> None:
    scanner = BatchScanner()
    for byte in ONE[:-1]:
        scanner.feed(bytes([byte]))
        assert scanner.next_event() == NeedData()
    scanner.feed(ONE[-1:])

    event = scanner.next_event()
    assert isinstance(event, Batch)
    assert event.data == ONE
    assert scanner.next_event() == NeedData()
    scanner.feed_end()
    assert scanner.next_event() == End(len(ONE), 0)


def test_the_last_event_repeats() -> None:
    scanner = BatchScanner()
    scanner.feed(ONE[:20])
    scanner.feed_end()

    assert (
        scanner.next_event()
        == scanner.next_event()
        == Torn(0, "20 bytes, less than a batch header")
    )
