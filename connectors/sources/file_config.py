"""What the file of a `file` source says below its name."""
# No postponed annotations here: the reader takes the types of the fields at run time.

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from connectors.config.scalars import DurationMs, Refused, ScalarType, SizeBytes
from connectors.config.typed import Key
from connectors.sources.lines import check_encoding


def parse_encoding(text: str) -> str:
    if (reason := check_encoding(text)) is not None:
        raise Refused(reason)
    return text


Encoding = Annotated[str, ScalarType("an encoding", parse_encoding, takes_quoted=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldKey:
    """A field of each JSON line is its key, written by the serde `type`."""

    field: str
    type: Literal["str", "bytes", "int", "float", "json"] = "str"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSourceConfig:
    """Attributes:
    paths: Files and glob patterns, relative to the working directory.
    exclude: Patterns of what is left out; `**/old/**` leaves out every directory `old`.
    encoding: What the files are in; the records are UTF-8.
    encoding_errors: `strict` refuses a line that is not in the encoding, `replace` puts U+FFFD.
    key: `file` is the path, so that the lines of a file stay in one partition.
    follow: Wait for more lines and more files.
    poll_ms: How often to look while following.
    max_line_bytes: A longer line is refused.
    """

    paths: list[str]
    exclude: list[str] = field(default_factory=list[str])
    format: Literal["lines", "json"] = "lines"
    encoding: Encoding = "utf-8"
    encoding_errors: Literal["strict", "replace"] = "strict"
    key: Literal["none", "file"] | FieldKey = "none"
    follow: bool = True
    poll_ms: Annotated[DurationMs, Key("poll")] = 1_000
    max_line_bytes: Annotated[SizeBytes, Key("max_line")] = 1_000_000

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.paths:
            yield "paths", "name at least one file or pattern"
        if "" in self.paths:
            yield "paths", "a path is empty"
        if isinstance(self.key, FieldKey) and self.format == "lines":
            yield "key", "lines have no fields; a field as key needs format: json"
