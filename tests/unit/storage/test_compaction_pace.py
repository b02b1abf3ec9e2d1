"""How long compaction rests between its steps."""

from __future__ import annotations

from streamlog.storage.compaction_pace import REMEMBERED, REST, Pace


def test_alone_it_never_rests() -> None:
    assert Pace().rest_s(1 << 20, 0.010, 0.009) == 0.0


def test_where_it_had_to_wait_for_others_it_rests_longer_than_it_works() -> None:
    assert Pace().rest_s(1 << 20, 0.020, 0.005) == REST * 0.005


def test_it_stays_courteous_for_a_while() -> None:
    pace = Pace()
    pace.rest_s(1, 0.020, 0.005)
    for _ in range(REMEMBERED - 1):
        assert pace.rest_s(1, 0.005, 0.005) == REST * 0.005
    assert pace.rest_s(1, 0.005, 0.005) == 0.0


def test_a_step_too_short_to_be_measured_says_nothing() -> None:
    assert Pace().rest_s(1, 0.0001, 0.00001) == 0.0


def test_it_keeps_to_a_limit_in_bytes_a_second() -> None:
    assert Pace(1_000_000).rest_s(500_000, 0.1, 0.1) == 0.4
    assert Pace(1_000_000).rest_s(50_000, 0.1, 0.1) == 0.0


def test_the_longer_of_both_rests_counts() -> None:
    assert Pace(1_000_000).rest_s(500_000, 0.1, 0.001) == 0.4
    assert Pace(1_000_000).rest_s(500_000, 0.3, 0.1) == REST * 0.1
