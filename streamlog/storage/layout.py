"""Names of files, as Kafka lays a log directory out.

<root>/
  meta.properties                     format, cluster and directory ids
  .lock                               flock, the owner's pid inside
  .kafka_cleanshutdown                there after a clean stop, gone while the log is open
  recovery-point-offset-checkpoint    below it, nothing needs to be read again
  log-start-offset-checkpoint
  replication-offset-checkpoint       high watermarks at the last clean stop
  cleaner-offset-checkpoint           how far each log has been compacted
  durable-offsets                     high watermarks, after every flush window (ours)
  session                             durability and boot of the last owner (ours)
  <topic>-<partition>/
    <20-digit base offset>.log        record batches back to back
    <20-digit base offset>.index      offset index
    <20-digit base offset>.timeindex  time index
    <20-digit base offset>.txnindex   aborted transactions
    <20-digit offset>.snapshot        producer state up to that offset
    leader-epoch-checkpoint
    partition.metadata                the topic's id
"""

from __future__ import annotations

import re
from typing import Final

LOG: Final = ".log"
OFFSET_INDEX: Final = ".index"
TIME_INDEX: Final = ".timeindex"
TRANSACTION_INDEX: Final = ".txnindex"
SNAPSHOT: Final = ".snapshot"
INDEXES: Final = (OFFSET_INDEX, TIME_INDEX, TRANSACTION_INDEX)

CLEANED: Final = ".cleaned"
SWAP: Final = ".swap"
DELETED: Final = ".deleted"
"""Behind the name of a file that is not yet, almost or no longer a segment's."""

LEADER_EPOCH_CHECKPOINT: Final = "leader-epoch-checkpoint"
PARTITION_METADATA: Final = "partition.metadata"

META_PROPERTIES: Final = "meta.properties"
LOCK: Final = ".lock"
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
RECOVERY_POINTS: Final = "recovery-point-offset-checkpoint"
LOG_START_OFFSETS: Final = "log-start-offset-checkpoint"
HIGH_WATERMARKS: Final = "replication-offset-checkpoint"
CLEANED_OFFSETS: Final = "cleaner-offset-checkpoint"
DURABLE_OFFSETS: Final = "durable-offsets"
SESSION: Final = "session"

_SEGMENT_FILE = re.compile(r"(\d{20})(\.log|\.index|\.timeindex|\.txnindex|\.snapshot)")


def file_name(offset: int, suffix: str) -> str:
    """`00000000000000000042.log` for 42 and `.log`."""
    return f"{offset:020d}{suffix}"


def parse_file_name(name: str) -> tuple[int, str] | None:
    """Offset and suffix of a segment's or snapshot's file; None for any other file."""
    match = _SEGMENT_FILE.fullmatch(name)
    return (int(match[1]), match[2]) if match else None
