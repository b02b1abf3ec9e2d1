"""What a worker runs: an application as written, compiled, and its options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from processors.runtime.policies import ErrorPolicies
from processors.runtime.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from processors.agents import Agent, Store
    from processors.runtime.channel import ChannelFeed
    from processors.runtime.engine import ExchangeMode
    from processors.topology.subtopology import Topology

OffsetGap = Literal["fail", "earliest", "latest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """How a worker works; nothing here changes a result.

    Attributes:
        commit_interval_ms: The longest time between commits under a backlog. Without one, a
            commit follows as soon as the input is drained, whatever this says.
        chunk_size: The most records of a round.
        checkpoint_interval_ms: How often committed state goes to the byte store.
        memory_bytes: The budget of a worker: half for decoded values, an eighth for RocksDB, the
            rest for what is being read and written.
        on_offset_gap: What to do where committed offsets are gone and state is there.
    """

    commit_interval_ms: int = 1_000
    chunk_size: int = 4_096
    checkpoint_interval_ms: int = 5_000
    memory_bytes: int = 512 << 20
    on_offset_gap: OffsetGap = "fail"
    exchange: ExchangeMode = "memory"

    def __post_init__(self) -> None:
        faults: list[str] = []
        for name, least in (
            ("commit_interval_ms", 0),
            ("chunk_size", 1),
            ("checkpoint_interval_ms", 0),
            ("memory_bytes", 16 << 20),
        ):
            number = getattr(self, name)
            if type(number) is not int:
                faults.append(f"{name}={number!r}: give a whole number")
            elif number < least:
                faults.append(f"{name}={number}: must be at least {least}")
        if self.exchange not in ("memory", "topic"):
            faults.append(f"exchange={self.exchange!r}: choose 'memory' or 'topic'")
        if self.on_offset_gap not in get_args(OffsetGap):
            faults.append(f"on_offset_gap={self.on_offset_gap!r}: must be in {get_args(OffsetGap)}")
        if faults:
            raise ValueError("; ".join(faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """A named, compiled application. The name is its transactional id and consumer group.

    Attributes:
        channels: What other code of the process sends into.
        iterables: What is read of iterables, by their paths.
    """

    name: str
    topology: Topology
    agents: tuple[Agent, ...] = ()
    stores: tuple[Store, ...] = ()
    channels: tuple[ChannelFeed, ...] = ()
    iterables: Mapping[str, Rows] = field(default_factory=dict[str, Rows])
    policies: ErrorPolicies = field(default_factory=ErrorPolicies)
    options: WorkerOptions = field(default_factory=WorkerOptions)
    find_topics: Callable[[Iterable[str]], Application] | None = None
    """Compiles it for the topics that there are, where it reads all that match a pattern."""

    def agent_group(self, agent: Agent) -> str:
        """Agents have positions of their own: one may be far behind where the streams are.

        No application can have such a name: with a hyphen, the agent `count` of `word` would share
        the offsets of an application `word-count`, and each would miss what the other had read.
        """
        return f"{self.name}/{agent.name}"

    def changelog_topic(self, store: str) -> str:
        return self.topology.changelog_topic(store)
