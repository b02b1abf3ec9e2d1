"""The log on disk: topic-partition directories, written by one owner, read by anyone."""

from streamlog.storage.flusher import Flusher
from streamlog.storage.followed_log import FollowedLog
from streamlog.storage.loader import Truncation
from streamlog.storage.log_directory import Durability, LogDirectory
from streamlog.storage.partition_log import AppendResult, PartitionLog
from streamlog.storage.producer_state import ProducerSummary
from streamlog.storage.read_only_directory import ReadOnlyDirectory
from streamlog.storage.readable_log import FetchedBatches, ReadableLog
from streamlog.storage.transaction_index import AbortedTransaction

__all__ = [
    "AbortedTransaction",
    "AppendResult",
    "Durability",
    "FetchedBatches",
    "Flusher",
    "FollowedLog",
    "LogDirectory",
    "PartitionLog",
    "ProducerSummary",
    "ReadOnlyDirectory",
    "ReadableLog",
    "Truncation",
]
