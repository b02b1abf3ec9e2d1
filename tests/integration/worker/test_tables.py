"""Tables over a real log: several runs, with the state kept or lost in between."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from processors import App

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log


def build() -> App:
    app = App("shop", commit_interval_ms=5)
    orders = app.table("orders", value="json")
    users = app.table("users", value=str)
    named = orders.join(
        users,
        lambda order, user: f"{order['n']} {user}",
        foreign_key=lambda order: order["user"],
        how="left",
        value=str,
        name="named",
    )
    named.to_stream().to("named", value=str)
    orders.group_by(lambda order: order["user"]).count(name="per-user").to_stream().to("counts")
    return app


def send(log: Log, moves: list[tuple[str, str, Any, int]]) -> None:
    for topic, serde in (("orders", "json"), ("users", str)):
        with log.producer(key=str, value=serde) as producer:
            for to, key, value, time in moves:
                if to == topic:
                    producer.send(topic, key=key, value=value, timestamp=time)


def last(log: Log, topic: str, value: Any) -> dict[str, Any]:
    consumer = log.consumer(topic, key=str, value=value, start="earliest")
    found: dict[str, Any] = {}
    while records := consumer.poll(0.2):
        found.update((record.key, record.value) for record in records)
    consumer.close()
    return {key: value for key, value in found.items() if value is not None}


def lose_state(path: Path) -> None:
    databases = [found.parent for found in path.rglob("CURRENT")]
    assert databases
    for database in databases:
        shutil.rmtree(database)


@pytest.mark.parametrize("lost", [False, True])
def test_joins_and_groups_go_on_over_restarts(tmp_path: Path, lost: bool) -> None:
    path, rng = tmp_path / "log", random.Random(5)
    orders: dict[str, Any] = {}
    users: dict[str, Any] = {}
    with streamlog.open(path) as log:
        log.create_topic("orders", 3)
        log.create_topic("users", 2)
    time = 0
    for number in range(4):
        if lost and number:
            lose_state(path)
        with streamlog.open(path) as log:
            moves: list[tuple[str, str, Any, int]] = []
            for _ in range(40):
                time += 1
                user = f"u{rng.randrange(5)}"
                if rng.random() < 0.4:
                    users[user] = rng.choice([None, f"name{time}"])
                    moves.append(("users", user, users[user], time))
                else:
                    key = f"o{rng.randrange(12)}"
                    orders[key] = rng.choice(
                        [None, {"n": time, "user": user}, {"n": 0, "user": user}]
                    )
                    moves.append(("orders", key, orders[key], time))
            send(log, moves)
            build().run(log=log, until_idle=True)
            there = {key: order for key, order in orders.items() if order is not None}
            assert last(log, "named", str) == {
                key: f"{order['n']} {users.get(order['user'])}" for key, order in there.items()
            }
            counts = {key: count for key, count in last(log, "counts", int).items() if count}
            assert counts == Counter(order["user"] for order in there.values())
