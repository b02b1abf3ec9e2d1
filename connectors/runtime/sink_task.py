"""Runs a sink: records from its topics to its destination.

    wait for the topics ──> open the sink ──> begin at the offsets it holds
        ──> loop: poll, decode, put ... at a size or an age: write the dead letters, flush the
            sink, commit for the group `connect-NAME` what is durable

The destination is never ahead of the log: a consumer reads up to the durable end. The group's
offsets are never ahead of the destination: they follow the flush.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from connectors.api import SinkContext
from connectors.runtime.calls import Calls
from connectors.runtime.conversion import RecordDecoder
from connectors.runtime.dead_letters import DeadLetters
from connectors.runtime.delivery import Delivery
from connectors.runtime.latency import Commits
from connectors.runtime.poison import PoisonPolicy
from connectors.runtime.retry import Retries
from connectors.runtime.sink_input import SinkInput
from connectors.runtime.sink_session import SinkProgress, SinkSession
from connectors.runtime.stop import Stop, Stopped
from connectors.runtime.topics import ensure_topic
from connectors.runtime.wakeup import Wakeup
from streamlog.client.contract import TopicPartition
from streamlog.errors import UnknownTopicError
from streamlog.targets import TargetStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.api import AnySink, Plugin
    from connectors.config.document import SinkDocument
    from streamlog.client.contract import Log, TopicDescription
    from streamlog.targets import RunContext, TargetState

_LOOK_FOR_TOPICS_S: Final = 0.05


class SinkTask:
    """A target of `streamlog run`. Owned by the loop's thread."""

    def __init__(self, document: SinkDocument, plugin: Plugin) -> None:
        self._document = document
        self._plugin = plugin
        self._stop = Stop()
        self._poison = PoisonPolicy(document.name, document.errors)
        self._progress = SinkProgress(Commits())
        self._state: TargetState = "starting"
        self._log: Log | None = None
        self._feed: SinkInput | None = None
        self._committed: dict[TopicPartition, int] = {}
        self._wakeup: Wakeup | None = None

    @property
    def name(self) -> str:
        return self._document.name

    def request_stop(self, *, at_once: bool = False, drain: bool = False) -> None:
        if drain and not at_once:
            return  # a sink holds nothing back
        self._stop.request(at_once=at_once, drain=False)
        if self._state != "stopped":
            self._state = "stopping"
        if self._wakeup is not None:
            self._wakeup.set()

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        return None

    def status(self) -> TargetStatus:
        feed = self._feed
        return TargetStatus(
            kind="sink",
            state=self._state,
            records_in=self._progress.records_in,
            records_out=self._progress.records_out,
            counters=self._poison.counters(),
            commits=self._progress.commits.count,
            commit_latency_ms=self._progress.commits.latency_ms,
            committed=dict(feed.committed) if feed is not None else self._committed_so_far(),
            lag=feed.lag() if feed is not None else {},
            pending=feed is not None and feed.is_pending,
        )

    def _committed_so_far(self) -> dict[TopicPartition, int]:
        """Nothing yet of topics that exist but are not read: a run until idle waits for them."""
        if self._log is None:
            return self._committed
        return dict.fromkeys(_partitions(self._topics(self._log)), 0)

    def _topics(self, log: Log) -> list[TopicDescription]:
        """Those of the file's that exist."""
        present = log.topics()
        return [present[name] for name in self._document.from_.topics if name in present]

    async def run(self, context: RunContext) -> None:
        try:
            self._stop.begin()
            self._wakeup = Wakeup()
            self._log = context.log
            if self._state == "starting":
                self._state = "running"  # before the topics exist too: a run may end without them
            await self._work(context)
        except Stopped:
            pass
        except asyncio.CancelledError:
            if not self._stop.was_at_once:
                raise
        finally:
            if self._feed is not None:
                self._committed = self._feed.committed
            self._log = self._feed = None  # the log may be closed before the status is asked for
            self._state = "stopped"

    async def _work(self, context: RunContext) -> None:
        topics = await self._wait_for_topics(context)
        async with AsyncExitStack() as stack:
            session = await self._open(context, topics, stack)
            await session.work()

    async def _wait_for_topics(self, context: RunContext) -> list[TopicDescription]:
        """Raises `UnknownTopicError` where a run until idle ends by itself without one."""
        names = self._document.from_.topics
        while len(topics := self._topics(context.log)) < len(names):
            if self._stop.requested:
                missing = set(names) - {topic.name for topic in topics}
                if context.until_idle and not context.stopping.is_set():
                    raise UnknownTopicError(min(missing), context.log.topics())
                raise Stopped
            await self._stop.wait(_LOOK_FOR_TOPICS_S)
        return topics

    async def _open(
        self, context: RunContext, topics: Sequence[TopicDescription], stack: AsyncExitStack
    ) -> SinkSession:
        """Opens everything; the stack closes it, the sink last."""
        log, document, clock = context.log, self._document, context.clock
        if self._poison.dead_letter_topic is not None:
            await asyncio.to_thread(ensure_topic, log, self._poison.dead_letter_topic)
        sink: AnySink = self._plugin.create(document.sink.config)
        calls = Calls(sink)
        stack.callback(calls.close)
        stack.push_async_callback(calls, sink.close)
        letters = DeadLetters(log, self.name, self._poison)
        stack.push_async_callback(letters.close)
        retries = Retries(self.name, document.errors.retry)
        delivery = Delivery(sink, calls, retries, self._stop, clock, letters.take)
        topic_ids = {topic.name: topic.topic_id for topic in topics}
        held = await delivery.open(
            _partitions(topics),
            SinkContext(connector=self.name, topic_ids=topic_ids, clock=clock),
        )
        feed = await self._feed_from(log, _partitions(topics), held, stack)
        assert self._wakeup is not None
        return SinkSession(
            feed=feed,
            decoder=RecordDecoder(document.from_.key, document.from_.value),
            delivery=delivery,
            letters=letters,
            commit=document.commit,
            clock=clock,
            progress=self._progress,
            stop=self._stop,
            wakeup=self._wakeup,
        )

    async def _feed_from(
        self,
        log: Log,
        partitions: Sequence[TopicPartition],
        held: Mapping[TopicPartition, int],
        stack: AsyncExitStack,
    ) -> SinkInput:
        consumer = log.consumer(group=f"connect-{self.name}", auto_commit=False)
        stack.push_async_callback(asyncio.to_thread, consumer.close)
        feed = SinkInput(log, consumer, self.name, partitions)
        await feed.start(held if self._plugin.delivery == "transactional" else None)
        self._feed = feed
        return feed


def _partitions(topics: Sequence[TopicDescription]) -> list[TopicPartition]:
    return [TopicPartition(t.name, number) for t in topics for number in range(t.partitions)]
