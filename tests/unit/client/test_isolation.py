"""What a reader of committed data sees of a run of batches."""

from typing import NamedTuple

import pytest

from streamlog.client.isolation import decode_visible
from streamlog.errors import CorruptRecordError
from streamlog.record import ControlType, encode_batch, encode_control_batch


class Aborted(NamedTuple):
    producer_id: int
    first_offset: int


def data(producer, offset, *values, transactional=True):
    return bytes(
        encode_batch(
            [None] * len(values),
            list(values),
            [0] * len(values),
            base_offset=offset,
            producer_id=producer,
            producer_epoch=0,
            base_sequence=0,
            transactional=transactional,
        )
    )


def marker(producer, offset, kind):
    return bytes(encode_control_batch(kind, producer, 0, 0, 0, base_offset=offset))


COMMIT, ABORT = ControlType.COMMIT, ControlType.ABORT
RUN = (
    data(1, 0, b"a", b"b")
    + data(2, 2, b"c")
    + data(3, 3, b"plain", transactional=False)
    + marker(1, 4, ABORT)
    + data(1, 5, b"d")
    + marker(2, 6, COMMIT)
    + marker(1, 7, COMMIT)
)


def test_control_records_are_never_seen():
    assert decode_visible(RUN, 0, []).values == [b"a", b"b", b"c", b"plain", b"d"]


def test_an_aborted_transaction_is_left_out_and_the_producers_next_one_is_not():
    columns = decode_visible(RUN, 0, [Aborted(1, 0)])
    assert columns.values == [b"c", b"plain", b"d"]
    assert columns.offsets == [2, 3, 5]


def test_a_run_that_begins_within_the_aborted_transaction_is_left_out_to_its_marker():
    assert decode_visible(RUN, 1, [Aborted(1, 0)]).values == [b"c", b"plain", b"d"]


def test_a_transaction_that_begins_later_hides_nothing_before_it():
    assert decode_visible(RUN, 0, [Aborted(1, 5)]).values == [b"a", b"b", b"c", b"plain"]


def test_two_aborted_transactions_of_one_producer_are_told_apart():
    run = (
        data(1, 0, b"a")
        + marker(1, 1, ABORT)
        + data(1, 2, b"b")
        + marker(1, 3, COMMIT)
        + data(1, 4, b"c")
        + marker(1, 5, ABORT)
    )
    assert decode_visible(run, 0, [Aborted(1, 0), Aborted(1, 4)]).values == [b"b"]


def test_a_producer_outside_of_a_transaction_is_never_left_out():
    run = data(1, 0, b"plain", transactional=False)
    assert decode_visible(run, 0, [Aborted(1, 0)]).values == [b"plain"]


def test_records_below_the_position_are_left_out():
    assert decode_visible(RUN, 1, []).offsets == [1, 2, 3, 5]


def test_a_damaged_batch_is_an_error():
    damaged = bytearray(RUN)
    damaged[70] ^= 1
    with pytest.raises(CorruptRecordError):
        decode_visible(bytes(damaged), 0, [])
