"""Joins of streams over a real log: several runs, with the state kept or lost in between."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest

import streamlog
from processors import App

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log

Row = tuple[str, str, str, int]

PARTITIONS = 2
WITHIN = 700


def build() -> App:
    app = App("joins", commit_interval_ms=5)
    left, right = app.stream("L", value=str), app.stream("R", value=str)

    def both(first: str | None, second: str | None) -> str:
        return f"{first}-{second}"

    left.join(right, both, within=WITHIN, grace=300, how="outer").to("joined", value=str)
    left.join_asof(right, both, grace=300, how="left").to("latest", value=str)
    left.join(left, both, within=WITHIN, name="self-join").to("self", value=str)
    return app


def make_rows() -> list[Row]:
    """In the order of their timestamps, so that every run sees them in one order."""
    rng = random.Random(7)
    rows: list[Row] = []
    for number in range(160):
        side, key = rng.choice("LR"), f"k{rng.randrange(8)}"
        rows.append((side, key, f"{side}{number}", 1_000 + number * 50))
    return rows


def send(log: Log, rows: list[Row]) -> None:
    with log.producer(key=str, value=str) as producer:
        for topic, key, value, time in rows:
            producer.send(topic, key=key, value=value, timestamp=time)


def results(log: Log) -> dict[str, list[tuple[str, str, int]]]:
    found: dict[str, list[tuple[str, str, int]]] = {}
    for topic in ("joined", "latest", "self"):
        with log.consumer(topic, key=str, value=str, start="earliest") as consumer:
            rows: list[tuple[str, str, int]] = []
            while records := consumer.poll(0.2):
                rows += [(record.key, record.value, record.timestamp) for record in records]
        found[topic] = sorted(rows)
    return found


def run(path: Path, parts: list[list[Row]], *, lost: bool) -> dict[str, list[tuple[str, str, int]]]:
    with streamlog.open(path) as log:
        for topic in "LR":
            log.create_topic(topic, PARTITIONS)
    for number, rows in enumerate(parts):
        if lost and number:
            for found in list(path.rglob("CURRENT")):
                shutil.rmtree(found.parent)
        with streamlog.open(path) as log:
            send(log, rows)
            build().run(log=log, until_idle=True)
            if number == len(parts) - 1:
                return results(log)
    raise AssertionError("there is a last part")


@pytest.mark.parametrize("lost", [False, True])
def test_runs_in_parts_give_what_one_run_gives(tmp_path: Path, lost: bool) -> None:
    rows = make_rows()
    wanted = run(tmp_path / "once", [rows], lost=False)
    assert all(wanted.values())
    parts = [rows[start : start + 40] for start in range(0, len(rows), 40)]
    assert run(tmp_path / "parts", parts, lost=lost) == wanted
