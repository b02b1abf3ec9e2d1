"""Writes page views into a log, runs the application over them, and shows the visits.

python examples/sessionization/demo.py --dir .demo-sessions
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from views import PageView, page_views

import streamlog

EXAMPLE = Path(__file__).parent
STREAMLOG = Path(sys.executable).with_name("streamlog")


def fill(path: Path, views: list[PageView]) -> None:
    """In the order of the reports, with the times of the views."""
    with streamlog.open(path) as log, log.producer() as producer:
        log.create_topic("page-views", 4)
        for view in views:
            told = {"user": view.user, "page": view.page, "device": view.device, "at": view.at}
            value = msgspec.json.encode(told)
            producer.send("page-views", key=view.user, value=value, timestamp=view.at)


def read(path: Path, topic: str) -> list[dict[str, Any]]:
    with streamlog.open(path, read_only=True) as log:
        consumer = log.consumer(topic, key=str, value="json")
        values: list[dict[str, Any]] = []
        while records := consumer.poll(max_records=10_000):
            values += [record.value for record in records]
        return values


def show(views: list[PageView], visits: list[dict[str, Any]], late: list[dict[str, Any]]) -> None:
    lengths = [visit["seconds"] for visit in visits]
    counted = sum(visit["pages"] for visit in visits)
    print(f"{len(views):,} page views: {len(visits):,} visits of {counted:,} views are over,")
    print(f"{len(late):,} views came too late, {len(views) - counted - len(late):,} are in visits")
    print("that may still go on.")
    bought = sum(visit["bought"] for visit in visits)
    print(f"median length {statistics.median(lengths):.0f} s, longest {max(lengths):.0f} s")
    print(f"{bought / len(visits):.1%} of the visits end with an order")
    for name in ("entry", "exit"):
        pages = Counter(visit[name] for visit in visits).most_common(3)
        print(f"{name:<5}", ", ".join(f"{page} {count:,}" for page, count in pages))
    for view in late[:3]:
        print(f"late: {view['user']} saw {view['page']} ({view['device']})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path(".demo-sessions"), help="the log")
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--hours", type=int, default=24)
    chosen = parser.parse_args()
    views = page_views(chosen.users, chosen.hours)
    if not chosen.dir.exists():
        fill(chosen.dir, views)
    app = EXAMPLE / "app.py"
    code = subprocess.call([STREAMLOG, "run", app, "--log", chosen.dir, "--until-idle"])
    if code == 0:
        show(views, read(chosen.dir, "visits"), read(chosen.dir, "late-views"))
    return code


if __name__ == "__main__":
    sys.exit(main())
