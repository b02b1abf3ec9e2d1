"""What `streamlog run TARGET...` runs: the contract between the command and its targets.

A target is anything that works on a log for as long as it is wanted: an application, a source
connector, a sink connector. A package that knows a kind of target registers a loader under the
entry point group `streamlog.targets`; `load(spec)` gets one argument of the command line
(`module:app`, a path) as the user wrote it and returns the targets that it names, or None where
the spec is not of its kind. Loading opens nothing and starts nothing.

    [project.entry-points."streamlog.targets"]
    python = "processors.cli.target:load"

The command opens the log once, gives every target the same `RunContext` and runs them all in one
asyncio loop. A mistake of the user's (no such file, a faulty configuration, an exception in the
user's function) is raised as a `StreamlogError`, from `load` or `run`: the command prints its
message, without a traceback, and the message of an error may have several lines.

The life of a target:

    starting ──> restoring ──> running ──> stopping ──> stopped
                                  │            ▲
                                  └─ request_stop() ┘

Targets start one after the other: sources, then applications, then sinks, and within a kind as
the command line has them. The next one starts when the one before has left `starting`, which a
target does only when the topics that it writes to exist; so whoever reads them finds them.

The idle rule of `--until-idle`. The run is idle when, in two looks with nothing changed between
them: every source says `exhausted`; nothing says `pending`; and for every partition in any
target's `committed`, that offset, the last stable offset and the high watermark are one. Then
the targets stop in stages, and the run is awaited idle again after each: the sources with
`drain=True` (a source that held something back, such as a last line without newline, emits and
commits it now), then the applications, then the sinks.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator, Sequence

    from streamlog.client.contract import Log, TopicPartition
    from streamlog.clock import Clock

TARGETS_GROUP = "streamlog.targets"
"""The entry point group of target loaders."""

TargetKind = Literal["app", "source", "sink"]
TargetState = Literal["starting", "restoring", "running", "stopping", "stopped"]


@contextmanager
def local_state(log: Log) -> Generator[Path]:
    """Where the targets of a log keep their local state: beside it.

    That of a log in memory is in a temporary directory, and gone behind the block like the log.
    """
    if not getattr(log, "in_memory", False):
        yield Path(getattr(log, "path", ".")) / "state"
        return
    from tempfile import TemporaryDirectory  # slow to import, seldom needed

    with TemporaryDirectory(prefix="streamlog-state-") as directory:
        yield Path(directory)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """What every target of a run shares.

    `stopping` is set at the first stop signal, before `request_stop` is called. `state_dir` is
    the root of local state: a target keeps its own below `state_dir / name`, where
    `streamlog reset` finds it.
    """

    log: Log
    until_idle: bool
    clock: Clock
    stopping: asyncio.Event
    state_dir: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreProgress:
    """How far the stores have caught up with their changelogs; `records` of about `total`."""

    records: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetStatus:
    """A target at this moment. Counts are totals since the start, so rates are differences.

    Attributes:
        records_in: Records taken from topics (a source: from the outside).
        records_out: Records written to topics (a sink: to the outside), changelogs not counted.
        counters: Further totals by name, such as `{"words": 2800000, "skipped": 0}`.
        commits: Transactions committed.
        commit_latency_ms: Median of the recent commits, or None before the first.
        committed: For every partition the target reads, in all its input topics, the next offset
            to read as committed; control records and aborted data behind it that it has read
            past are counted in. Empty until `state` is running, and for sources.
        lag: For every partition it reads, the records between its position and the end.
        exhausted: A source has nothing more to read and has committed what it read, what it
            holds back for `drain` excepted. True for all other kinds.
        pending: Something is taken in and not committed yet.
        restore: While `state` is restoring.
    """

    kind: TargetKind
    state: TargetState
    records_in: int = 0
    records_out: int = 0
    counters: dict[str, int] = field(default_factory=dict[str, int])
    commits: int = 0
    commit_latency_ms: float | None = None
    committed: dict[TopicPartition, int] = field(default_factory=dict["TopicPartition", int])
    lag: dict[TopicPartition, int] = field(default_factory=dict["TopicPartition", int])
    exhausted: bool = True
    pending: bool = False
    restore: RestoreProgress | None = None


class Target(Protocol):
    """One thing to run. All methods are called in the loop's thread."""

    @property
    def name(self) -> str:
        """Unique in a run; the transactional id and the consumer group come from it."""
        ...

    async def run(self, context: RunContext) -> None:
        """Works until stopped; returns when everything is committed and closed.

        An exception ends the whole run. Cancelling is the same as `request_stop(at_once=True)`.
        """
        ...

    def request_stop(self, *, at_once: bool = False, drain: bool = False) -> None:
        """Asks `run` to return; returns at once. May be called again, before `run` too.

        Plainly: finish what is in hand, commit, close. With `drain` a source also emits what it
        held back. With `at_once` (a second signal): abort the open transaction and return.
        """
        ...

    def status(self) -> TargetStatus:
        """Cheap, and asked for many times a second; also before and after `run`."""
        ...

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None:
        """The `count` largest entries of a table it holds, largest first.

        None if it has none, or has not read all of it yet, which may take several looks. Asked for
        about once a second while a person watches, and once at the end, after `run`.
        """
        ...


class TargetLoader(Protocol):
    """What an entry point of the group `streamlog.targets` names."""

    def __call__(self, spec: str) -> list[Target] | None:
        """The targets that `spec` names, or None where it is not of this loader's kind."""
        ...
