"""Every error that `processors` raises on purpose.

    StreamlogError
    └── ProcessorsError
        ├── TopologyError                 the graph as written cannot run
        │   ├── CopartitionError          topics that must have equal partition counts have not
        │   └── IncompatibleTopologyError the state on disk belongs to another graph
        ├── StateError                    the stores on disk
        │   ├── CorruptStoreError         damaged; set aside and rebuilt from the changelog
        │   └── SuppressFullError         more updates are held back than may be
        ├── OffsetGapError                committed offsets are gone and state is there
        ├── ChannelFullError              a channel has no room and must not wait for it
        ├── IterableError                 a source's iterable failed, or is not what it was
        ├── AgentError                    an agent failed while it had no event in hand
        ├── ProcessorError                a processor was written wrong, or a timer of it failed
        └── RecordError                   one record could not be handled; names where it came from
            ├── DeserializationError      its bytes, or a negative timestamp
            ├── ProcessingError           the user's function raised
            └── ProductionError           a result could not be written as bytes

`InvalidTimestampError` is what a `DeserializationError` says of a negative timestamp, and
`ResultTooLargeError` what a `ProductionError` says of a result that its topic cannot hold.

They are `StreamlogError`s, so that a command prints their message without a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ProcessorsError(StreamlogError):
    """Base of every error of the package."""


class TopologyError(ProcessorsError):
    """The graph as written cannot run; the message names the operator and the remedy."""


class CopartitionError(TopologyError):
    """Topics that meet in one operator with state have different numbers of partitions."""

    def __init__(self, operator: str, partitions: Mapping[str, int]) -> None:
        self.operator = operator
        self.partitions = dict(partitions)
        counts = ", ".join(f"{topic!r} has {count}" for topic, count in partitions.items())
        super().__init__(
            f"{operator}: the topics that meet here need equal partition counts, so that a key has "
            f"one task: {counts}. Create the topics with equal counts, or move the rows of one: "
            "group_by(...) instead of group_by_key(), stream.repartition(partitions=...), or for a "
            "table stream.repartition(partitions=...).to_table()"
        )


class IncompatibleTopologyError(TopologyError):
    """The state on disk was written by a graph that this one cannot continue."""

    def __init__(self, application: str, differences: Sequence[str]) -> None:
        self.application = application
        self.differences = list(differences)
        listed = "\n".join(f"  {line}" for line in differences)
        super().__init__(
            f"application {application!r} has state of another topology:\n{listed}\n"
            "Put the topology back, give the application a new name, or drop its state with "
            f"`streamlog reset {application}`"
        )


class StateError(ProcessorsError):
    """Something about the stores on disk."""


class SuppressFullError(StateError):
    """More waits in a suppress than it may hold, and it was told to fail then.

    Attributes:
        operator: Its path.
        records, size_bytes: What waits.
    """

    def __init__(
        self,
        operator: str,
        records: int,
        size_bytes: int,
        max_records: int | None,
        max_bytes: int | None,
    ) -> None:
        self.operator = operator
        self.records = records
        self.size_bytes = size_bytes
        limits = [
            f"{name}={limit}"
            for name, limit in (("max_records", max_records), ("max_bytes", max_bytes))
            if limit is not None
        ]
        super().__init__(
            f"{operator}: {records} updates of {size_bytes} bytes wait, which is more than "
            f"{' and '.join(limits)} allow; give it more room, or full='emit' where updates may go "
            "on early"
        )


class CorruptStoreError(StateError):
    """A store's files are damaged: the worker sets them aside and rebuilds from the changelog."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: the state store is damaged: {reason}")


class OffsetGapError(ProcessorsError):
    """Partitions without a committed offset, though the application has run before.

    Starting them at either end would count records twice or never, so that is the user's choice.
    """

    def __init__(self, application: str, partitions: Sequence[str]) -> None:
        self.application = application
        self.partitions = list(partitions)
        super().__init__(
            f"application {application!r} has state but no committed offset for "
            f"{', '.join(partitions)}: choose with on_offset_gap='earliest' or 'latest', or begin "
            f"anew with `streamlog reset {application}`"
        )


