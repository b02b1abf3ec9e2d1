"""What a producer is given as columns."""

import pytest

from streamlog.client.columns import check_timestamps

LATEST = (1 << 63) - 2


class Tick:
    """Knows what it is as an int, as numbers of numpy do."""

    def __index__(self):
        return 7


def test_times_are_taken_as_they_are():
    times = [0, 1_700_000_000_000, 5]
    assert check_timestamps(times) is times
    assert check_timestamps((1, 2)) == [1, 2]
    assert check_timestamps([]) == []
    assert check_timestamps([1, LATEST]) == [1, LATEST]


def test_what_stands_for_an_int_becomes_one():
    assert check_timestamps([True, Tick()]) == [1, 7]


@pytest.mark.parametrize("wrong", [-1, LATEST + 1, 1 << 64])
def test_a_time_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=f"timestamp {wrong} is not in milliseconds"):
        check_timestamps([1, wrong, 2])


@pytest.mark.parametrize("wrong", [1.5, "1", None])
def test_a_time_that_is_no_integer_is_refused(wrong):
    with pytest.raises(TypeError):
        check_timestamps([1, wrong])
