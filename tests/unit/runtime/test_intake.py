"""What was fetched and waits to run: when the order of what comes next is chosen."""

from __future__ import annotations

import pytest

from processors.runtime.intake import Intake
from streamlog.client.contract import FetchedColumns, TopicPartition


def fetched(topic: str, times: list[int], first: int = 0) -> FetchedColumns:
    return FetchedColumns(
        topic=topic,
        partition=0,
        keys=[None] * len(times),
        values=[b"v"] * len(times),
        timestamps=times,
        offsets=list(range(first, first + len(times))),
        headers=None,
        next_offset=first + len(times) + 5,
    )


def take(intake: Intake, count: int) -> list[tuple[str, int, int]]:
    taken = intake.next_round(0, count)
    assert taken is not None
    return taken[0].coordinates(range(count))


@pytest.fixture
def intake() -> Intake:
    made = Intake([TopicPartition("a", 0), TopicPartition("b", 0)], {}, {})
    made.feed(fetched("a", [1, 3, 5, 7]))
    assert take(made, 1) == [("a", 0, 0)]
    return made


def test_a_fetch_without_records_leaves_the_order_as_it_was_chosen(intake: Intake) -> None:
    chosen = intake._block  # pyright: ignore[reportPrivateUsage] # no result tells it
    assert chosen is not None
    intake.feed(fetched("b", []))
    assert intake._block is chosen  # pyright: ignore[reportPrivateUsage]
    assert take(intake, 3) == [("a", 0, 1), ("a", 0, 2), ("a", 0, 3)]
    assert intake.positions() == {TopicPartition("a", 0): 9, TopicPartition("b", 0): 5}


def test_records_of_a_source_that_had_none_come_where_their_times_are(intake: Intake) -> None:
    intake.feed(fetched("b", [2, 4]))
    assert take(intake, 3) == [("b", 0, 0), ("a", 0, 1), ("b", 0, 1)]
