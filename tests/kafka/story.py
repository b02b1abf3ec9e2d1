"""One broker's life, from which most tests here take their files: it is told once a run.

1. The broker starts; Java's and librdkafka's producers fill topics, it compacts two of them.
2. It stops cleanly. Its directory as it is now: `clean`.
3. Partitions of ours take the place of partitions of its own that have the same names.
4. It starts again, and all of ours is consumed. librdkafka goes on with a transactional id of ours
   and leaves a transaction of its own open.
5. It is killed. Its directory as it is now: `killed`, and of ours: `continued`.

`Story.load` gives what its consumers saw on the way.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from broker import KafkaBroker, java
from broker_topics import (
    THEIR_TOPICS,
    WAIT_S,
    broker_bounds,
    broker_lookups,
    broker_rows,
    create_topics,
    fill_by_librdkafka,
    fill_compacted,
    producer,
)
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from our_log import (
    GROUP,
    PUBLIC_TOPICS,
    RAW_TOPICS,
    START,
    TRANSACTIONS_TOPIC,
    Row,
    partition_directories,
    write_public,
    write_raw,
)

if TYPE_CHECKING:
    from typing import Self

    from streamlog.topic import Isolation

FILL = Path(__file__).with_name("Fill.java")
SETTINGS = {
    "offsets.topic.num.partitions": "50",
    "transaction.state.log.num.partitions": "50",
    "log.cleaner.backoff.ms": "50",
    "log.initial.task.delay.ms": "50",
    "log.flush.offset.checkpoint.interval.ms": "500",
}
ISOLATIONS: tuple[Isolation, Isolation] = ("read_committed", "read_uncommitted")
TRIMMED_TO = 7
INTERNAL_TOPICS: dict[str, tuple[int, dict[str, str]]] = dict.fromkeys(
    ("__consumer_offsets", "__transaction_state"), (50, {"cleanup.policy": "compact"})
)
THEIR_GROUP = "their-group"
PARTITION_METADATA = "partition.metadata"
LOG_STARTS = "log-start-offset-checkpoint"


@dataclass(kw_only=True)
class Seen:
    """What a broker's consumers see of a topic."""

    rows: dict[Isolation, list[Row]]
    bounds: dict[Isolation, list[tuple[int, int]]]
    lookups: dict[int, list[int]]

    @classmethod
    def of(cls, broker: KafkaBroker, topic: str, partitions: int) -> Self:
        return cls(
            rows={each: broker_rows(broker, topic, partitions, each) for each in ISOLATIONS},
            bounds={each: broker_bounds(broker, topic, partitions, each) for each in ISOLATIONS},
            lookups=broker_lookups(broker, topic, partitions),
        )


