"""`streamlog size`: what topics take up on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.completion import complete_topic
from streamlog.cli.options import DEFAULT_LOG, JsonOption, LogOption

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("segments", "log_bytes", "index_bytes", "other_bytes")


def size(
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", autocompletion=complete_topic, show_default=False),
    ] = None,
    *,
    log: LogOption = DEFAULT_LOG,
    partitions: Annotated[
        bool, typer.Option("--partitions", "-p", help="A line for each partition.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show what topics take up on the disk, the largest first, the log's own included.

    Works beside the process that owns the log. Room that is reserved for what comes next counts.

    Examples:

        streamlog size --log data

        streamlog size orders --partitions --json
    """
    rows = _rows(log, topics or [], by_partition=partitions)
    if json_:
        print(json.dumps(rows))
        return
    from streamlog.cli.text.tables import aligned
    from streamlog.cli.view.snapshot import short_bytes

    cells = [
        (row["name"], f"{row['segments']:,}", *(short_bytes(row[kind]) for kind in _SIZES))
        for row in rows
    ]
    headings = (
        "partition" if partitions else "topic",
        "segments",
        "log",
        "indexes",
        "other",
        "all",
    )
    for line in aligned(headings, cells, right={1, 2, 3, 4, 5}):
        print(line)


_SIZES = ("log_bytes", "index_bytes", "other_bytes", "bytes")


def _rows(log: Path, chosen: list[str], *, by_partition: bool) -> list[dict[str, Any]]:
    from streamlog.cli.disk import usage
    from streamlog.cli.opening import open_to_read

    with open_to_read(log) as opened:
        known = [opened.topic(name) for name in chosen] or opened.topics(internal=True).values()
        counts = {topic.name: topic.partitions for topic in known}
    if not chosen:
        counts["__streamlog_metadata"] = 1
    found: dict[str, dict[str, Any]] = {}
    for topic, partitions in counts.items():
        for number in range(partitions):
            name = f"{topic}-{number}"
            used = usage(log / name)
            row = found.setdefault(
                name if by_partition else topic,
                {"name": name if by_partition else topic, **dict.fromkeys(KINDS, 0), "bytes": 0},
            )
            for kind in KINDS:
                row[kind] += used[kind]
            row["bytes"] = sum(row[kind] for kind in KINDS[1:])
    shown = [row for row in found.values() if row["bytes"] or not row["name"].startswith("__")]
    return sorted(shown, key=lambda row: -row["bytes"])