class ChannelFullError(ProcessorsError):
    """A channel has no room, and whoever sends does not wait, or would wait for ever."""

    def __init__(self, channel: str, max_records: int, reason: str) -> None:
        self.channel = channel
        self.max_records = max_records
        super().__init__(
            f"channel {channel!r}: it holds {max_records} records that are not committed, which is "
            f"all that it may, and {reason}"
        )


class IterableError(ProcessorsError):
    """The iterable of a source raised, or gave a row that cannot be, or fewer than before."""

    def __init__(self, source: str, row: int, reason: str) -> None:
        self.source = source
        self.row = row
        super().__init__(f"iterable {source!r} at row {row}: {reason}")


class ProcessorError(ProcessorsError):
    """What a processor does cannot be done, or a timer of the wall clock raised."""

    def __init__(self, operator: str, reason: str) -> None:
        self.operator = operator
        self.reason = reason
        super().__init__(f"{operator}: {reason}")


class RecordError(ProcessorsError):
    """One record failed in one operator.

    `topic`, `partition` and `offset` are those of the source record; `offset` is None where a
    store's update failed on its way on, and then `topic` is the store's changelog.
    """

    what = "failed"

    def __init__(
        self,
        operator: str,
        error: BaseException,
        *,
        topic: str,
        partition: int,
        offset: int | None,
        key: bytes | None,
        hint: str = "",
    ) -> None:
        self.operator = operator
        self.error = error
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.key = key
        place = f"{topic}-{partition}" + ("" if offset is None else f" at offset {offset}")
        super().__init__(
            f"{operator}: {self.what} for the record of {place} with key {show_key(key)}: "
            f"{type(error).__name__}: {error}{hint and f'; {hint}'}"
        )


class DeserializationError(RecordError):
    """The record's bytes are not what the source's serde reads, or its timestamp is negative."""

    what = "cannot be read"


class ProcessingError(RecordError):
    """The user's function raised; the original is `error` and `__cause__`."""

    what = "the function raised"


class ProductionError(RecordError):
    """A key or value could not be written by the serde of a sink, exchange or store."""

    what = "a result cannot be written"


class AgentError(ProcessorsError):
    """An agent's function failed while it had no event in hand, which no policy can leave out."""

    def __init__(self, agent: str, topic: str, partition: int, error: BaseException) -> None:
        self.agent = agent
        self.topic = topic
        self.partition = partition
        self.error = error
        super().__init__(
            f"agent {agent}: its function failed outside an event of {topic}-{partition}: "
            f"{type(error).__name__}: {error}"
        )


class InvalidTimestampError(ProcessorsError):
    """A record without a timestamp, or with a negative one, has no place in stream time.

    Neither has one of 2^62 and more, as the end of a window after it would be of more than 64 bits.
    """

    def __init__(self, timestamp: int) -> None:
        self.timestamp = timestamp
        why = "negative or missing" if timestamp < 0 else "too late for windows"
        super().__init__(f"the timestamp is {timestamp}: {why}")


class ResultTooLargeError(ProcessorsError):
    """A key and value that no batch of the topic may hold."""

    def __init__(self, topic: str, size_bytes: int, limit_bytes: int) -> None:
        self.topic = topic
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"key and value have {size_bytes} bytes, and topic {topic!r} takes no batch over "
            f"max.message.bytes = {limit_bytes}; write less, or make it with a larger one"
        )


def show_key(key: bytes | None) -> str:
    """A record's key for a message: as text where it is text."""
    if key is None:
        return "null"
    shown = repr(key)[1:] if key.isascii() and key.decode("ascii").isprintable() else repr(key)
    return shown if len(shown) <= 80 else shown[:77] + "..."
