"""`streamlog fsck DIR`: what is wrong with a log, and where; `--repair` saves what can be saved."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli.dump import DAMAGE
from streamlog.cli.options import DEFAULT_LOG, JsonOption

if TYPE_CHECKING:
    from streamlog.storage.inspect import Finding, Repaired


def fsck(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", envvar="STREAMLOG_LOG", file_okay=False, help="The log's directory."
        ),
    ] = DEFAULT_LOG,
    *,
    repair: Annotated[
        Path | None,
        typer.Option(metavar="NEWDIR", help="Save all that can be saved into this new directory."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Check every file of a log that no process has open. Changes nothing.

    Each finding names its place as `file:byte:offset`. `damage`: what readers need is wrong or
    gone. `mended`: the next opening puts it right, as after a crash. `odd`: nobody reads it.

    With `--repair` every whole batch is saved, with its offset; indexes are made anew; lost offsets
    stay empty, so that committed offsets keep their meaning; a transaction whose marker is lost
    counts as aborted. The old directory stays as it is.

    Exit codes: 0 no damage, or with `--repair` nothing lost; 1 it could not be checked or written;
    3 damage, or with `--repair` something is lost.

    Examples:

        streamlog fsck data

        streamlog fsck data --repair data.saved
    """
    from streamlog.cli.disk import hold_still

    with hold_still(directory):
        findings = _check(directory)
        repaired = None if repair is None else _repair(directory, repair)
    if json_:
        print(json.dumps(_facts(findings, repaired)))
    else:
        for finding in findings:
            print(f"{finding.level:<6}  {finding}")
        print(_summary(findings, directory, repair), file=sys.stderr)
        if repaired is not None:
            print("\n".join(_saved(repaired, repair)), file=sys.stderr)
    lost = _is_damaged(findings) if repaired is None else bool(repaired.lost_offsets)
    if lost or (repaired is not None and repaired.restored_topics):
        raise typer.Exit(DAMAGE)


def _check(directory: Path) -> list[Finding]:
    from streamlog.cli.view.progress import progress
    from streamlog.files import OsFiles
    from streamlog.storage.inspect import check_directory

    with progress("checking", _segment_bytes(directory)) as advance:
        return list(check_directory(OsFiles(), str(directory), progress=advance))


def _repair(directory: Path, target: Path) -> Repaired:
    from streamlog.cli.view.progress import progress
    from streamlog.files import OsFiles
    from streamlog.storage.inspect import repair_directory

    with progress("saving", _segment_bytes(directory)) as advance:
        files, root = OsFiles(), str(directory)
        return repair_directory(files, root, str(target.absolute()), progress=advance)


def _segment_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*/*.log"))


def _is_damaged(findings: list[Finding]) -> bool:
    return any(finding.level == "damage" for finding in findings)


def _summary(findings: list[Finding], directory: Path, repair: Path | None) -> str:
    counts = {
        level: sum(finding.level == level for finding in findings)
        for level in ("damage", "mended", "odd")
    }
    if not findings:
        return f"{directory}: nothing wrong"
    said = f"{directory}: " + ", ".join(f"{count} {level}" for level, count in counts.items())
    if counts["damage"] and repair is None:
        said += f"; `streamlog fsck {directory} --repair NEWDIR` saves what can be saved"
    return said


def _saved(repaired: Repaired, target: Path | None) -> list[str]:
    lines = [f"saved {repaired.records:,} records in {target}"]
    for partition, rescued in repaired.partitions.items():
        lines += [f"lost {partition} offsets {a} to {b - 1}" for a, b in rescued.lost]
        lines += [
            f"aborted {partition} the transaction of producer {producer} from offset {offset}: "
            "its marker is lost"
            for producer, offset in rescued.undecided.items()
        ]
    lines += [f"lost the configuration of topic {topic}" for topic in repaired.restored_topics]
    return lines


def _facts(findings: list[Finding], repaired: Repaired | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"findings": [asdict(finding) for finding in findings]}
    if repaired is not None:
        facts["repaired"] = {
            "records": repaired.records,
            "restored_topics": repaired.restored_topics,
            "partitions": {str(name): asdict(each) for name, each in repaired.partitions.items()},
        }
    return facts
