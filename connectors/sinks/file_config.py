"""What the file of a `file` sink says below its name."""
# No postponed annotations here: the reader takes the types of the fields at run time.

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSinkConfig:
    """Attributes:
    path: The file, relative to the working directory.
    format: `json` writes `{"key": ..., "value": ...}`, `text` the value alone, a line a record.
    mode: `append` keeps every record, `upsert` the latest value of each key.
    compact_ratio: An upserted file is compacted when it is this many times as large as need be.
    """

    path: str
    format: Literal["json", "text"] = "json"
    mode: Literal["append", "upsert"] = "append"
    compact_ratio: float = 2.0

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.path:
            yield "path", "is empty"
        if self.mode == "upsert" and self.format == "text":
            yield "format", "mode: upsert keeps keys, which text has not; write format: json"
        if self.compact_ratio < 1.1:
            yield "compact_ratio", "must be 1.1 or more"
