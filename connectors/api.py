"""What a connector is: the contract between a plugin and the runtime.

    from dataclasses import dataclass
    from connectors import Batch, Exhausted, Source, SourceRecord, source

    @dataclass(frozen=True, kw_only=True)
    class NumbersConfig:
        upto: int

    @source("numbers", config=NumbersConfig)
    class Numbers(Source[NumbersConfig]):
        async def read(self):
            done = self.context.offset({"numbers": "all"}) or {"next": 0}
            for number in range(done["next"], self.config.upto):
                record = SourceRecord(key=str(number), value=number)
                yield Batch([record], {"numbers": "all"}, {"next": number + 1})
            yield Exhausted()

and one line in the plugin's `pyproject.toml`:

    [project.entry-points."streamlog.sources"]
    numbers = "my_package:Numbers"

The runtime does the rest: the transaction around records and offsets, fencing, retries, dead
letters and back-pressure (a generator is resumed only when there is room).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from streamlog.client.contract import Headers, TopicPartition
    from streamlog.clock import Clock

ConfigT = TypeVar("ConfigT")
ClassT = TypeVar("ClassT", bound=type)
PluginKind = Literal["source", "sink"]
Delivery = Literal["transactional", "idempotent", "at_least_once"]
"""What a sink promises.

`transactional`: it stores the next offsets with the data, as one step; `open` returns them.
`idempotent`: delivering a record twice has the effect of once.
`at_least_once`: everything else.
"""


class Retry(Exception):
    """Raised by a plugin: this did not work and may work later.

    From `put` and `flush`, the same call is made again; a `put` that raises has done nothing.
    From a source, its transaction is aborted and it is opened anew where it last committed.
    """

    def __init__(self, reason: str, *, after_ms: int | None = None) -> None:
        self.reason = reason
        self.after_ms = after_ms
        super().__init__(reason)


class Poison(Exception):
    """Raised by a sink's `put`: a record will never be accepted. Nothing of the batch was done.

    `index` is its place in the batch; without it the runtime finds it by halving the batch.
    """

    def __init__(self, reason: str, *, index: int | None = None) -> None:
        self.reason = reason
        self.index = index
        super().__init__(reason)


@dataclass(slots=True)
class SourceRecord:
    """One record; key and value are written by the serdes that the file names."""

    value: Any
    key: Any = None
    timestamp: int | None = None
    headers: Headers | None = None


@dataclass(slots=True)
class SourceColumns:
    """Many records as bytes, in lists of equal length; `keys` None means that none has a key."""

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None] | None = None
    timestamps: Sequence[int] | None = None
    headers: Sequence[Headers] | None = None


@dataclass(frozen=True, slots=True)
class PoisonRecord:
    """Something a source read that is no record.

    `origin` is where it stands, for a person; `value` the original bytes, for the dead letter.
    """

    origin: str
    reason: str
    value: bytes | None = None


@dataclass(slots=True)
class Batch:
    """Records of one source partition, and the source offset behind them.

    When the batch is committed, so is `offset`, in the same transaction; after a restart
    `context.offset(partition)` returns it. Without records it only moves the offset. Both are
    JSON objects, and a partition's is its identity.
    """

    records: Sequence[SourceRecord] | SourceColumns
    partition: Mapping[str, Any]
    offset: Mapping[str, Any]
    poison: Sequence[PoisonRecord] = ()


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """Asks for a commit here: the end of a unit that should become visible as one."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing for this many seconds, with more to come; what is read so far is committed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exhausted:
    """All there is has been read: a run until idle may end.

    Looks again after `seconds`; without them not before the run ends (`context.draining`).
    """

    seconds: float | None = None


SourceEvent = Batch | CommitPoint | Idle | Exhausted


