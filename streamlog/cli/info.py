"""`streamlog info`: what a directory holds, who owns it, and which streamlog this is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streamlog.cli.options import DEFAULT_LOG, JsonOption, LogOption

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log

LIBRARIES = ("rocksdict", "msgspec", "google-crc32c", "cramjam", "confluent-kafka")


def info(*, log: LogOption = DEFAULT_LOG, json_: JsonOption = False) -> None:
    """Show the version, whether the kernels are compiled, and the log at `--log` if there is one.

    Works beside the process that owns the log. `stable` is the end for readers of committed
    records, `end` the durable end.

    Example:

        streamlog info --log data --json
    """
    facts: dict[str, Any] = {"installation": _installation()}
    if log.exists():
        facts["directory"] = _directory(log)
    if json_:
        print(json.dumps(facts))
        return
    for line in _lines(facts, log):
        print(line)


def _installation() -> dict[str, Any]:
    import platform

    from streamlog.compiled import compiled_modules, describe

    return {
        "streamlog": installed_version("streamlog"),
        "runs": describe(),
        "kernels": compiled_modules(),
        "python": platform.python_version(),
        "libraries": {name: installed_version(name) for name in LIBRARIES},
    }


def installed_version(distribution: str) -> str | None:
    """None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _directory(path: Path) -> dict[str, Any]:
    from streamlog.cli.disk import find_owner, read_properties
    from streamlog.cli.opening import open_to_read

    with open_to_read(path) as log:
        return {
            "path": str(path.resolve()),
            "owner_pid": find_owner(path),
            "properties": read_properties(path),
            "partitions": _partitions(log, path),
        }


def _partitions(log: Log, path: Path) -> list[dict[str, Any]]:
    from streamlog.cli.disk import size_bytes
    from streamlog.cli.topics import partition_rows

    return [
        {
            "topic": topic.name,
            **row,
            "size_bytes": size_bytes(path / f"{topic.name}-{row['partition']}"),
        }
        for topic in log.topics(internal=True).values()
        for row in partition_rows(log, topic)
        if row["end"] or not topic.name.startswith("__")
    ]


def _lines(facts: dict[str, Any], path: Path) -> list[str]:
    from streamlog.cli.text.tables import aligned
    from streamlog.cli.view.snapshot import short_bytes

    about = facts["installation"]
    libraries = ", ".join(
        f"{name} {version}" for name, version in about["libraries"].items() if version
    )
    version = about["streamlog"] or "of a source tree"
    lines = [
        f"streamlog {version}, {about['runs']}, on Python {about['python']}",
        f"with {libraries}",
    ]
    directory = facts.get("directory")
    if directory is None:
        return [*lines, f"no log at {path}"]
    owner = directory["owner_pid"]
    lines += ["", f"log  {directory['path']}"]
    lines += [f"     {key}={value}" for key, value in directory["properties"].items()]
    lines += [f"     {'open in process ' + str(owner) if owner else 'not open in any process'}", ""]
    cells = [
        (
            f"{row['topic']}-{row['partition']}",
            f"{row['start']:,}",
            f"{row['stable']:,}",
            f"{row['end']:,}",
            short_bytes(row["size_bytes"]),
        )
        for row in directory["partitions"]
    ]
    headings = ("partition", "start", "stable", "end", "size")
    return [*lines, *aligned(headings, cells, right={1, 2, 3, 4})]
