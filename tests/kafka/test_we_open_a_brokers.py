"""We adopt partition directories of a real broker, and see there what its consumers see."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest
from broker_topics import THEIR_TOPICS
from our_log import TRANSACTIONS_TOPIC, bounds, lookups, read_topic
from story import INTERNAL_TOPICS, ISOLATIONS, THEIR_GROUP, TRIMMED_TO, Story, tell

import streamlog
from streamlog.coordination import TransactionState, read_coordination
from streamlog.errors import DirectoryLockedError
from streamlog.record import Batch, Codec, scan
from streamlog.storage import LogDirectory
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from pathlib import Path

    from broker import KafkaBroker
    from conftest import Once

    from streamlog.record import BatchHeader

STOPS = ["clean", "killed"]
FOREVER = {"retention.ms": "-1"}
"""As the broker keeps its topics, in which the records are years old."""


@pytest.fixture(scope="module")
def story(once: Once) -> Story:
    return Story.load(once("story", tell))


@pytest.fixture(scope="module")
def adopted(story: Story, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A log of ours for each way in which the broker stopped, with all of its topics."""
    roots = {stop: tmp_path_factory.mktemp(stop) for stop in STOPS}
    for stop, root in roots.items():
        with LogDirectory.open(root, durability="os") as directory:
            for topic in THEIR_TOPICS:
                directory.adopt_topic(topic, story.folder / stop, FOREVER)
    return roots


@pytest.mark.parametrize("topic", THEIR_TOPICS)
@pytest.mark.parametrize("stop", STOPS)
def test_we_see_what_the_brokers_consumers_saw(
    story: Story, adopted: dict[str, Path], stop: str, topic: str
) -> None:
    seen = (story.clean if stop == "clean" else story.killed)[topic]
    with streamlog.open(adopted[stop], read_only=True) as log:
        for isolation in ISOLATIONS:
            assert read_topic(log, topic, isolation) == seen.rows[isolation]
            assert bounds(log, topic, isolation) == seen.bounds[isolation]
        ours = lookups(log, topic)
    data = {(row.partition, row.offset) for row in seen.rows["read_uncommitted"]}
    for moment, offsets in seen.lookups.items():
        for partition, (theirs, mine) in enumerate(zip(offsets, ours[moment], strict=True)):
            assert theirs == mine or (theirs < mine and (partition, theirs) not in data)


def test_what_was_compared_has_everything_in_it(story: Story) -> None:
    """Codecs, open transactions, a start above zero, and all that compaction leaves."""
    for topic in ("java", "librdkafka"):
        assert {header.codec for header in headers(story.folder / "clean", topic)} == set(Codec)
    cleaned = headers(story.folder / "clean", "compacted")
    assert any(not header.record_count for header in cleaned)
    assert any(header.has_delete_horizon for header in cleaned)
    pairs = itertools.pairwise(cleaned)
    assert any(header.next_offset < following.base_offset for header, following in pairs)
    assert story.clean["trimmed"].bounds["read_uncommitted"][0][0] == TRIMMED_TO
    for stop, topic in (("clean", "java-transactions"), ("killed", "librdkafka-transactions")):
        committed, uncommitted = ((getattr(story, stop))[topic].bounds[each] for each in ISOLATIONS)
        assert all(c[1] < u[1] for c, u in zip(committed, uncommitted, strict=True))


@pytest.mark.parametrize("stop", STOPS)
def test_what_was_open_there_is_aborted_when_the_log_opens(
    adopted: dict[str, Path], stop: str, tmp_path: Path
) -> None:
    root = shutil.copytree(adopted[stop], tmp_path / "log")
    topic = "java-transactions"
    with streamlog.open(root, read_only=True) as log:
        before = read_topic(log, topic, "read_committed")
    with streamlog.open(root, durability="os") as log:
        after = read_topic(log, topic, "read_committed")
        everything = read_topic(log, topic, "read_uncommitted")
        committed, uncommitted = (bounds(log, topic, each) for each in ISOLATIONS)
    assert committed == uncommitted
    assert len(before) < len(after) < len(everything)