@dataclass
class Story:
    folder: Path
    clean: dict[str, Seen] = field(default_factory=dict[str, Seen])
    killed: dict[str, Seen] = field(default_factory=dict[str, Seen])
    ours: dict[str, Seen] = field(default_factory=dict[str, Seen])
    committed: dict[str, int] = field(default_factory=dict[str, int])
    """Topic to offset of our group, as the broker has it."""
    their_committed: dict[str, int] = field(default_factory=dict[str, int])
    """Of a group of its own."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        story = pickle.loads((folder / "seen").read_bytes())
        story.folder = folder
        return story


def tell(folder: Path) -> None:
    story = Story(folder)
    write_public(folder / "public")
    write_raw(folder / "raw")
    broker = KafkaBroker(folder / "broker", settings=SETTINGS)
    with broker:
        create_topics(broker, {name: (count, {}) for name, count in our_topics().items()})
        create_topics(broker, THEIR_TOPICS)
        create_topics(broker, INTERNAL_TOPICS)
        fill(broker)
        commit_offsets(broker)
        story.their_committed = committed(broker, THEIR_GROUP)
        story.clean = see_theirs(broker)
    keep(broker, folder / "clean", THEIR_TOPICS | INTERNAL_TOPICS)
    put_in_place(folder / "public", broker)
    put_in_place(folder / "raw", broker)
    try:
        broker.start()
        for topic, partitions in our_topics().items():
            story.ours[topic] = Seen.of(broker, topic, partitions)
        story.committed = committed(broker, GROUP)
        go_on_with_ours(broker)
        leave_open(broker)
        story.killed = see_theirs(broker)
    finally:
        broker.stop(kill=True)
    keep(broker, folder / "killed", THEIR_TOPICS | INTERNAL_TOPICS)
    keep(broker, folder / "continued", {TRANSACTIONS_TOPIC: (2, {})})
    shutil.rmtree(broker.data_directory)
    (folder / "seen").write_bytes(pickle.dumps(story))


def our_topics() -> dict[str, int]:
    return PUBLIC_TOPICS | RAW_TOPICS


def fill(broker: KafkaBroker) -> None:
    subprocess.run(java(str(FILL), broker.bootstrap), check=True, stderr=subprocess.DEVNULL)
    fill_by_librdkafka(broker)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    trimmed = TopicPartition("trimmed", 0, TRIMMED_TO)
    admin.delete_records([trimmed])[trimmed].result(WAIT_S)
    for topic in ("compacted", "compacted-away"):
        fill_compacted(broker, topic)


def see_theirs(broker: KafkaBroker) -> dict[str, Seen]:
    return {name: Seen.of(broker, name, count) for name, (count, _) in THEIR_TOPICS.items()}


def keep(broker: KafkaBroker, target: Path, topics: dict[str, tuple[int, dict[str, str]]]) -> None:
    """Copies the partitions of the topics and the files beside them; indexes are sparse."""
    target.mkdir()
    names = [f"{topic}-{each}" for topic, (count, _) in topics.items() for each in range(count)]
    files = [path.name for path in broker.data_directory.iterdir() if path.is_file()]
    sources = [str(broker.data_directory / name) for name in [*names, *files]]
    subprocess.run(["cp", "-r", "--sparse=always", *sources, str(target)], check=True)


def put_in_place(root: Path, broker: KafkaBroker) -> None:
    """Our partitions instead of the broker's of the same names, whose topic ids they get.

    Where they start is in a file beside them, as far as they do not start with a segment.
    """
    for source in partition_directories(root):
        target = broker.data_directory / source.name
        topic_id = (target / PARTITION_METADATA).read_bytes()
        shutil.rmtree(target)
        shutil.copytree(source, target)
        (target / PARTITION_METADATA).write_bytes(topic_id)
    theirs = broker.data_directory / LOG_STARTS
    lines = {*starts(theirs), *starts(root / LOG_STARTS)}
    theirs.write_text("\n".join(["0", str(len(lines)), *sorted(lines)]) + "\n")


def starts(checkpoint: Path) -> list[str]:
    """A line a partition that does not begin at 0."""
    return checkpoint.read_text().splitlines()[2:]


def commit_offsets(broker: KafkaBroker) -> None:
    """Of a group with a member, and with transactions, of which one is aborted."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": THEIR_GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    consumer.subscribe(["java"])
    assert len(consumer.consume(5, timeout=WAIT_S)) == 5
    consumer.commit(asynchronous=False)
    transactional = producer(broker, transactional_id="their-committer")
    transactional.init_transactions(WAIT_S)
    for offset, commit in ((3, True), (5, False), (4, True)):
        transactional.begin_transaction()
        transactional.send_offsets_to_transaction(
            [TopicPartition("librdkafka", 0, offset)], consumer.consumer_group_metadata(), WAIT_S
        )
        if commit:
            transactional.commit_transaction(WAIT_S)
        else:
            transactional.abort_transaction(WAIT_S)
    consumer.close()


def committed(broker: KafkaBroker, group: str) -> dict[str, int]:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    asked = ConsumerGroupTopicPartitions(group)
    answer = admin.list_consumer_group_offsets([asked], require_stable=True)[group].result(WAIT_S)
    return {each.topic: each.offset for each in answer.topic_partitions}


def go_on_with_ours(broker: KafkaBroker) -> None:
    """A producer of the broker's takes one of our transactional ids over."""
    each = producer(broker, transactional_id="writer-a")
    each.init_transactions(WAIT_S)
    each.begin_transaction()
    each.produce(TRANSACTIONS_TOPIC, b"by librdkafka", b"k", 0, timestamp=START)
    each.commit_transaction(WAIT_S)


def leave_open(broker: KafkaBroker) -> None:
    """One more committed transaction, and one that stays open, in the killed broker's topic."""
    for name, commit in (("killed-committed", True), ("killed-open", False)):
        each = producer(broker, transactional_id=name, transaction_timeout_ms=900_000)
        each.init_transactions(WAIT_S)
        each.begin_transaction()
        for partition in (0, 1):
            each.produce("librdkafka-transactions", name.encode(), b"k", partition, timestamp=START)
        assert each.flush(WAIT_S) == 0
        if commit:
            each.commit_transaction(WAIT_S)
    plain = producer(broker, enable_idempotence=False)
    for partition in (0, 1):
        plain.produce("librdkafka-transactions", b"behind", b"k", partition, timestamp=START)
    assert plain.flush(WAIT_S) == 0
