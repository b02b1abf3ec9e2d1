"""Kafka's log in a Python process.

    import streamlog

    log = streamlog.open("./data")
    log.create_topic("bids", partitions=4)
    with log.producer() as producer:
        producer.send("bids", key="lot-7", value=b'{"amount": 120}')
    for record in log.consumer("bids", group="printer"):
        print(record.partition, record.offset, record.value)

The names below are all there is to know for an application; `streamlog.errors` has the errors,
`streamlog.serdes` the serdes, `streamlog.testing` what tests need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from streamlog.client.contract import (
        Consumer,
        FetchedColumns,
        GroupDescription,
        GroupMember,
        GroupMetadata,
        HangingTransaction,
        Headers,
        Log,
        OffsetChoice,
        PartitionLag,
        Producer,
        ProducerDescription,
        Record,
        SendHandle,
        TransactionDescription,
    )
    from streamlog.clock import Clock, SystemClock
    from streamlog.errors import StreamlogError
    from streamlog.files import Files
    from streamlog.serdes import Serde, serde_for
    from streamlog.storage import Durability
    from streamlog.topic import ConfigEntry, Isolation, TopicDescription, TopicPartition

__all__ = [
    "Clock",
    "ConfigEntry",
    "Consumer",
    "FetchedColumns",
    "GroupDescription",
    "GroupMember",
    "GroupMetadata",
    "HangingTransaction",
    "Headers",
    "Isolation",
    "Log",
    "OffsetChoice",
    "PartitionLag",
    "Producer",
    "ProducerDescription",
    "Record",
    "SendHandle",
    "Serde",
    "StreamlogError",
    "SystemClock",
    "TopicDescription",
    "TopicPartition",
    "TransactionDescription",
    "open",
    "serde_for",
]

# Imported when first asked for: `import streamlog` itself costs next to nothing.
_HOMES = {
    "streamlog.client.contract": (
        "Consumer",
        "FetchedColumns",
        "GroupDescription",
        "GroupMember",
        "GroupMetadata",
        "HangingTransaction",
        "Headers",
        "Log",
        "OffsetChoice",
        "PartitionLag",
        "Producer",
        "ProducerDescription",
        "Record",
        "SendHandle",
        "TransactionDescription",
    ),
    "streamlog.clock": ("Clock", "SystemClock"),
    "streamlog.errors": ("StreamlogError",),
    "streamlog.serdes": ("Serde", "serde_for"),
    "streamlog.topic": ("ConfigEntry", "Isolation", "TopicDescription", "TopicPartition"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def open(
    path: str | os.PathLike[str],
    *,
    durability: Durability = "fsync",
    read_only: bool = False,
    files: Files | None = None,
    clock: Clock | None = None,
    threaded: bool = True,
) -> Log:
    """Opens the log in a directory, making the directory if need be, or one in memory.

    One process owns a directory. Opened again in that process, the log is shared, and each opening
    is closed for itself.

    *In memory*: ":memory:" is a new log, of this opening alone; ":memory:NAME" is one that is
    shared in the process, and gone when its last opening is closed. Everything works as on disk,
    but nothing is durable: `durability` means nothing there.

    *Threads*: a log and a producer may be used from any thread, a consumer from one at a time,
    `wakeup` excepted; have one a thread or task. Closing a log while others use it is safe: what
    they had sent is written, iterations end, waiting polls return, and every later call raises
    (`LogClosedError`, or `ValueError` for a producer or consumer). An `on_available` callback must
    not call the log.

    *The end*: a `with` block closes the log, also on Ctrl-C. What is not closed is closed when the
    interpreter ends, behind all threads that are not daemons: a thread that iterates for ever has
    to be a daemon, or to be told (`wakeup`, `close`).

    *Forks*: only the parent may go on using the log. In the child every call raises
    `LogForkedError`, nothing is written at its end, and it does not keep the directory locked; a
    future of before the fork never ends there. A child opens a log of its own, after the fork.

    Args:
        path: a directory, or ":memory:" or ":memory:NAME". Addresses (`kafka://...`) are not
            supported yet.
        durability: "fsync" acknowledges what is on the disk, "os" what the operating system has:
            that survives the death of the process, not of the machine.
        read_only: reads beside the owner, or a directory that nobody owns, without a lock; sees
            everything up to the last durable end, and what is added while it is open.
        files: the file system, for tests; the operating system's by default.
        clock: the wall clock, for tests.
        threaded: False starts no thread. Writes are then synced in the thread that waits for them
            (`flush`, `result`, `commit_transaction`), in an order that repeats, for tests.

    Raises:
        DirectoryLockedError: another process owns the directory.
        DirectoryAccessError: it cannot be made, read or written.
        FormatVersionError: a newer version of streamlog wrote it.
        CorruptLogError: damage that no crash explains; nothing was changed.
        UnsupportedLogError: an address instead of a directory.
    """
    address = str(path)
    if "://" in address:
        from streamlog.errors import UnsupportedLogError

        raise UnsupportedLogError(
            address, "only directories can be opened yet, not servers or clusters"
        )
    from streamlog.client.embedded import EmbeddedLog

    return EmbeddedLog.open(
        path,
        durability=durability,
        read_only=read_only,
        files=files,
        clock=clock,
        threaded=threaded,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
