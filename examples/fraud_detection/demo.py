"""Writes payments into a log, runs the application over them, and compares with the truth.

python examples/fraud_detection/demo.py --dir .demo-fraud
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from payments import BLOCKED, Payment, payments

import streamlog

EXAMPLE = Path(__file__).parent
STREAMLOG = Path(sys.executable).with_name("streamlog")
KINDS = ("velocity", "travel", "amount", "blocklist")


def fill(path: Path, made: list[Payment]) -> None:
    """The topics; the truth stays outside."""
    with streamlog.open(path) as log, log.producer() as producer:
        log.create_topic("blocked-merchants", 1)
        log.create_topic("payments", 4)
        for merchant in BLOCKED:
            producer.send("blocked-merchants", key=merchant, value="reported by its bank")
        for each in made:
            told = {field: getattr(each, field) for field in Payment.__slots__[:6]}
            value = msgspec.json.encode(told)
            producer.send("payments", key=each.card, value=value, timestamp=each.at)


def read_alerts(path: Path) -> list[dict[str, Any]]:
    with streamlog.open(path, read_only=True) as log:
        consumer = log.consumer("alerts", key=str, value="json")
        alerts: list[dict[str, Any]] = []
        while records := consumer.poll(max_records=10_000):
            alerts += [record.value for record in records]
        return alerts


def compare(made: list[Payment], alerts: list[dict[str, Any]]) -> dict[str, float]:
    """Precision over alerted payments, recall over thefts, and recall by kind of theft."""
    by_id = {each.id: each for each in made}
    alerted = {alert["payment"] for alert in alerts}
    found = {by_id[name].incident for name in alerted} - {None}
    thefts = {each.incident: each.fraud for each in made if each.incident}
    figures = {
        "precision": sum(by_id[name].fraud is not None for name in alerted) / len(alerted),
        "recall": len(found) / len(thefts),
    }
    of_kind = Counter(thefts.values())
    for kind in KINDS:
        seen = sum(thefts[incident] == kind for incident in found)
        figures[f"recall of {kind}"] = seen / max(of_kind[kind], 1)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path(".demo-fraud"), help="the log")
    parser.add_argument("--cards", type=int, default=1_000)
    parser.add_argument("--hours", type=int, default=72)
    chosen = parser.parse_args()
    made = payments(chosen.cards, chosen.hours)
    if not chosen.dir.exists():
        fill(chosen.dir, made)
    app = EXAMPLE / "app.py"
    code = subprocess.call([STREAMLOG, "run", app, "--log", chosen.dir, "--until-idle"])
    if code:
        return code
    alerts = read_alerts(chosen.dir)
    print(f"{len(made):,} payments, {len(alerts):,} alerts; the last ones:")
    for alert in alerts[-5:]:
        print(f"  {alert['payment']:<16} {alert['reason']:<10} {alert['detail']}")
    for name, figure in compare(made, alerts).items():
        print(f"{name:<20} {figure:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
