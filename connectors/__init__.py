"""Connectors: data into the log and out of it, exactly once, from a YAML file.

A connector of one's own is a class that subclasses `Source` or `Sink`, decorated with `source` or
`sink`, and one line of an entry point; see `connectors.api`.
"""

from connectors.api import (
    Batch,
    BlockingSink,
    BlockingSource,
    CommitPoint,
    Exhausted,
    Idle,
    Poison,
    PoisonRecord,
    Retry,
    Sink,
    SinkBatch,
    SinkContext,
    Source,
    SourceColumns,
    SourceContext,
    SourceEvent,
    SourceRecord,
    sink,
    source,
)

__all__ = [
    "Batch",
    "BlockingSink",
    "BlockingSource",
    "CommitPoint",
    "Exhausted",
    "Idle",
    "Poison",
    "PoisonRecord",
    "Retry",
    "Sink",
    "SinkBatch",
    "SinkContext",
    "Source",
    "SourceColumns",
    "SourceContext",
    "SourceEvent",
    "SourceRecord",
    "sink",
    "source",
]
