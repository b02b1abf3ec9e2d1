"""The agents of a worker: an instance a partition, their stores, and what they have sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.agents.instance import AgentInstance
from processors.operators.operator import Origin
from processors.runtime.outbox import Address, Output
from processors.runtime.policies import FailureHandler
from processors.state.budget import CacheBudget
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processors.agents import Agent
    from processors.operators.operator import FailureKind
    from processors.runtime.application import Application
    from processors.state.cached import KeyValueState
    from streamlog.client.contract import Consumer, GroupMetadata, Record


class AgentGroup:
    """All instances of one agent, and the consumer that they share."""

    def __init__(self, agent: Agent, consumer: Consumer) -> None:
        self.agent = agent
        self.consumer = consumer
        self.instances: list[AgentInstance] = []

    def positions(self) -> dict[TopicPartition, int]:
        return {
            TopicPartition(self.agent.topic, instance.partition): instance.position
            for instance in self.instances
        }

    def poll(self, max_bytes: int) -> bool:
        """Feeds the instances that want more; whether any got records."""
        wanting = [
            TopicPartition(self.agent.topic, instance.partition)
            for instance in self.instances
            if instance.wants()
        ]
        if not wanting:
            return False
        fetched = self.consumer.poll_columns(max_bytes=max_bytes, partitions=wanting)
        for columns in fetched:
            self.instances[columns.partition].feed(columns)
        return any(columns.offsets for columns in fetched)


class Crew:
    """The agents of an application. Owned by the loop's thread.

    Args:
        states: Of the agents' stores, by store name and partition, restored.
        wake: Called after every event and when an instance has failed.
    """

    def __init__(
        self,
        application: Application,
        states: Mapping[tuple[str, int], KeyValueState],
        wake: Callable[[], None],
    ) -> None:
        self.groups: list[AgentGroup] = []
        self.handler = FailureHandler(application.policies)
        self._dead_letters = application.policies.dead_letters
        self._states = states
        self._budget = CacheBudget(states.values())
        self._wake = wake

    def add(self, agent: Agent, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """An instance for every partition in `offsets`, which says where each begins."""
        group = AgentGroup(agent, consumer)
        for at, offset in sorted(offsets.items()):
            states = {
                name: state
                for (name, partition), state in self._states.items()
                if partition == at.partition
            }
            group.instances.append(
                AgentInstance(agent, at.partition, offset, states, self._report, self._wake)
            )
            consumer.seek(at, offset)
        self.groups.append(group)

    def start(self) -> None:
        for instance in self.instances():
            instance.start()

    async def stop(self) -> None:
        """Cancels all agents; events in flight are forgotten."""
        for instance in self.instances():
            await instance.stop()

    def instances(self) -> list[AgentInstance]:
        return [instance for group in self.groups for instance in group.instances]

    def check(self) -> None:
        """Raises what stopped an instance."""
        for instance in self.instances():
            if instance.error is not None:
                raise instance.error

    def poll(self, max_bytes: int) -> bool:
        fed = [group.poll(max_bytes) for group in self.groups]
        return any(fed)

    def pause(self) -> None:
        for instance in self.instances():
            instance.pause()

    def resume(self) -> None:
        for instance in self.instances():
            instance.resume()

    def busy(self) -> bool:
        """Whether an event is in flight or waiting."""
        return any(instance.busy() for instance in self.instances())

    def finished(self) -> int:
        """The number of events that have ended so far."""
        return sum(instance.finished for instance in self.instances())

    def must_commit(self) -> bool:
        return self._budget.is_full()

    def flush(self) -> None:
        for state in self._states.values():
            state.flush()

    def positions(self) -> list[tuple[GroupMetadata, dict[TopicPartition, int]]]:
        return [(group.consumer.group_metadata(), group.positions()) for group in self.groups]

    def take_outputs(self) -> dict[Address, Output]:
        """What finished events have sent, and dead letters."""
        outputs: dict[Address, Output] = {}
        for group in self.groups:
            sink = group.agent.sink
            if sink is None:
                continue
            for instance in group.instances:
                sends = instance.take_sends()
                if len(sends):
                    output = outputs.setdefault((sink.topic, None), Output())
                    output.extend(sends.keys, sends.values, sends.timestamps)
        self._take_letters(outputs)
        return outputs

    def take_changelogs(self) -> dict[Address, Output]:
        """The changelog rows of the last `flush`."""
        outputs: dict[Address, Output] = {}
        for state in self._states.values():
            keys, values, timestamps = state.committing_records()
            if keys:
                outputs[state.changelog] = output = Output()
                output.extend(keys, values, timestamps)
        return outputs

    def on_committed(self) -> None:
        for state in self._states.values():
            state.on_committed()
        self._budget.trim()

    def _take_letters(self, outputs: dict[Address, Output]) -> None:
        letters = self.handler.take_letters()
        if len(letters):
            assert self._dead_letters is not None
            output = outputs.setdefault((self._dead_letters, None), Output())
            output.extend(letters.keys, letters.values, letters.timestamps, letters.headers)

    def _report(self, kind: FailureKind, operator: str, record: Record, error: Exception) -> None:
        origin = Origin(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        )
        self.handler.handle(kind, operator, origin, error)
