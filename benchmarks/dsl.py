"""The operators of the language end to end, exactly once, each beside the bare loop.

Two million events of about 100 bytes of JSON, keyed by user (100,000 users, Zipf), a millisecond
apart, in an embedded log of four partitions. The worker reads them, keeps state in RocksDB behind
its cache, and writes results and changelogs to the same log, with commits as by default; the clock
stops when everything is committed. It runs in a process of its own, on one core.

Each figure is records a second; `*_loop` is a plain Python loop that does the same work in this
process without durability, on objects that are decoded from the same JSON. Scenarios can be named:
`dsl.py tumbling session`. `large_state` fills 20 million keys first and runs only when named;
`flat` is `tumbling` over 10^5, 10^6 and 10^7 records behind the start of the worker, in records a
second, and what a record of the last costs beside one of the first.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from measure import median, options, report
from worker import work, work_in_a_process

import streamlog
from processors import App, Hopping, Session, Tumbling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.client.contract import Log

RECORDS = 2_000_000
USERS = 100_000
PARTITIONS = 4
SEED = 1
START_MS = 1_700_000_000_000
TYPES = ("view", "click", "cart", "buy", "back")
BATCH = 10_000
FEW = 1_000
"""Takes no time worth counting beside the start of a worker."""
LARGE_KEYS = 20_000_000
LARGE_BUDGET_MB = 256

Row = tuple[bytes, bytes, int]
"""Key, value, timestamp."""


class Event(msgspec.Struct):
    user: str
    amount: float
    ts: int
    type: str


class Alert(msgspec.Struct):
    user: str
    cents: int


class Order(msgspec.Struct):
    id: str
    user: str
    amount: float


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is written, the application over it, and the same as a loop.

    Attributes:
        topics: By name, what makes so many records for it.
        loop: Takes the topics' rows; gives something that depends on all of them.
    """

    topics: dict[str, Callable[[int], Iterator[Row]]]
    build: Callable[[], App]
    loop: Callable[[dict[str, list[Row]]], Any]


# What is written.


def users(count: int) -> Iterator[str]:
    """Users by Zipf's law."""
    rng = random.Random(SEED)
    weights = list(accumulate(1 / (rank + 1) for rank in range(USERS)))
    names = [f"user-{number:06d}" for number in range(USERS)]
    rng.shuffle(names)
    while count > 0:
        yield from rng.choices(names, cum_weights=weights, k=min(count, BATCH))
        count -= BATCH


def events(count: int) -> Iterator[Row]:
    rng = random.Random(SEED)
    for number, user in enumerate(users(count)):
        now = START_MS + number
        kind = TYPES[rng.randrange(5)]
        value = b'{"user":"%s","amount":%.2f,"ts":%d,"type":"%s","note":"%s"}' % (
            *(user.encode(), rng.random() * 500, now),
            *(kind.encode(), b"n" * (12 - len(kind))),
        )
        yield user.encode(), value, now


def profiles(count: int) -> Iterator[Row]:
    """One record a user, before the first event."""
    for number in range(min(count, USERS)):
        value = b'{"id":"user-%06d","user":"tier-%d","amount":1.5}' % (number, number % 5)
        yield b"user-%06d" % number, value, START_MS - 1


