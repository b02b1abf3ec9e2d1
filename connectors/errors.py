"""Every error that `connectors` raises on purpose.

They are `StreamlogError`s, so that the command prints them without a traceback:

    ConnectorError
    ├── ConfigError             a faulty file: all its faults at once (in `config.faults`)
    ├── FileError               a file of the user's that cannot be read
    ├── PluginError             an installed connector that cannot be loaded
    ├── RetryError              a task gave up after retrying for as long as it may
    ├── PoisonRecordError       a record that cannot be converted or delivered
    ├── SourceReadError         what a source reads is not what it should be
    ├── DestinationError        what a sink writes to is not what it left there
    └── DestinationAheadError   a destination holds offsets that the log does not have
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from os import PathLike


class ConnectorError(StreamlogError):
    """Base of every error of the package."""


class FileError(ConnectorError):
    """A configuration file that cannot be read."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class PluginError(ConnectorError):
    """An installed connector that cannot be loaded, or is none."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"connector {name!r}: {reason}")


class RetryError(ConnectorError):
    """A connector asked for retries until its time was over."""

    def __init__(self, connector: str, attempts: int, reason: str) -> None:
        self.connector = connector
        self.attempts = attempts
        self.reason = reason
        super().__init__(
            f"connector {connector!r} gave up after {attempts} attempts: {reason}; "
            "errors.retry.for in its file says how long it tries"
        )


class PoisonRecordError(ConnectorError):
    """A record that cannot be converted or delivered, where the policy is to fail.

    `origin` is where the record came from: `topic-partition offset n`, or a file and a byte.
    """

    def __init__(self, connector: str, origin: str, stage: str, reason: str) -> None:
        self.connector = connector
        self.origin = origin
        self.stage = stage
        self.reason = reason
        super().__init__(
            f"connector {connector!r}: {origin}: {stage}: {reason}; "
            "errors.tolerate: all in its file goes on without such records, and "
            "errors.dead_letter: TOPIC keeps them"
        )


class SourceReadError(ConnectorError):
    """A source cannot read what its configuration names."""

    def __init__(self, place: str | PathLike[str], reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"{place}: {reason}")


class DestinationError(ConnectorError):
    """A sink finds its destination in a state that it did not leave, or cannot write it."""

    def __init__(self, place: str | PathLike[str], reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"{place}: {reason}")


class DestinationAheadError(ConnectorError):
    """A destination holds records that the log does not have."""

    def __init__(self, connector: str, partition: str, *, held: int, end: int) -> None:
        self.connector = connector
        self.partition = partition
        self.held = held
        self.end = end
        super().__init__(
            f"connector {connector!r}: the destination holds {partition} up to offset {held}, but "
            f"the log ends at {end}: this log is another one, or lost its end. Give the sink a "
            "fresh destination, or restore the log"
        )
