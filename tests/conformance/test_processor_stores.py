"""Every kind of store for processors does the same in memory and in RocksDB, cached or not.

A script of calls runs record by record inside a processor; what each call answers is compared with
what was written down here. Between any two records the process may restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors import App
from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable

Step = tuple["Callable[[Any], Any]", Any]
"""A call on the store, and its answer."""

KEY_VALUE: list[Step] = [
    (lambda s: s.get("a"), None),
    (lambda s: s.put("a", {"n": 1}), True),
    (lambda s: s["a"], {"n": 1}),
    (lambda s: s.put_if_absent("a", {"n": 2}), {"n": 1}),
    (lambda s: s.put_if_absent("b", {"n": 3}), None),
    (lambda s: list(s.items()), [("a", {"n": 1}), ("b", {"n": 3})]),
    (lambda s: s.put("ab", {"n": 4}), True),
    (lambda s: [key for key, _ in s.items("ab", "b")], ["ab", "b"]),
    (lambda s: [key for key, _ in s.items(end="ab")], ["a", "ab"]),
    (lambda s: [key for key, _ in s.with_prefix("a")], ["a", "ab"]),
    (lambda s: s.delete("a"), {"n": 1}),
    (lambda s: s.delete("a"), None),
    (lambda s: ("a" in s, "b" in s, len(s)), (False, True, 2)),
    (lambda s: [s.get("a", "none"), s.put("b", None), len(s)], ["none", True, 1]),
]

TIMESTAMPED: list[Step] = [
    *KEY_VALUE[:3],
    (lambda s: s.timed("a"), ({"n": 1}, 1)),
    (lambda s: s.put("b", {"n": 2}, 77), True),
    (lambda s: s.timed("b"), ({"n": 2}, 77)),
    (lambda s: s.timed("c"), None),
    (lambda s: list(s.timed_items()), [("a", {"n": 1}, 1), ("b", {"n": 2}, 77)]),
]

WINDOW: list[Step] = [
    (lambda s: s.put("a", {"n": 1}, 10), True),
    (lambda s: [s.put("a", {"n": 2}, 20), s.put("b", {"n": 3}, 20)], [True, True]),
    (lambda s: s.get("a", 10), {"n": 1}),
    (lambda s: (s.get("a", 15), s.get("c", 10, "none")), (None, "none")),
    (lambda s: s.fetch("a"), [(10, {"n": 1}), (20, {"n": 2})]),
    (lambda s: s.fetch("a", 11, 20), [(20, {"n": 2})]),
    (
        lambda s: list(s.items(0, 20)),
        [(("a", 10), {"n": 1}), (("a", 20), {"n": 2}), (("b", 20), {"n": 3})],
    ),
    (lambda s: s.put("b", None, 20), True),
    (lambda s: s.fetch("b"), []),
    (lambda s: s.put("b", {"n": 4}, 115), True),
    (lambda s: s.put("b", {"n": 5}, 14), False),
    (lambda s: (s.get("a", 10), s.fetch("a")), (None, [(20, {"n": 2})])),
]

SESSION: list[Step] = [
    (lambda s: s.put("a", 0, 5, {"n": 1}), True),
    (lambda s: [s.put("a", 3, 5, {"n": 2}), s.put("a", 20, 30, {"n": 3})], [True, True]),
    (lambda s: s.put("b", 1, 5, {"n": 4}), True),
    (lambda s: (s.get("a", 0, 5), s.get("a", 1, 5)), ({"n": 1}, None)),
    (lambda s: s.fetch("a"), [(0, 5, {"n": 1}), (3, 5, {"n": 2}), (20, 30, {"n": 3})]),
    (lambda s: s.find("a", 6), [(20, 30, {"n": 3})]),
    (lambda s: s.find("a", 0, 2), [(0, 5, {"n": 1})]),
    (lambda s: s.remove("a", 0, 5), None),
    (lambda s: [key for key, _ in s.items()], [("a", 3, 5), ("b", 1, 5), ("a", 20, 30)]),
    (lambda s: s.put("a", 100, 130, {"n": 5}), True),
    (lambda s: s.put("a", 0, 29, {"n": 6}), False),
    (lambda s: s.fetch("a"), [(20, 30, {"n": 3}), (100, 130, {"n": 5})]),
]

VERSIONED: list[Step] = [
    (lambda s: s.put("a", {"n": 1}, 10), True),
    (lambda s: [s.put("a", {"n": 3}, 30), s.put("a", {"n": 2}, 20)], [True, True]),
    (lambda s: (s.get("a"), s.versioned("a")), ({"n": 3}, ({"n": 3}, 30))),
    (lambda s: (s.get("a", as_of=25), s.versioned("a", as_of=29)), ({"n": 2}, ({"n": 2}, 20))),
    (lambda s: s.get("a", as_of=9), None),
    (lambda s: s.delete("a", 25), {"n": 3}),
    (lambda s: (s.get("a", as_of=27), s.get("a")), (None, {"n": 3})),
    (lambda s: s.history("a"), [({"n": 1}, 10), ({"n": 2}, 20), (None, 25), ({"n": 3}, 30)]),
    (lambda s: s.put("a", {"n": 4}, 124), True),
    (lambda s: s.history("a"), [({"n": 2}, 20), (None, 25), ({"n": 3}, 30), ({"n": 4}, 124)]),
    (lambda s: s.put("a", {"n": 5}, 23), False),
    (lambda s: s.delete("a", 130), {"n": 4}),
    (lambda s: (s.get("a"), "a" in s, len(s), list(s.items())), (None, False, 0, [])),
    (lambda s: s.get("a", as_of=129), {"n": 4}),
]

SCRIPTS: dict[Any, list[Step]] = {
    "key_value": KEY_VALUE,
    "timestamped": TIMESTAMPED,
    "window": WINDOW,
    "session": SESSION,
    "versioned": VERSIONED,
}
RETENTION = {"window": 100, "session": 100, "versioned": 100}


def run_script(kind: Any, *, restarts: bool, **options: Any) -> None:
    steps = SCRIPTS[kind]
    app = App("a")
    store = app.state_store("s", kind, retention=RETENTION.get(kind))
    answers: list[Any] = []

    def step(number: int, context: Any) -> Any:
        answers.append(steps[number][0](context.store(store)))

    app.stream("in", value=int).process_values(step, stores=[store], name="p").to("out")
    with TopologyTestDriver(app, **options) as driver:
        for number in range(len(steps)):
            driver.pipe("in", number, key="k", timestamp=number)
            if restarts:
                driver.restart()
        driver.commit()
    assert answers == [answer for _, answer in steps]


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
@pytest.mark.parametrize("state", ["memory", "rocksdb"])
@pytest.mark.parametrize("kind", list(SCRIPTS))
def test_a_store_answers_as_it_should(kind: Any, state: Any, cache_bytes: int) -> None:
    run_script(kind, state=state, cache_bytes=cache_bytes, restarts=False)


@pytest.mark.parametrize("kind", list(SCRIPTS))
def test_a_store_answers_so_in_one_commit_and_in_one_chunk(kind: Any) -> None:
    run_script(kind, commit_every=1_000, restarts=False)
    run_script(kind, commit_every=1_000, chunk_size=3, restarts=False)


@pytest.mark.parametrize("kind", list(SCRIPTS))
def test_a_store_answers_so_with_a_restart_behind_every_record(kind: Any) -> None:
    run_script(kind, restarts=True)