def placed(count: int) -> Iterator[Row]:
    for number in range(count // 2):
        value = b'{"id":"order-%07d","user":"user-%06d","amount":9.5,"note":"%s"}' % (
            *(number, number % USERS),
            b"n" * 30,
        )
        yield b"order-%07d" % number, value, START_MS + number


def paid(count: int) -> Iterator[Row]:
    """Each order's payment, up to half a second behind it or before it."""
    for key, value, now in placed(count):
        yield key, value, now + hash_of(key) % 1000 - 500


def hash_of(key: bytes) -> int:
    return int.from_bytes(key[-4:], "big") * 2_654_435_761 >> 7


def orders_of_users(count: int) -> Iterator[Row]:
    """A table of orders, each naming one of 10,000 users."""
    for number in range(count):
        key = b"order-%07d" % (number % (count // 2 or 1))
        value = b'{"id":"%s","user":"user-%06d","amount":9.5}' % (key, number * 7 % 10_000)
        yield key, value, START_MS + number


# Applications.


def source(app: App, topic: str = "events", kind: type = Event) -> Any:
    return app.stream(topic, key=str, value=kind)


def stateless() -> App:
    app = App("dsl")
    (
        source(app)
        .filter(lambda event: event.type == "buy")
        .map(lambda event: Alert(event.user, int(event.amount * 100)))
        .map_key(lambda alert: alert.user[-4:])
        .to("out", value=Alert)
    )
    return app


def stateless_loop(rows: dict[str, list[Row]]) -> Any:
    decode, encode = msgspec.json.Decoder(Event).decode, msgspec.json.encode
    out: list[tuple[bytes, bytes]] = []
    for _, value, _ in rows["events"]:
        event = decode(value)
        if event.type == "buy":
            alert = Alert(event.user, int(event.amount * 100))
            out.append((alert.user[-4:].encode(), encode(alert)))
    return out


def count() -> App:
    app = App("dsl")
    grouped = source(app).group_by_key(value=Event)
    grouped.aggregate(
        lambda: [0, 0.0], lambda sums, event: [sums[0] + 1, sums[1] + event.amount], value="json"
    ).to_stream().to("out")
    return app


def count_loop(rows: dict[str, list[Row]]) -> Any:
    decode = msgspec.json.Decoder(Event).decode
    sums: dict[bytes, list[Any]] = {}
    for key, value, _ in rows["events"]:
        old = sums.get(key) or [0, 0.0]
        sums[key] = [old[0] + 1, old[1] + decode(value).amount]
    return sums


def windowed(window: Any) -> Callable[[], App]:
    def build() -> App:
        app = App("dsl")
        source(app).group_by_key(value=Event).windowed_by(window).count().to_stream().to("out")
        return app

    return build


def window_loop(size: int, advance: int) -> Callable[[dict[str, list[Row]]], Any]:
    def loop(rows: dict[str, list[Row]]) -> Any:
        decode = msgspec.json.Decoder(Event).decode
        counts: dict[tuple[bytes, int], int] = {}
        for key, value, now in rows["events"]:
            decode(value)
            for start in range(now - now % advance, now - size, -advance):
                counts[key, start] = counts.get((key, start), 0) + 1
        return counts

    return loop


def session_loop(rows: dict[str, list[Row]]) -> Any:
    decode = msgspec.json.Decoder(Event).decode
    last: dict[bytes, list[int]] = {}
    done: list[list[int]] = []
    for key, value, now in rows["events"]:
        decode(value)
        found = last.get(key)
        if found is not None and now - found[1] <= 30_000:
            found[1], found[2] = now, found[2] + 1
        else:
            if found is not None:
                done.append(found)
            last[key] = [now, now, 1]
    return done, last


def stream_join() -> App:
    app = App("dsl")
    left, right = source(app, "placed", Order), source(app, "paid", Order)
    joined = left.join(
        right, lambda one, other: {"id": one.id, "paid": other.amount}, within="1s", grace="1s"
    )
    joined.to("out")
    return app


def stream_join_loop(rows: dict[str, list[Row]]) -> Any:
    decode = msgspec.json.Decoder(Order).decode
    sides: tuple[dict[bytes, list[Any]], ...] = ({}, {})
    merged = sorted(
        [(now, 0, key, value) for key, value, now in rows["placed"]]
        + [(now, 1, key, value) for key, value, now in rows["paid"]]
    )
    out: list[Any] = []
    for now, side, key, value in merged:
        one = decode(value)
        sides[side].setdefault(key, []).append((now, one))
        for then, other in sides[1 - side].get(key, ()):
            if -1000 <= now - then <= 1000:
                out.append(msgspec.json.encode({"id": one.id, "paid": other.amount}))
    return out


def table_join() -> App:
    app = App("dsl")
    table = app.table("profiles", key=str, value=Order)
    source(app).join(table, lambda event, profile: Alert(profile.user, int(event.amount))).to(
        "out", value=Alert
    )
    return app


def table_join_loop(rows: dict[str, list[Row]]) -> Any:
    decode = msgspec.json.Decoder(Event).decode
    table = {key: msgspec.json.decode(value, type=Order) for key, value, _ in rows["profiles"]}
    out: list[bytes] = []
    for key, value, _ in rows["events"]:
        event, profile = decode(value), table.get(key)
        if profile is not None:
            out.append(msgspec.json.encode(Alert(profile.user, int(event.amount))))
    return out


def fk_join() -> App:
    app = App("dsl")
    orders = app.table("orders", key=str, value=Order)
    owners = app.table("profiles", key=str, value=Order)
    orders.join(
        owners,
        lambda order, owner: Alert(owner.user, int(order.amount)),
        foreign_key=lambda order: order.user,
    ).to_stream().to("out", value=Alert)
    return app


def fk_join_loop(rows: dict[str, list[Row]]) -> Any:
    decode = msgspec.json.Decoder(Order).decode
    owners = {key: decode(value) for key, value, _ in rows["profiles"]}
    orders: dict[bytes, Order] = {}
    out: list[bytes] = []
    for key, value, _ in rows["orders"]:
        order = orders[key] = decode(value)
        owner = owners.get(order.user.encode())
        if owner is not None:
            out.append(msgspec.json.encode(Alert(owner.user, int(order.amount))))
    return out


def processor() -> App:
    app = App("dsl")
    totals = app.state_store("totals", value=float)

    def add(record: Any, context: Any) -> None:
        store = context.store("totals")
        total = (store.get(record.key) or 0.0) + record.value.amount
        store.put(record.key, total)
        if record.value.type == "buy":
            context.forward(value=total)

    source(app).process(add, stores=[totals]).to("out", value=float)
    return app


def processor_loop(rows: dict[str, list[Row]]) -> Any:
    decode = msgspec.json.Decoder(Event).decode
    totals: dict[bytes, float] = {}
    out: list[float] = []
    for key, value, _ in rows["events"]:
        event = decode(value)
        totals[key] = totals.get(key, 0.0) + event.amount
        if event.type == "buy":
            out.append(totals[key])
    return out, totals


def large_state() -> App:
    app = App("dsl", memory=f"{LARGE_BUDGET_MB}MB")
    app.stream("keys", key=str, value=bytes).group_by_key().count(name="counts")
    return app


SCENARIOS: dict[str, Scenario] = {
    "stateless": Scenario(topics={"events": events}, build=stateless, loop=stateless_loop),
    "count": Scenario(topics={"events": events}, build=count, loop=count_loop),
    "tumbling": Scenario(
        topics={"events": events},
        build=windowed(Tumbling("1m")),
        loop=window_loop(60_000, 60_000),
    ),
    "hopping5": Scenario(
        topics={"events": events},
        build=windowed(Hopping("5m", advance="1m")),
        loop=window_loop(300_000, 60_000),
    ),
    "session": Scenario(
        topics={"events": events}, build=windowed(Session("30s")), loop=session_loop
    ),
    "stream_join": Scenario(
        topics={"placed": placed, "paid": paid}, build=stream_join, loop=stream_join_loop
    ),
    "table_join": Scenario(
        topics={"profiles": profiles, "events": events}, build=table_join, loop=table_join_loop
    ),
    "fk_join": Scenario(
        topics={"profiles": profiles, "orders": orders_of_users},
        build=fk_join,
        loop=fk_join_loop,
    ),
    "processor": Scenario(topics={"events": events}, build=processor, loop=processor_loop),
}


# Measuring.


def fill(path: Path, rows: dict[str, list[Row]]) -> None:
    with streamlog.open(path) as log:
        for topic, column in rows.items():
            log.create_topic(topic, PARTITIONS)
            write(log, topic, column)


def write(log: Log, topic: str, rows: list[Row]) -> None:
    with log.producer() as producer:
        for start in range(0, len(rows), BATCH):
            keys, values, timestamps = map(list, zip(*rows[start : start + BATCH], strict=True))
            producer.send_columns(topic, keys, values, timestamps=timestamps)


def once(name: str, filled: Path, folder: Path) -> dict[str, float]:
    path = folder / "run"
    shutil.copytree(filled, path)
    os.sync()
    try:
        return work_in_a_process(__file__, name, str(path))
    finally:
        shutil.rmtree(path)


def measure(name: str, records: int, runs: int) -> dict[str, float]:
    scenario = SCENARIOS[name]
    rows = {topic: list(make(records)) for topic, make in scenario.topics.items()}
    total = sum(map(len, rows.values()))

    def loop() -> float:
        started = time.perf_counter()
        scenario.loop(rows)
        return total / (time.perf_counter() - started)

    looped = median(1, loop)
    with tempfile.TemporaryDirectory(prefix="dsl-") as folder:
        filled = Path(folder) / "filled"
        fill(filled, rows)
        rows.clear()
        found = [once(name, filled, Path(folder)) for _ in range(runs)]
    rates = iter([total / run["seconds"] for run in found])
    return {
        name: median(runs, rates.__next__),
        f"{name}_loop": looped,
        f"{name}_rss_mb": max(run["rss_mb"] for run in found),
    }


def measure_flat(scale: float) -> dict[str, float]:
    """What a record of 10^7 costs beside one of 10^5, the start of the worker not counted."""

    def seconds(records: int, runs: int) -> float:
        return records / measure("tumbling", records, runs)["tumbling"]

    start = seconds(FEW, 5)
    costs = {
        size: (seconds(int(size * scale), runs) - start) / (size * scale)
        for size, runs in ((100_000, 5), (1_000_000, 3), (10_000_000, 1))
    }
    return {f"flat_{size}": 1 / cost for size, cost in costs.items()} | {
        "flat": costs[10_000_000] / costs[100_000]
    }


def measure_large_state(scale: float) -> dict[str, float]:
    keys = int(LARGE_KEYS * scale)
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="dsl-") as folder:
        path = Path(folder) / "log"
        with streamlog.open(path) as log:
            log.create_topic("keys", PARTITIONS)
            _write_keys(log, range(keys))
        filling = work_in_a_process(__file__, "large_state", str(path))
        records = int(1_000_000 * scale)
        with streamlog.open(path) as log:
            _write_keys(log, [rng.randrange(keys) for _ in range(records)])
        run = work_in_a_process(__file__, "large_state", str(path))
    return {
        "large_state": records / run["seconds"],
        "large_state_filling": keys / filling["seconds"],
        "large_state_rss_mb": max(run["rss_mb"], filling["rss_mb"]),
        "large_state_rss_ratio": max(run["rss_mb"], filling["rss_mb"]) / LARGE_BUDGET_MB,
    }


def _write_keys(log: Log, numbers: Any) -> None:
    with log.producer() as producer:
        for start in range(0, len(numbers), BATCH):
            keys = [b"key-%09d" % number for number in numbers[start : start + BATCH]]
            producer.send_columns("keys", keys, [b"x"] * len(keys))


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        name, path = sys.argv[2:4]
        build = large_state if name == "large_state" else SCENARIOS[name].build
        print(json.dumps(work(build(), Path(path))))
        return
    chosen = options(__doc__, runs=1, names=[*SCENARIOS, "large_state", "flat"])
    figures: dict[str, float] = {}
    for name in chosen.names or SCENARIOS:
        if name == "large_state":
            figures |= measure_large_state(chosen.scale)
        elif name == "flat":
            figures |= measure_flat(chosen.scale)
        else:
            figures |= measure(name, int(RECORDS * chosen.scale), chosen.runs)
    report(chosen, figures)


if __name__ == "__main__":
    main()