class SourceContext(Protocol):
    """What a source may ask of the runtime."""

    @property
    def connector(self) -> str: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def draining(self) -> bool:
        """The run is ending: emit what was held back, then return from `read`."""
        ...

    def offset(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        """The committed source offset of a partition."""
        ...

    def offsets(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """All committed (partition, offset) pairs of this connector."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkContext:
    """What a sink knows of where its records come from. A topic id changes with its log."""

    connector: str
    topic_ids: Mapping[str, UUID]
    clock: Clock


@dataclass(slots=True)
class SinkBatch:
    """Records of one partition in lists of equal length, in the order of their offsets.

    `keys` and `values` are what the serdes of the file return; `raw_keys` and `raw_values` the
    bytes in the log, where None is a null key or a tombstone. `next_offset` lies behind the
    batch; it may move without any record (transaction markers).
    """

    partition: TopicPartition
    keys: list[Any]
    values: list[Any]
    raw_keys: list[bytes | None]
    raw_values: list[bytes | None]
    timestamps: list[int]
    offsets: list[int]
    headers: list[Headers] | None
    next_offset: int

    def __len__(self) -> int:
        return len(self.offsets)

    def slice(self, start: int, end: int) -> SinkBatch:
        """Rows `start` to `end`; the last slice keeps the batch's `next_offset`."""
        return SinkBatch(
            self.partition,
            self.keys[start:end],
            self.values[start:end],
            self.raw_keys[start:end],
            self.raw_values[start:end],
            self.timestamps[start:end],
            self.offsets[start:end],
            None if self.headers is None else self.headers[start:end],
            self.offsets[end] if end < len(self) else self.next_offset,
        )


class Source(ABC, Generic[ConfigT]):
    """A source whose methods run in the loop and must not block it."""

    context: SourceContext

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    async def open(self, context: SourceContext) -> None:
        """Called once, before `read`, with the offsets as committed."""
        self.context = context

    @abstractmethod
    def read(self) -> AsyncIterator[SourceEvent]:
        """An async generator of batches. One that returns is exhausted for good."""
        ...

    async def committed(
        self, offsets: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        """These (partition, offset) pairs are durable: now the origin may forget the records."""

    async def close(self) -> None:
        """Called once, after a failure too."""


class BlockingSource(ABC, Generic[ConfigT]):
    """A source whose methods may block; they all run in one thread of their own."""

    context: SourceContext

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def open(self, context: SourceContext) -> None:
        """As `Source.open`."""
        self.context = context

    @abstractmethod
    def read(self) -> Iterator[SourceEvent]:
        """As `Source.read`, a plain generator. Between events it should not block for long."""
        ...

    def committed(self, offsets: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """As `Source.committed`."""

    def close(self) -> None:
        """As `Source.close`."""


class Sink(ABC, Generic[ConfigT]):
    """A sink whose methods run in the loop and must not block it."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    async def open(
        self, partitions: Sequence[TopicPartition], context: SinkContext
    ) -> Mapping[TopicPartition, int]:
        """Called once, first. Returns the next offsets it holds already.

        They are the truth for a transactional sink: it is fed from there on, whatever was
        committed, and partitions that it does not name from their start. Other sinks return
        nothing and are fed from the committed offsets.
        """
        return {}

    @abstractmethod
    async def put(self, batch: SinkBatch) -> None:
        """Takes a batch, which need not be durable on return.

        Raises:
            Retry: the same batch is put again later.
            Poison: a record of it goes to the dead letters, the others are put again.
        """
        ...

    @abstractmethod
    async def flush(self) -> Mapping[TopicPartition, int]:
        """Makes all that was put durable, and returns the next offsets that now are."""
        ...

    async def close(self) -> None:
        """Called once, last, behind a flush if all went well. After a failure without one."""


class BlockingSink(ABC, Generic[ConfigT]):
    """A sink whose methods may block; they all run in one thread of their own."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def open(
        self, partitions: Sequence[TopicPartition], context: SinkContext
    ) -> Mapping[TopicPartition, int]:
        """As `Sink.open`."""
        return {}

    @abstractmethod
    def put(self, batch: SinkBatch) -> None:
        """As `Sink.put`."""
        ...

    @abstractmethod
    def flush(self) -> Mapping[TopicPartition, int]:
        """As `Sink.flush`."""
        ...

    def close(self) -> None:
        """As `Sink.close`."""


AnySource = Source[Any] | BlockingSource[Any]
AnySink = Sink[Any] | BlockingSink[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """What `@source` and `@sink` say about a class.

    Attributes:
        config: The class's configuration, a frozen keyword-only dataclass; None: it takes none.
        encoded: The source writes keys and values as bytes itself, so the file names no serdes.
    """

    kind: PluginKind
    name: str
    config: type[Any] | None
    create: Callable[[Any], Any] = field(repr=False)
    delivery: Delivery = "at_least_once"
    encoded: bool = False


PLUGIN_ATTRIBUTE = "__streamlog_plugin__"


def source(
    name: str, *, config: type[Any] | None = None, encoded: bool = False
) -> Callable[[ClassT], ClassT]:
    """Makes a class a source that a file can name."""

    def decorate(cls: ClassT) -> ClassT:
        _check_base(cls, (Source, BlockingSource))
        plugin = Plugin(kind="source", name=name, config=config, create=cls, encoded=encoded)
        setattr(cls, PLUGIN_ATTRIBUTE, plugin)
        return cls

    return decorate


def sink(
    name: str, *, config: type[Any] | None = None, delivery: Delivery
) -> Callable[[ClassT], ClassT]:
    """Makes a class a sink that a file can name; `delivery` is what it promises."""

    def decorate(cls: ClassT) -> ClassT:
        _check_base(cls, (Sink, BlockingSink))
        plugin = Plugin(kind="sink", name=name, config=config, create=cls, delivery=delivery)
        setattr(cls, PLUGIN_ATTRIBUTE, plugin)
        return cls

    return decorate


def _check_base(cls: type, bases: tuple[type, ...]) -> None:
    if not issubclass(cls, bases):
        names = " or ".join(base.__name__ for base in bases)
        raise TypeError(f"{cls.__qualname__} must be a subclass of {names}")
