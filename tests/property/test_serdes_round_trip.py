"""Serdes: round trips, and only our errors on any input."""

from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, DOUBLE, LONG, STRING, serde_for

JSON = serde_for("json")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LONGS = st.integers(-(2**63), 2**63 - 1)
VALUES = {
    STRING: TEXT,
    BYTES: st.binary(),
    LONG: LONGS,
    DOUBLE: st.floats(allow_nan=False),
    JSON: st.recursive(
        st.booleans() | LONGS | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
        max_leaves=8,
    ),
}
SERDES = st.sampled_from(list(VALUES))


@given(st.data(), SERDES)
def test_a_column_comes_back(data, serde):
    column = data.draw(st.lists(st.none() | VALUES[serde]))
    written = serde.serialize_column(column)
    assert written == [None if value is None else serde.serialize(value) for value in column]
    assert serde.deserialize_column(written) == column


@given(SERDES, st.lists(st.none() | st.binary()))
def test_any_bytes_are_read_or_refused_with_the_first_bad_row(serde, column):
    expected = first_bad(lambda item: item is None or serde.deserialize(item), column)
    assert first_bad_row(serde.deserialize_column, column) == expected


@given(st.lists(st.none() | TEXT | LONGS | st.booleans() | st.floats() | st.binary()), SERDES)
def test_any_values_are_written_or_refused_with_the_first_bad_row(column, serde):
    expected = first_bad(lambda value: value is None or serde.serialize(value), column)
    assert first_bad_row(serde.serialize_column, column) == expected


@given(st.lists(TEXT | LONGS | st.booleans() | st.floats() | st.binary()), SERDES)
def test_exact_keys_are_equal_exactly_when_their_bytes_are(values, serde):
    if not serde.exact_keys:
        return
    keys = [value for value in values if writable(serde, value)]
    for one in keys:
        for other in values:
            same = writable(serde, other) and serde.serialize(one) == serde.serialize(other)
            assert (one == other) == same


def first_bad(convert, column):
    """The index of the first item that `convert` refuses, or None."""
    return next(
        (i for i, item in enumerate(column) if first_bad_row(convert, item) is not None), None
    )


def first_bad_row(convert, argument):
    """The index in the error that `convert` raises, or None where it raises none."""
    try:
        convert(argument)
    except SerializationError as error:
        return error.index
    return None


def writable(serde, value):
    return first_bad_row(serde.serialize, value) is None
