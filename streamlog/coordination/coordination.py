"""Both coordinators of a log directory, opened and closed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.coordination.group_coordinator import GroupCoordinator, read_groups
from streamlog.coordination.group_view import describe_value
from streamlog.coordination.internal_topic import OFFSETS_TOPIC, read_replays
from streamlog.coordination.offset_store import OffsetStore
from streamlog.coordination.transaction_coordinator import TransactionCoordinator
from streamlog.coordination.transaction_log import read_transactions

if TYPE_CHECKING:
    from streamlog.client.contract import GroupDescription
    from streamlog.clock import Clock
    from streamlog.coordination.group_record import GroupValue
    from streamlog.coordination.internal_topic import ReadableDirectory
    from streamlog.coordination.transaction_state import TransactionMetadata
    from streamlog.storage import LogDirectory
    from streamlog.topic import TopicPartition


class Coordination:
    """The coordinators of one log directory, of which they are the only users. Any thread."""

    def __init__(self, directory: LogDirectory, *, clock: Clock) -> None:
        self.groups = GroupCoordinator(directory, clock=clock)
        self.transactions = TransactionCoordinator(directory, self.groups, clock=clock)

    def open(self) -> None:
        """Loads both topics and ends the transactions that a crash left open."""
        self.groups.open()
        self.transactions.open()

    def step(self) -> None:
        """Housekeeping, about every second."""
        self.transactions.step()
        self.groups.members.step()

    def close(self) -> None:
        """Ends every transaction. Before the directory is closed."""
        self.transactions.close()


class CoordinationView(NamedTuple):
    """What the two topics say, for who only reads: transactions, and offsets by group."""

    transactions: list[TransactionMetadata]
    offsets: dict[str, dict[TopicPartition, int]]


def read_coordination(directory: ReadableDirectory) -> CoordinationView:
    """Reads up to the high watermarks and changes nothing; also beside the owner.

    A transaction that is shown as Ongoing or preparing may have ended by now.
    """
    store = OffsetStore()
    for _, replay in read_replays(directory, OFFSETS_TOPIC):
        store.load(replay.latest)
    offsets = {
        group: {partition: each.offset for partition, each in store.offsets(group).items()}
        for group in store.groups()
    }
    return CoordinationView(list(read_transactions(directory)), offsets)


def read_committed(directory: ReadableDirectory, group: str) -> dict[TopicPartition, int]:
    """What a group has committed, as `read_coordination` reads, and no other group's partition."""
    store = OffsetStore()
    for _, replay in read_replays(directory, OFFSETS_TOPIC, group):
        store.load(replay.latest)
    return {partition: each.offset for partition, each in store.offsets(group).items()}


def read_group_descriptions(
    directory: ReadableDirectory, group: str | None = None
) -> dict[str, GroupDescription]:
    """The groups by name, as `read_coordination` reads. A rebalance under way does not show.

    With a `group`, those of its partition only, of which it is one if there is such a group.
    """
    store = OffsetStore()
    values: dict[str, GroupValue] = {}
    for _, replay in read_replays(directory, OFFSETS_TOPIC, group):
        store.load(replay.latest)
        values |= read_groups(replay)
    return {
        name: describe_value(name, values.get(name), store.offsets(name))
        for name in sorted({*store.groups(), *values})
    }
