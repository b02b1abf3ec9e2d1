"""The examples do what their pages say, in the driver and end to end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from processors.testing import TopologyTestDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
MINUTE = 60_000
RESULTS = re.compile(r"[\d,]+ (page views|payments)")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """A module of an example, fresh, as `streamlog run` finds it: beside the others."""
    before = set(sys.modules)

    def load_module(example: str, name: str) -> Any:
        monkeypatch.syspath_prepend(EXAMPLES / example)
        return import_module(name)

    yield load_module
    for name in set(sys.modules) - before:
        if str(EXAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def run_demo(example: str, folder: Path, *options: str) -> str:
    """What it says of the results, behind the summary of the run."""
    command = [sys.executable, EXAMPLES / example / "demo.py", "--dir", folder / "log", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first = next(place for place, line in enumerate(lines) if RESULTS.match(line))
    return "\n".join(lines[first:])


def test_a_visit_has_entry_exit_and_length_and_comes_once_when_it_is_over(load: Any) -> None:
    module = load("sessionization", "app")
    driver = TopologyTestDriver(module.app)

    def see(user: str, page: str, minute: int) -> None:
        view = module.View(user, page, "phone", minute * MINUTE)
        driver.pipe("page-views", view, key=user, timestamp=minute * MINUTE)

    see("ann", "home", 0)
    see("ann", "thanks", 40)
    see("ann", "product", 20)  # late, and makes one visit of two
    see("bob", "home", 60)
    assert driver.values("visits") == []
    see("bob", "search", 81)
    assert driver.values("visits") == [module.Summary("ann", "home", "thanks", 3, 2400.0, True)]
    see("ann", "cart", 5)
    assert driver.values("visits") == []
    assert [record.value.page for record in driver.records("late-views")] == ["cart"]


def test_every_view_is_in_one_visit_or_late_or_in_a_visit_that_goes_on(
    load: Any, tmp_path: Path
) -> None:
    views = load("sessionization", "views").page_views(30, 12)
    shown = run_demo("sessionization", tmp_path, "--users", "30", "--hours", "12")
    assert f"{len(views):,} page views" in shown
    assert run_demo("sessionization", tmp_path, "--users", "30", "--hours", "12") == shown
    demo = load("sessionization", "demo")
    visits = demo.read(tmp_path / "log", "visits")
    late = demo.read(tmp_path / "log", "late-views")
    assert late
    assert sum(visit["pages"] for visit in visits) + len(late) <= len(views)
    of_user: dict[str, list[int]] = {}
    for view in views:
        of_user.setdefault(view.user, []).append(view.at)
    for visit in visits:
        assert visit["pages"] <= len(of_user[visit["user"]])


def test_each_rule_tells_its_reason(load: Any) -> None:
    module = load("fraud_detection", "app")
    driver = TopologyTestDriver(module.app)
    driver.pipe("blocked-merchants", "reported", key="shop-59")

    def pay(card: str, amount: float, merchant: str, city: str, at: int) -> list[str]:
        number = f"{card}/{at}"
        payment = module.Payment(number, card, amount, merchant, city, at)
        driver.pipe("payments", payment, key=card, timestamp=at)
        return [alert.reason for alert in driver.values("alerts")]

    for hour in range(8):
        assert pay("calm", 20.0 + hour, "shop-01", "Zurich", hour * 60 * MINUTE) == []
    assert pay("calm", 900.0, "shop-01", "Zurich", 8 * 60 * MINUTE) == ["amount"]
    assert pay("calm", 20.0, "shop-59", "Zurich", 9 * 60 * MINUTE) == ["blocklist"]
    assert pay("calm", 20.0, "shop-02", "Sydney", 9 * 60 * MINUTE + 30 * MINUTE) == ["travel"]
    assert pay("calm", 20.0, "shop-02", "Zurich", 60 * 60 * MINUTE) == []
    start = 100 * 60 * MINUTE
    reasons = [pay("tried", 2.0, "shop-03", "Paris", start + 1_000 * n) for n in range(10)]
    assert reasons[:8] == [[]] * 8
    assert set(reasons[8]) == set(reasons[9]) == {"velocity"}


def test_alerts_find_most_thefts_and_are_mostly_right(load: Any, tmp_path: Path) -> None:
    options = ("--cards", "150", "--hours", "48")
    shown = run_demo("fraud_detection", tmp_path, *options)
    demo = load("fraud_detection", "demo")
    made = load("fraud_detection", "payments").payments(150, 48)
    alerts = demo.read_alerts(tmp_path / "log")
    figures = demo.compare(made, alerts)
    assert figures["precision"] > 0.7
    assert figures["recall"] > 0.8
    assert f"{figures['recall']:.2f}" in shown
    assert run_demo("fraud_detection", tmp_path, *options) == shown, "a second run adds nothing"
    assert json.dumps(alerts) == json.dumps(demo.read_alerts(tmp_path / "log"))
