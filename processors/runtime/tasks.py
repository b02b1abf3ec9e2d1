"""Everything that one worker runs between a restore and a close: engine, agents, stores.

The tasks die together: after an error nothing of them is used again, and a new start restores from
what was committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.runtime.calls import AllCalls
    from processors.runtime.crew import Crew
    from processors.runtime.engine import Engine
    from processors.runtime.feeds import Feed
    from processors.runtime.outbox import Address, Output
    from streamlog.client.contract import Consumer, GroupMetadata, Log, TopicPartition

FETCH_BYTES: Final = 1 << 20
"""About so much is read of a partition at once."""


class Tasks:
    """The tasks of one application. Owned by the loop's thread.

    Args:
        consumer: Reads for the engine; agents have theirs.
        internal_topics: Changelog and repartition topics.
        calls: Those of asynchronous operators.
        feeds: The sources in this process.
    """

    def __init__(
        self,
        log: Log,
        engine: Engine,
        consumer: Consumer,
        crew: Crew,
        internal_topics: frozenset[str],
        calls: AllCalls,
        feeds: Sequence[Feed] = (),
    ) -> None:
        self._log = log
        self.engine = engine
        self.crew = crew
        self.calls = calls
        self._consumer = consumer
        self._internal_topics = internal_topics
        self._feeds = {feed.topic: feed for feed in feeds}
        self._committed = self.read_positions()
        self._committed_work = 0
        self._flushed_work = 0
        self._has_changelogs = False

    # Work.

    def poll(self) -> bool:
        """Reads on where nothing waits; whether there is anything to run."""
        engine = self.engine
        wanting = engine.wants()
        if self._feeds:
            wanting = self._take(wanting)
        if wanting:
            fetched = self._consumer.poll_columns(max_bytes=FETCH_BYTES, partitions=wanting)
            for columns in fetched:
                engine.feed(columns)
        return engine.buffered_rows() > 0

    def _take(self, wanting: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Takes what there is in this process; returns those that are topics."""
        topics: list[TopicPartition] = []
        for source in wanting:
            feed = self._feeds.get(source.topic)
            if feed is None:
                topics.append(source)
            elif (columns := feed.take()) is not None:
                self.engine.feed(columns)
        return topics

    def run_round(self, max_records: int) -> int:
        return self.engine.run_round(max_records)

    def is_drained(self, backlog: int) -> bool:
        """Whether nothing waits to run, and fewer than `backlog` records to be read.

        Where records trickle in, the next ones are always there already: they are for the next
        commit, or there would never be a first.
        """
        if self.engine.buffered_rows():
            return False
        ends = self._log.end_offsets(self.engine.sources)
        behind = sum(end - self._consumer.position(at) for at, end in ends.items())
        behind += sum(feed.backlog() for feed in self._feeds.values())
        return behind < backlog

    def at_end(self) -> set[TopicPartition]:
        """The sources that have been read to their ends, with nothing that waits to run."""
        engine = self.engine
        if engine.is_draining:
            return set()
        quiet = engine.wants()
        topics = [at for at in quiet if at.topic not in self._feeds]
        ends = self._log.end_offsets(topics, isolation="read_uncommitted")
        found = {at for at in topics if self._consumer.position(at) >= ends[at]}
        return found | {
            at for at in quiet if at.topic in self._feeds and not self._feeds[at.topic].backlog()
        }

    def work_done(self) -> int:
        """Records and events that have been processed since the start."""
        return self.engine.records_in + self.crew.finished()

    def _work(self) -> int:
        """What there is to commit: records, events, and what time and answers have brought."""
        engine = self.engine
        return self.work_done() + engine.effects_of_time + engine.effects_of_answers

    def is_pending(self) -> bool:
        """Whether something has been processed that no commit has begun to take up."""
        return self._work() > self._flushed_work

    def is_quiet(self) -> bool:
        """Whether everything that was read has been processed and committed."""
        return (
            self._work() == self._committed_work
            and not self.engine.buffered_rows()
            and not any(feed.backlog() for feed in self._feeds.values())
            and not self.busy()
        )

    def busy(self) -> bool:
        """Whether something is on its way that needs no record: events, answers from outside."""
        return self.crew.busy() or self.engine.rows_waiting > 0

    def must_commit(self) -> bool:
        if any(feed.is_full() for feed in self._feeds.values()):
            return True
        return self.engine.must_commit() or self.crew.must_commit()

    # The commit.

    def flush(self) -> None:
        self.engine.flush()
        self.crew.flush()
        self._has_changelogs = True
        self._flushed_work = self._work()

    def take_outputs(self) -> dict[Address, Output]:
        """What is to be written since the last call; with changelogs after a `flush`."""
        outputs = self.engine.take_outputs()
        parts = [self.crew.take_outputs()]
        if self._has_changelogs:
            parts.append(self.crew.take_changelogs())
            self._has_changelogs = False
        for part in parts:
            for address, output in part.items():
                if address in outputs:
                    columns = (output.keys, output.values, output.timestamps, output.headers)
                    outputs[address].extend(*columns)
                else:
                    outputs[address] = output
        return outputs

    def positions(self) -> list[tuple[GroupMetadata, dict[TopicPartition, int]]]:
        """The offsets to commit with the last `flush`, a consumer group each."""
        return [
            (self._consumer.group_metadata(), self.engine.positions()),
            *self.crew.positions(),
        ]

    @property
    def stream_positions(self) -> dict[TopicPartition, int]:
        """The offsets of the streams with the last `flush`."""
        return self.engine.positions()

    def on_committed(self, positions: list[dict[TopicPartition, int]]) -> None:
        self.engine.on_committed()
        self.crew.on_committed()
        self.tell_feeds()
        self._committed_work = self._flushed_work
        for committed in positions:
            for at, offset in committed.items():
                others = [each[at] for each in positions if at in each]
                self._committed[at] = min(offset, *others)

    @property
    def has_feeds(self) -> bool:
        return bool(self._feeds)

    def tell_feeds(self) -> None:
        """What the last `flush` covers is durable."""
        for topic, position in self.engine.local_positions().items():
            self._feeds[topic].on_committed(position)

    def is_internal(self, topic: str) -> bool:
        """Whether a topic is a changelog or repartition topic, which no one outside reads."""
        return topic in self._internal_topics

    def committed(self) -> dict[TopicPartition, int]:
        """Per partition that is read, the least offset that a reader of it has committed.

        Markers and aborted records behind it that were read past count as committed.
        """
        return self.read_positions() if self.is_quiet() else dict(self._committed)

    def read_positions(self) -> dict[TopicPartition, int]:
        """Where each partition is read next; the least, where an agent reads it as well."""
        assigned = self._consumer.assignment()
        positions = {at: self._consumer.position(at) for at in assigned}
        for group in self.crew.groups:
            for at, position in group.positions().items():
                positions[at] = min(position, positions.get(at, position))
        return positions

    def close(self) -> None:
        self._consumer.close()
        for group in self.crew.groups:
            group.consumer.close()