def test_an_application_adopts_a_topic_with_every_transaction_ended(
    story: Story, tmp_path: Path
) -> None:
    for stop, topic in (("clean", "java-transactions"), ("killed", "librdkafka-transactions")):
        with streamlog.open(tmp_path / stop, durability="os") as log:
            log.adopt_topic(topic, story.folder / stop, config=FOREVER)
            committed, uncommitted = (read_topic(log, topic, each) for each in ISOLATIONS)
            ends = [bounds(log, topic, each) for each in ISOLATIONS]
        seen = (story.clean if stop == "clean" else story.killed)[topic].rows
        assert uncommitted == seen["read_uncommitted"]
        assert ends[0] == ends[1]
        assert set(seen["read_committed"]) <= set(committed) < set(uncommitted)


def test_we_read_the_brokers_own_coordinators(story: Story, tmp_path: Path) -> None:
    """Its committed offsets, and how far its transactions are."""
    with LogDirectory.open(tmp_path, durability="os") as directory:
        for topic in INTERNAL_TOPICS:
            directory.adopt_topic(topic, story.folder / "killed")
        transactions, offsets = read_coordination(directory)
    partitions = {TopicPartition(topic, 0): each for topic, each in story.their_committed.items()}
    assert partitions == offsets[THEIR_GROUP]
    assert set(story.their_committed.values()) == {5, 4}
    states = {each.transactional_id: each for each in transactions}
    for name, topic in (
        ("java-a", "java-transactions"),
        ("killed-open", "librdkafka-transactions"),
    ):
        assert states[name].state is TransactionState.ONGOING
        assert set(states[name].partitions) == {TopicPartition(topic, each) for each in (0, 1)}
    assert states["killed-committed"].state is TransactionState.COMPLETE_COMMIT
    assert states["writer-a"].state is TransactionState.COMPLETE_COMMIT  # first ours, then its


def test_producers_of_ours_go_on_in_a_brokers_partitions(story: Story, tmp_path: Path) -> None:
    """Their ids begin at 0 like the broker's did, and must not be taken for those."""
    root = tmp_path / "log"
    with streamlog.open(root, durability="os") as log:
        for topic in THEIR_TOPICS:
            log.adopt_topic(topic, story.folder / "killed", config=FOREVER)
    with streamlog.open(root, durability="os") as log:
        before = {topic: read_topic(log, topic, "read_committed") for topic in THEIR_TOPICS}
        for number in range(12):
            with log.producer(transactional_id=f"ours-{number}") as producer:
                producer.begin_transaction()
                for topic in THEIR_TOPICS:
                    producer.send(topic, b"k", b"%d" % number, partition=0)
                producer.commit_transaction()
    with streamlog.open(root, durability="os") as log:
        for topic in THEIR_TOPICS:
            after = [row for row in read_topic(log, topic, "read_committed") if row.partition == 0]
            kept = [row for row in before[topic] if row.partition == 0]
            assert after[: len(kept)] == kept
            assert [row.value for row in after[len(kept) :]] == [b"%d" % each for each in range(12)]


def test_a_log_of_ours_that_a_broker_has_continued_comes_back(story: Story, tmp_path: Path) -> None:
    with LogDirectory.open(tmp_path, durability="os") as directory:
        folder = story.folder / "continued"
        directory.adopt_topic("back", folder, FOREVER, source_name=TRANSACTIONS_TOPIC)
    with streamlog.open(tmp_path, read_only=True) as log:
        rows = read_topic(log, "back", "read_committed")
    ours = story.ours[TRANSACTIONS_TOPIC].rows["read_committed"]
    theirs = [row for row in rows if row.value == b"by librdkafka"]
    assert len(theirs) == 1
    assert [row for row in rows if row not in theirs] == ours


def test_nothing_is_taken_from_under_a_broker_that_runs(kafka: KafkaBroker, tmp_path: Path) -> None:
    with (
        streamlog.open(tmp_path) as log,
        pytest.raises(DirectoryLockedError, match=str(kafka.data_directory)),
    ):
        log.adopt_topic("any", kafka.data_directory)


def headers(root: Path, topic: str) -> list[BatchHeader]:
    """Of every batch in the topic's first partition."""
    segments = sorted((root / f"{topic}-0").glob("*.log"))
    events = [event for path in segments for event in scan(path.read_bytes())]
    return [event.header for event in events if isinstance(event, Batch)]
