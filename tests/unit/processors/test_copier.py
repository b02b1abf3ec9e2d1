"""Copies of plain JSON values are what the round trip through the text gives, or there is none."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.operators.copier import Copier
from processors.operators.plain import UNKNOWN, copy_plain
from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, DOUBLE, LONG, STRING, Serde
from streamlog.serdes.json import JsonSerde

JSON = JsonSerde()

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([(1, 2), {1: 2}, b"x", {"a", "b"}]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Colour(StrEnum):
    RED = "red"


@given(values)
def test_a_plain_copy_is_what_the_round_trip_gives(value: Any) -> None:
    copied = copy_plain(value)
    if copied is not UNKNOWN and value is not None:
        assert repr(copied) == repr(JSON.deserialize(JSON.serialize(value)))


@given(values.filter(lambda value: value is not None))
def test_a_copy_is_the_round_trip(value: Any) -> None:
    try:
        expected = repr(JSON.deserialize(JSON.serialize(value)))
    except SerializationError:
        with pytest.raises(SerializationError):
            Copier(JSON).copy(value)
    else:
        assert repr(Copier(JSON).copy(value)) == expected


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    inner = [1]
    value = {"a": [inner], "b": {"c": inner}}
    copied = copy_plain(value)
    inner.append(2)
    assert copied == {"a": [[1]], "b": {"c": [1]}}


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, 1 << 63, "\ud800", "ä", (1,), {1: 1}, Colour.RED, [Colour.RED], b""],
)
def test_what_is_not_plain_to_see_is_unknown(value: object) -> None:
    assert copy_plain(value) is UNKNOWN


def test_a_value_within_itself_is_unknown_and_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert copy_plain(endless) is UNKNOWN
    with pytest.raises(SerializationError):
        Copier(JSON).copy(endless)


@pytest.mark.parametrize(
    ("serde", "good", "bad"),
    [(LONG, [0, -(1 << 63), (1 << 63) - 1], [1 << 63, True, 1.0]), (DOUBLE, [1.5, math.inf], ["x"]),
     (STRING, ["", "ä"], ["\ud800", 1]), (BYTES, [b"x"], ["x"])],
)  # fmt: skip
def test_an_immutable_value_is_checked_and_kept(
    serde: Serde[Any], good: list[Any], bad: list[Any]
) -> None:
    copier = Copier(serde)
    for value in good:
        assert copier.copy(value) is value
    for value in bad:
        with pytest.raises(SerializationError):
            copier.copy(value)


def test_a_subclass_is_kept_as_what_it_is_read_as() -> None:
    kept = Copier(STRING).copy(Colour.RED)
    assert type(kept) is str
    assert kept == "red"
