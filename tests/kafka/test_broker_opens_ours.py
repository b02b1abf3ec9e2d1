"""A real broker opens partition directories of ours, and its consumers see what we see there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from our_log import (
    DELETED_TO,
    LOOKUPS,
    PUBLIC_TOPICS,
    RAW_TOPICS,
    TRANSACTIONS_TOPIC,
    our_bounds,
    our_lookups,
    our_rows,
)
from story import ISOLATIONS, Story, tell

from streamlog.record import Batch, scan

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Once

    from streamlog.record import BatchHeader
    from streamlog.topic import Isolation

TOPICS = [*PUBLIC_TOPICS, *RAW_TOPICS]


@pytest.fixture(scope="module")
def story(once: Once) -> Story:
    return Story.load(once("story", tell))


def root_of(story: Story, topic: str) -> Path:
    return story.folder / ("raw" if topic in RAW_TOPICS else "public")


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("topic", TOPICS)
def test_the_broker_has_every_record_as_we_have_it(
    story: Story, topic: str, isolation: Isolation
) -> None:
    ours = our_rows(root_of(story, topic), topic, isolation)
    assert len(ours) >= 5
    assert story.ours[topic].rows[isolation] == ours


@pytest.mark.parametrize("topic", TOPICS)
def test_the_broker_has_our_ends_and_last_stable_offsets(story: Story, topic: str) -> None:
    for isolation in ISOLATIONS:
        ours = our_bounds(root_of(story, topic), topic, isolation)
        assert story.ours[topic].bounds[isolation] == ours


@pytest.mark.parametrize("topic", TOPICS)
def test_the_broker_finds_the_offsets_of_our_timestamps(story: Story, topic: str) -> None:
    """Of a marker, too, where that is the first: ours finds the record behind it."""
    data = {(row.partition, row.offset) for row in story.ours[topic].rows["read_uncommitted"]}
    ours = our_lookups(root_of(story, topic), topic)
    assert len(ours) == len(LOOKUPS)
    for moment, offsets in story.ours[topic].lookups.items():
        for partition, (theirs, mine) in enumerate(zip(offsets, ours[moment], strict=True)):
            is_marker = theirs < mine and (partition, theirs) not in data
            assert theirs == mine or is_marker, (moment, partition)


def test_what_was_aborted_or_is_still_open_is_not_for_read_committed_there_either(
    story: Story,
) -> None:
    committed, uncommitted = (story.ours["open"].rows[each] for each in ISOLATIONS)
    assert len(uncommitted) == 180
    assert 0 < len(committed) < 90
    committed, uncommitted = (story.ours["transactions"].rows[each] for each in ISOLATIONS)
    assert len(uncommitted) - len(committed) == 12 * 3 * 2


def test_what_we_have_deleted_is_gone_there(story: Story) -> None:
    segments = sorted((story.folder / "raw" / "deleted-0").glob("*.log"))
    assert 0 < int(segments[0].stem) < DELETED_TO
    assert story.ours["deleted"].bounds["read_uncommitted"] == [(DELETED_TO, 100)]
    assert story.ours["deleted"].rows["read_uncommitted"][0].offset == DELETED_TO


def test_a_group_of_ours_goes_on_there_where_it_was(story: Story) -> None:
    assert story.committed == {"codecs": 7, "times": 4}


def test_the_broker_goes_on_with_our_transactional_ids(story: Story) -> None:
    ours, theirs = (headers(story.folder / each) for each in ("public", "continued"))
    assert theirs[: len(ours)] == ours
    data, marker = theirs[len(ours) :]
    writer_a = [each for each in ours if each.producer_id == ours[0].producer_id]
    assert data.producer_id == marker.producer_id == ours[0].producer_id
    assert data.producer_epoch > max(each.producer_epoch for each in writer_a)
    assert data.base_offset == ours[-1].next_offset
    assert marker.is_control


def headers(root: Path) -> list[BatchHeader]:
    """Of every batch in the first partition of the topic with transactions."""
    segments = sorted((root / f"{TRANSACTIONS_TOPIC}-0").glob("*.log"))
    events = [event for path in segments for event in scan(path.read_bytes())]
    return [event.header for event in events if isinstance(event, Batch)]
