"""Which log is cleaned next, how far, and what becomes one segment."""

from __future__ import annotations

from dataclasses import dataclass

from streamlog.storage.cleanable import (
    CleanableLog,
    Round,
    choose_round,
    due_round,
    group_segments,
    plan_round,
)
from streamlog.storage.topic_config import TopicConfig
from streamlog.topic import TopicPartition

NOW = 1_000_000


@dataclass
class Piece:
    """A segment of 10 offsets and 100 bytes, if nothing else is said."""

    base_offset: int
    size_bytes: int = 100
    time: int = 1000

    def first_timestamp(self) -> int:
        return self.time

    def max_timestamp(self) -> int:
        return self.time


def log(*pieces: Piece, topic: str = "t", **fields: int | None) -> CleanableLog:
    config = {name: value for name, value in fields.items() if name.endswith("_ms")}
    rest = {name: value for name, value in fields.items() if not name.endswith("_ms")}
    end = pieces[-1].base_offset + 10
    defaults = {
        "log_start_offset": 0,
        "log_end_offset": end,
        "stable_offset": end,
        "cleaned_offset": None,
    }
    return CleanableLog(
        topic_partition=TopicPartition(topic, 0),
        segments=pieces,
        config=TopicConfig(**config),  # type: ignore[arg-type]
        **(defaults | rest),  # type: ignore[arg-type]
    )


def pieces(count: int) -> list[Piece]:
    return [Piece(10 * number) for number in range(count)]


def test_everything_below_the_active_segment_is_dirty_at_first() -> None:
    assert plan_round(log(*pieces(4)), NOW) == Round(
        topic_partition=TopicPartition("t", 0),
        first_dirty_offset=0,
        end_offset=30,
        clean_bytes=0,
        dirty_bytes=300,
        overdue=False,
    )


def test_what_was_cleaned_counts_as_clean() -> None:
    found = plan_round(log(*pieces(5), cleaned_offset=30), NOW)
    assert (found.first_dirty_offset, found.end_offset) == (30, 40)
    assert (found.clean_bytes, found.dirty_bytes, found.dirty_ratio) == (300, 100, 0.25)


def test_a_checkpoint_outside_the_log_says_nothing() -> None:
    assert plan_round(log(*pieces(3), cleaned_offset=31), NOW).first_dirty_offset == 0
    found = plan_round(log(*pieces(3), cleaned_offset=3, log_start_offset=5), NOW)
    assert found.first_dirty_offset == 5


def test_a_segment_with_an_open_transaction_is_left_alone() -> None:
    assert plan_round(log(*pieces(4), stable_offset=19), NOW).end_offset == 10
    assert plan_round(log(*pieces(4), stable_offset=20), NOW).end_offset == 20
    assert plan_round(log(*pieces(4), stable_offset=5), NOW).end_offset == 0


def test_a_segment_younger_than_the_minimum_lag_is_left_alone() -> None:
    young = [Piece(0), Piece(10, time=NOW - 5), Piece(20), Piece(30)]
    assert plan_round(log(*young, min_compaction_lag_ms=10), NOW).end_offset == 10
    assert plan_round(log(*young, min_compaction_lag_ms=5), NOW).end_offset == 30


def test_a_log_is_due_when_more_than_half_of_it_is_dirty() -> None:
    assert due_round(log(*pieces(5), cleaned_offset=20), NOW) is None
    assert due_round(log(*pieces(6), cleaned_offset=20), NOW) is not None


def test_a_log_is_due_when_its_oldest_dirty_record_is_too_old() -> None:
    at_last = log(*pieces(9), cleaned_offset=70, max_compaction_lag_ms=NOW - 1001)
    assert due_round(at_last, NOW) is not None
    not_yet = log(*pieces(9), cleaned_offset=70, max_compaction_lag_ms=NOW - 1000)
    assert due_round(not_yet, NOW) is None


def test_the_dirtiest_log_comes_first() -> None:
    logs = [
        log(*pieces(6), cleaned_offset=20, topic="some"),
        log(*pieces(6), cleaned_offset=10, topic="more"),
        log(*pieces(6), cleaned_offset=20, topic="as much"),
    ]
    found = choose_round(filter(None, (due_round(each, NOW) for each in logs)))
    assert found is not None
    assert found.topic_partition.topic == "more"


def test_logs_with_nothing_to_clean_are_passed_over() -> None:
    for each in (log(Piece(0)), log(*pieces(3), cleaned_offset=20)):
        assert due_round(each, NOW) is None


def bases(groups: list[list[Piece]]) -> list[list[int]]:
    return [[piece.base_offset for piece in group] for group in groups]


def test_neighbours_become_one_segment_up_to_its_size() -> None:
    config = TopicConfig(segment_bytes=250)
    groups = group_segments(pieces(5), [0] * 5, 50, config)
    assert bases(groups) == [[0, 10], [20, 30], [40]]


def test_neighbours_become_one_segment_up_to_the_size_of_its_index() -> None:
    config = TopicConfig(segment_index_bytes=20)
    groups = group_segments(pieces(3), [8, 16, 8], 30, config)
    assert bases(groups) == [[0], [10], [20]]
    assert bases(group_segments(pieces(3), [8, 8, 8], 30, config)) == [[0, 10], [20]]


def test_neighbours_whose_offsets_are_too_far_apart_stay_two() -> None:
    far = [Piece(0), Piece(1 << 31), Piece((1 << 31) + 10)]
    config = TopicConfig()
    assert bases(group_segments(far, [0] * 3, (1 << 31) + 20, config)) == [
        [0],
        [1 << 31, (1 << 31) + 10],
    ]
    near = [Piece(0), Piece(10)]
    assert bases(group_segments(near, [0] * 2, 1 << 31, config)) == [[0, 10]]
    assert bases(group_segments(near, [0] * 2, (1 << 31) + 1, config)) == [[0], [10]]


def test_no_segments_make_no_groups() -> None:
    assert group_segments([], [], 0, TopicConfig()) == []
