"""`streamlog dump PATH...`: what the files of a log say, entry by entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAMAGE = 3


def dump(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", exists=True, help="Files, or directories of partitions or logs."
        ),
    ],
    *,
    records: Annotated[
        bool, typer.Option("--records/--no-records", help="The records of each batch, too.")
    ] = True,
    start: Annotated[
        int, typer.Option("--from", metavar="OFFSET", min=0, help="Skip what is below.")
    ] = 0,
    end: Annotated[
        int | None, typer.Option("--to", metavar="OFFSET", min=0, help="Stop before this offset.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Do not decode the records of the log's own topics.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print a line of JSON an entry.")] = False,
) -> None:
    """Show the files of a log: batches, records, indexes, snapshots, checkpoints.

    Opens nothing and takes no lock, so a file may be one that is being written, one of another
    streamlog, or a Kafka broker's. The records of `__consumer_offsets`, `__transaction_state` and
    the metadata are decoded. A damaged file is shown as far as it can be; exit code 3 then.

    Examples:

        streamlog dump data/orders-0 --no-records

        streamlog dump data/orders-0/00000000000000000000.log --from 100 --to 110 --json
    """
    from streamlog.cli.view.pipe import until_the_reader_leaves
    from streamlog.files import OsFiles
    from streamlog.storage.inspect import Wanted, dump_path

    wanted = Wanted(records=records, start=start, end=1 << 63 if end is None else end)
    files = OsFiles()
    entries = (entry for path in paths for entry in dump_path(files, str(path), wanted))
    damaged = False
    topic = ""
    with until_the_reader_leaves():
        for entry in entries:
            if entry["kind"] == "file":
                topic = entry.get("topic", "")
            if entry["kind"] == "record":
                entry = _record(entry, "" if raw else topic)
            damaged |= entry["kind"] == "damage" or "damage" in entry
            print(json.dumps(entry, ensure_ascii=False) if json_ else _line(entry))
    if damaged:
        raise typer.Exit(DAMAGE)


def _record(entry: dict[str, Any], topic: str) -> dict[str, Any]:
    """With text where bytes are, or with what they mean."""
    from streamlog.cli.text.decoding import decode_record
    from streamlog.cli.text.rendering import jsonable

    decoded = decode_record(topic, entry["key"], entry["value"])
    place = {name: entry[name] for name in ("kind", "offset", "timestamp")}
    if decoded is not None:
        return {**place, "decoded": decoded}
    return {
        **place,
        "key": jsonable(entry["key"]),
        "value": jsonable(entry["value"]),
        "headers": [[name, jsonable(value)] for name, value in entry["headers"]],
    }


def _line(entry: dict[str, Any]) -> str:
    """An entry for people: a file's name flush, its entries below it, records further in."""
    match entry["kind"]:
        case "file":
            return f"{entry['path']}  {entry['type']}, {entry['bytes']:,} bytes"
        case "line":
            return f"  {entry['text']}"
        case "batch":
            return f"  {_batch(entry)}"
        case "record" | "marker":
            return f"    {_join(_record_words(entry))}"
        case "damage":
            return f"  DAMAGE at byte {entry['position']}: {entry['reason']}"
        case kind:
            rest = (f"{name}={value}" for name, value in entry.items() if name != "kind")
            return f"  {kind}  {_join(rest)}"


def _batch(entry: dict[str, Any]) -> str:
    kinds = ("transactional", "control", "append_time")
    words = [
        f"batch {entry['base_offset']}-{entry['last_offset']} at byte {entry['position']}",
        f"{entry['records']} records, {entry['bytes']} bytes, {entry['codec']}",
        f"timestamps {entry['base_timestamp']}..{entry['max_timestamp']}",
    ]
    if entry["producer_id"] >= 0:
        words.append(
            f"producer {entry['producer_id']} epoch {entry['producer_epoch']} "
            f"sequence {entry['base_sequence']}"
        )
    words += [kind.replace("_", " ") for kind in kinds if entry[kind]]
    words += ["delete horizon"] if entry["delete_horizon"] is not None else []
    words += [f"leader epoch {entry['leader_epoch']}"] if entry["leader_epoch"] else []
    words += [f"DAMAGE: {entry['damage']}"] if "damage" in entry else []
    return _join(words)


def _record_words(entry: dict[str, Any]) -> Iterator[str]:
    from streamlog.cli.text.moments import format_moment

    yield str(entry["offset"])
    yield format_moment(entry["timestamp"])
    if entry["kind"] == "marker":
        yield f"{entry['type']} of producer {entry['producer_id']} epoch {entry['producer_epoch']}"
    elif "decoded" in entry:
        yield json.dumps(entry["decoded"], ensure_ascii=False)
    else:
        for name in ("key", "value"):
            yield f"{name}={json.dumps(entry[name], ensure_ascii=False)}"
        if entry["headers"]:
            yield f"headers={json.dumps(entry['headers'], ensure_ascii=False)}"


def _join(words: Iterable[str]) -> str:
    return "  ".join(words)
