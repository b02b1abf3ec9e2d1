"""The manifest: what the state on disk belongs to, beside the state.

It names everything whose data would be wrong or lost under another graph: stores with their kind,
serdes and partitions, exchanges, and the sources that feed them. Stateless operators and sinks may
change freely and are not in it; neither is what a function does, which nobody can compare. Agents
may come and go, and so may topics that no state comes of; they are there (`reads` has all topics
of streams) so that one whose offsets are lost is told from a new one.

    {"format": 1, "application": "word-count",
     "sources": {"lines": {"partitions": 4}},
     "exchanges": {"words": {"partitions": 4, "key": "str", "value": null}},
     "joins": {"lines.join": {"with": "words"}},
     "stores": {"counts": {"kind": "count", "key": "str", "value": "int", "partitions": 4}},
     "agents": {"settle": {"topic": "orders"}},
     "reads": ["lines"]}
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final, cast

from processors.errors import IncompatibleTopologyError, StateError
from processors.topology.nodes.endpoint import OF_SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT: Final = 1
SECTIONS: Final = {"sources": "source", "exchanges": "exchange", "stores": "store"}

Manifest = dict[str, Any]
Facts = dict[str, dict[str, Any]]


def make_manifest(
    application: str,
    *,
    sources: Facts,
    exchanges: Facts,
    stores: Facts,
    agents: Facts,
    reads: Sequence[str],
    joins: Facts | None = None,
) -> Manifest:
    return {
        "format": FORMAT,
        "application": application,
        "sources": sources,
        "exchanges": exchanges,
        "stores": stores,
        "agents": agents,
        "reads": list(reads),
        "joins": joins or {},
    }


def differences(old: Manifest, new: Manifest) -> list[str]:
    """What of `new` cannot go on where `old` ended, one line each; empty if it can.

    Without stores on either side nothing can go wrong, and sources may come and go.
    """
    if not _binding(old["stores"]) and not _binding(new["stores"]):
        return []
    lines = [
        line
        for section, noun in SECTIONS.items()
        for line in _section_differences(noun, old[section], new[section])
    ]
    return lines + _join_differences(old.get("joins", {}), new["joins"])


def _join_differences(old: Facts, new: Facts) -> list[str]:
    """Joins that have changed places; that they come and go is seen by their stores."""
    return [
        f"~ join {path!r} was with {old[path]['with']}, is with {new[path]['with']}: name the joins"
        for path in old
        if path in new and old[path] != new[path]
    ]


def _section_differences(noun: str, old: Facts, new: Facts) -> list[str]:
    old, new = _binding(old), _binding(new)
    lines = [f"- {noun} {name!r} ({_show(old[name])})" for name in old if name not in new]
    lines += [f"+ {noun} {name!r} ({_show(new[name])})" for name in new if name not in old]
    for name in old:
        for fact in sorted(old[name].keys() | new.get(name, {}).keys()) if name in new else ():
            before, after = old[name].get(fact), new[name].get(fact)
            if before != after:
                lines.append(f"~ {noun} {name!r}: {fact} was {before}, is {after}")
    return lines


def _binding(facts: Facts) -> Facts:
    """Without the stores that may come and go, which are those of sources."""
    return {name: each for name, each in facts.items() if each.get("kind") not in OF_SOURCES}


def _show(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def read_manifest(path: Path) -> Manifest | None:
    """The manifest, or None where there is none yet."""
    try:
        read: object = json.loads(path.read_bytes())
        if not isinstance(read, dict):
            raise ValueError("not an object")
        manifest = cast("Manifest", read)  # JSON's keys are texts
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StateError(f"{path}: damaged manifest ({error}); delete it to go on") from error
    if manifest.get("format") != FORMAT:
        raise StateError(
            f"{path}: manifest of format {manifest.get('format')}; this version reads {FORMAT}"
        )
    return manifest


def check_manifest(old: Manifest | None, new: Manifest) -> None:
    """Raises `IncompatibleTopologyError` with the difference."""
    if old is not None and (lines := differences(old, new)):
        raise IncompatibleTopologyError(new["application"], lines)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replaces the file: temporary file, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
