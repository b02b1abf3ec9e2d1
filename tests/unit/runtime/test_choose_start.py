"""Which checkpoint is trusted, and which store is rebuilt from its changelog's start, and why."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from processors.runtime.restore import Changelog, Start, choose_start
from processors.state.position import Position
from streamlog.client.contract import TopicPartition

TOPIC_ID = UUID(int=1)
BOOT, OTHER_BOOT = UUID(int=5), UUID(int=6)
CHANGELOG = Changelog(
    partition=TopicPartition("app-counts-changelog", 0),
    topic_id=TOPIC_ID,
    log_start_offset=10,
    end_offset=100,
)
POSITION = Position(topic_id=TOPIC_ID, offset=50, wall_time_ms=1_000)


def test_a_position_within_bounds_is_where_the_restore_begins() -> None:
    assert choose_start(POSITION, CHANGELOG, now_ms=1 << 50) == Start(50)


@pytest.mark.parametrize("offset", [10, 100])
def test_the_bounds_themselves_are_within(offset: int) -> None:
    at = replace(POSITION, offset=offset)
    assert choose_start(at, CHANGELOG, now_ms=0) == Start(offset)


def test_a_store_without_position_begins_at_the_log_start() -> None:
    assert choose_start(None, CHANGELOG, now_ms=0) == Start(10)


@pytest.mark.parametrize("offset", [9, 101])
def test_a_position_outside_the_changelog_rebuilds(offset: int) -> None:
    start = choose_start(replace(POSITION, offset=offset), CHANGELOG, now_ms=0)
    assert start.offset == 10
    assert "outside" in (start.rebuild or "")


def test_a_changelog_made_again_rebuilds() -> None:
    start = choose_start(replace(POSITION, topic_id=UUID(int=2)), CHANGELOG, now_ms=0)
    assert start == Start(10, "its changelog was deleted and made again")


def test_a_checkpoint_older_than_the_tombstones_rebuilds() -> None:
    compacted = replace(CHANGELOG, delete_retention_ms=86_400_000)
    assert choose_start(POSITION, compacted, now_ms=86_400_999) == Start(50)
    start = choose_start(POSITION, compacted, now_ms=86_401_000)
    assert "24 hours old" in (start.rebuild or "")


def test_a_store_that_is_at_the_end_misses_no_tombstone_however_old_it_is() -> None:
    compacted = replace(CHANGELOG, delete_retention_ms=86_400_000)
    at = replace(POSITION, offset=CHANGELOG.end_offset)
    assert choose_start(at, compacted, now_ms=1 << 50) == Start(CHANGELOG.end_offset)


def test_another_boot_rebuilds_only_where_the_log_is_not_synced() -> None:
    written = replace(POSITION, boot_id=BOOT)
    assert choose_start(written, CHANGELOG, now_ms=0) == Start(50)
    assert choose_start(written, CHANGELOG, now_ms=0, boot_id=BOOT) == Start(50)
    assert choose_start(POSITION, CHANGELOG, now_ms=0, boot_id=BOOT) == Start(50)
    start = choose_start(written, CHANGELOG, now_ms=0, boot_id=OTHER_BOOT)
    assert start.offset == 10
    assert start.rebuild
