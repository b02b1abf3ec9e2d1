"""The serdes for str, bytes, int and float write Kafka's formats, row by row and in columns."""

import math

import pytest

from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, DOUBLE, LONG, RAW, STRING

WRITTEN = [
    (STRING, "lot-7", b"lot-7"),
    (STRING, "über", b"\xc3\xbcber"),
    (STRING, "", b""),
    (BYTES, b"\x00\xff", b"\x00\xff"),
    (BYTES, bytearray(b"ab"), b"ab"),
    (BYTES, memoryview(b"ab"), b"ab"),
    (LONG, 1, b"\0\0\0\0\0\0\0\1"),
    (LONG, -1, b"\xff" * 8),
    (LONG, 2**63 - 1, b"\x7f" + b"\xff" * 7),
    (LONG, -(2**63), b"\x80" + b"\0" * 7),
    (DOUBLE, 1.0, b"\x3f\xf0" + b"\0" * 6),
    (DOUBLE, 1, b"\x3f\xf0" + b"\0" * 6),
    (DOUBLE, -0.0, b"\x80" + b"\0" * 7),
    (DOUBLE, math.inf, b"\x7f\xf0" + b"\0" * 6),
    (RAW, "lot-7", b"lot-7"),
    (RAW, b"lot-7", b"lot-7"),
]

REFUSED = [
    (STRING, b"bytes"),
    (STRING, 7),
    (STRING, "\ud800"),
    (BYTES, "text"),
    (BYTES, 7),
    (LONG, True),
    (LONG, 1.0),
    (LONG, "1"),
    (LONG, 2**63),
    (LONG, -(2**63) - 1),
    (DOUBLE, False),
    (DOUBLE, "1.0"),
    (DOUBLE, 10**400),
    (RAW, 7),
    (RAW, "\ud800"),
]

UNREADABLE = [
    (STRING, b"\xff"),
    (STRING, b"\xc3"),
    (LONG, b""),
    (LONG, b"1234567"),
    (LONG, b"123456789"),
    (DOUBLE, b"1234567"),
]


@pytest.mark.parametrize(("serde", "value", "data"), WRITTEN)
def test_a_value_is_written_as_kafka_writes_it(serde, value, data):
    assert serde.serialize(value) == data
    assert type(serde.serialize(value)) is bytes
    assert serde.serialize_column([value, None, value]) == [data, None, data]
    assert serde.serialize_column([value, value]) == [data, data]


@pytest.mark.parametrize(("serde", "value", "data"), WRITTEN)
def test_what_was_written_is_read_back(serde, value, data):
    read = serde.deserialize(data)
    assert serde.serialize(read) == data
    assert serde.deserialize_column([data, None, data]) == [read, None, read]
    assert serde.deserialize_column([data, data]) == [read, read]


@pytest.mark.parametrize(("serde", "value"), REFUSED)
def test_a_value_of_another_kind_is_refused_with_its_row(serde, value):
    good = {"str": "a", "bytes": b"a", "int": 1, "float": 1.0, "raw": b"a"}[serde.name]
    with pytest.raises(SerializationError):
        serde.serialize(value)
    for rows in ([good, good, value], [None, good, value, good, value]):
        with pytest.raises(SerializationError) as caught:
            serde.serialize_column(rows)
        assert caught.value.index == 2


@pytest.mark.parametrize(("serde", "data"), UNREADABLE)
def test_bytes_of_another_kind_are_refused_with_their_row(serde, data):
    good = b"12345678"
    with pytest.raises(SerializationError):
        serde.deserialize(data)
    for rows in ([good, good, data], [None, good, data, good]):
        with pytest.raises(SerializationError) as caught:
            serde.deserialize_column(rows)
        assert caught.value.index == rows.index(data)


def test_two_wrong_sizes_that_add_up_to_a_right_one_are_found():
    with pytest.raises(SerializationError) as caught:
        LONG.deserialize_column([b"12345678", b"1234567", b"123456789"])
    assert caught.value.index == 1


@pytest.mark.parametrize("serde", [STRING, BYTES, LONG, DOUBLE, RAW])
def test_none_alone_has_no_bytes_and_the_error_says_what_to_do(serde):
    with pytest.raises(SerializationError, match="pass it on as None"):
        serde.serialize(None)


@pytest.mark.parametrize("serde", [STRING, BYTES, LONG, DOUBLE, RAW])
def test_an_empty_column_stays_empty(serde):
    assert serde.serialize_column([]) == []
    assert serde.deserialize_column([]) == []


def test_only_str_and_bytes_keys_are_exact():
    assert STRING.exact_keys
    assert BYTES.exact_keys
    assert not LONG.exact_keys, "True and 1.0 would be found among ints"
    assert not DOUBLE.exact_keys, "0.0 and -0.0 have different bytes"


def test_a_written_column_does_not_follow_a_bytearray_that_changes():
    buffer = bytearray(b"before")
    written = BYTES.serialize_column([buffer])
    buffer[:] = b"after!"
    assert written == [b"before"]
