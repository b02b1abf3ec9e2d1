"""Passes over columns, compiled or not."""

import enum

import pytest

from streamlog.serdes.kernel import apply_all, decode_texts, types_of


class Colour(enum.StrEnum):
    RED = "red"


def test_all_types_of_a_column_are_found_whatever_their_order():
    assert types_of([]) == set()
    assert types_of([1, 2, True, 3, None, True]) == {int, bool, type(None)}
    assert types_of(["red", Colour.RED]) == {str, Colour}


def test_a_function_is_called_once_an_item_and_what_it_raises_is_raised():
    calls = []

    def half(item):
        calls.append(item)
        return 6 // item

    assert apply_all(half, [1, 2, 3]) == [6, 3, 2]
    with pytest.raises(ZeroDivisionError):
        apply_all(half, [1, 0, 3])
    assert calls == [1, 2, 3, 1, 0]


def test_a_function_that_stops_an_iteration_does_not_end_the_column():
    with pytest.raises(StopIteration):
        apply_all(lambda item: next(iter([])), [1, 2])


def test_texts_are_strict_utf_8_and_nothing_but_bytes_is_read():
    assert decode_texts([b"", "Zürich €".encode(), b"a"]) == ["", "Zürich €", "a"]
    for item in (None, "text", bytearray(b"a"), memoryview(b"a")):
        with pytest.raises(TypeError):
            decode_texts([b"a", item])
    with pytest.raises(UnicodeDecodeError):
        decode_texts([b"\xff"])
