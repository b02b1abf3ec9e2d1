"""The scenarios of vectors/streams.jsonl, and their topologies as a user builds them.

Each line is a scenario: a topology with its parameters, the records that went in, and what has to
come out after each of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import pytest

import processors
from processors import App

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parents[1] / "vectors" / "streams.jsonl"
SCENARIOS = [json.loads(line) for line in VECTORS.read_text().splitlines()]


# The topologies, by their names in the file.


def agg(app: App, scenario: dict[str, Any]) -> Any:
    grouped = app.stream("L", value=str).group_by_key()
    return grouped.aggregate("", concatenate, value=str, emit="every").to_stream()


def reduce(app: App, scenario: dict[str, Any]) -> Any:
    grouped = app.stream("L", value=str).group_by_key()
    return grouped.reduce(concatenate, emit="every").to_stream()


def cogroup(app: App, scenario: dict[str, Any]) -> Any:
    left = app.stream("L", value=str).group_by_key()
    right = app.stream("R", value=str).group_by_key()
    both = left.cogroup(
        lambda so_far, value: f"{so_far}L{value}",
        (right, lambda so_far, value: f"{so_far}R{value}"),
    )
    return both.aggregate("", value=str, emit="every").to_stream()


def tagg(app: App, scenario: dict[str, Any]) -> Any:
    items = app.table("L", value=str, emit="every").items()
    grouped = items.group_by(
        lambda item: item[1][:1], select=lambda item: item[0] + item[1][1:], value=str
    )
    table = grouped.aggregate(
        "",
        lambda so_far, value: f"{so_far}+{value}",
        remove=lambda so_far, value: f"{so_far}-{value}",
        value=str,
        emit="every",
    )
    return table.to_stream()


def table(app: App, scenario: dict[str, Any]) -> Any:
    made = app.table("L", value=str, emit="every")
    if scenario.get("filter"):
        made = made.filter(lambda value: not value.startswith("x"))
    if "suppress_ms" in scenario:
        most = scenario.get("suppress_max")
        made = made.suppress(until=scenario["suppress_ms"], max_records=most, full="emit")
    return made.to_stream()


def window(app: App, scenario: dict[str, Any]) -> Any:
    size, advance, grace = scenario["size"], scenario["advance"], scenario["grace"]
    if size == advance:
        windows = processors.Tumbling(size, grace=grace)
    else:
        windows = processors.Hopping(size, advance=advance, grace=grace)
    return windowed(app, windows, scenario)


def session(app: App, scenario: dict[str, Any]) -> Any:
    return windowed(app, processors.Session(scenario["gap"], grace=scenario["grace"]), scenario)


def sliding(app: App, scenario: dict[str, Any]) -> Any:
    return windowed(app, processors.Sliding(scenario["size"], grace=scenario["grace"]), scenario)


def ss(app: App, scenario: dict[str, Any]) -> Any:
    left, right = app.stream("L", value=str), app.stream("R", value=str)
    return left.join(
        right,
        join,
        before=scenario["before"],
        after=scenario["after"],
        grace=scenario["grace"],
        how=scenario["kind"],
    )


def tt(app: App, scenario: dict[str, Any]) -> Any:
    left = app.table("L", value=str, versioned=history(scenario, "left"), emit="every")
    right = app.table("R", value=str, versioned=history(scenario, "right"), emit="every")
    name = "joined" if scenario.get("materialize") else None
    return left.join(right, join, how=scenario["kind"], name=name).to_stream()


def st(app: App, scenario: dict[str, Any]) -> Any:
    left = app.stream("L", value=str)
    right = app.table("R", value=str, versioned=scenario.get("versioned_ms"))
    return left.join(right, join, how=scenario["kind"], grace=scenario.get("grace"))


def gt(app: App, scenario: dict[str, Any]) -> Any:
    left = app.stream("L", value=str)
    return left.join(app.global_table("R", value=str), join, key=foreign, how=scenario["kind"])


def fk(app: App, scenario: dict[str, Any]) -> Any:
    left = app.table("L", value=str, emit="every")
    right = app.table("R", value=str, emit="every")
    return left.join(right, join, foreign_key=foreign, how=scenario["kind"]).to_stream()


BUILD: Final[dict[str, Callable[[App, dict[str, Any]], Any]]] = {
    made.__name__: made
    for made in (agg, reduce, cogroup, tagg, table, window, session, sliding, ss, tt, st, gt, fk)
}


def windowed(app: App, windows: Any, scenario: dict[str, Any]) -> Any:
    grouped = app.stream("L", value=str).group_by_key().windowed_by(windows)
    emit = "final" if scenario.get("emit") == "close" else "every"
    made = grouped.aggregate("", concatenate, merge=concatenate, value=str, emit=emit)
    if scenario.get("suppress") == "window-close":
        made = made.suppress(until="window_close")
    items = made.to_stream().items()
    keyed = items.map_key(lambda item: f"{item[0].key}@[{item[0].start},{item[0].end}]")
    return keyed.map(lambda item: item[1])


def concatenate(so_far: str, value: str) -> str:
    return so_far + value


def join(left: str | None, right: str | None) -> str:
    return f"{left or 'null'}-{right or 'null'}"


def foreign(value: str) -> str | None:
    _, bar, key = value.partition("|")
    return key if bar else None


def history(scenario: dict[str, Any], side: str) -> int | None:
    kept = scenario.get(f"{side}_versioned_ms", -1)
    return None if kept < 0 else kept


# What runs of them share.


def build(scenario: dict[str, Any], name: str = "vectors") -> App:
    app = App(name)
    BUILD[scenario["topology"]](app, scenario).to("out", value=str)
    return app


def every(scenarios: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario["name"])


def by_hash(scenario: dict[str, Any], what: str, place: int = 0) -> int:
    """A number for a choice, the same in every run."""
    return crc32(f"{scenario['name']}:{what}{place}".encode())


def choose_restarts(scenario: dict[str, Any], config: pytest.Config) -> set[int]:
    """The records before which the process ends: three, or all (`--all-restarts`)."""
    places = range(len(scenario["inputs"]))
    if config.getoption("--all-restarts"):
        return set(places)
    return set(sorted(places, key=lambda place: by_hash(scenario, "", place))[:3])
