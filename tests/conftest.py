"""Settings of the whole suite."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent / "kafka"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "streams"))

from broker import KafkaBroker, why_no_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

# A shared runner stalls now and then, and no test here is about time. By default a commit is shown
# the same examples wherever it is tested; HYPOTHESIS_PROFILE=thorough draws others, and more.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100,
    derandomize=True,
)
settings.register_profile(
    "thorough", settings.get_profile("default"), max_examples=5_000, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

KAFKA_SETTINGS = {
    "num.network.threads": "1",  # who is answered knows that all that was sent before was taken
    "num.io.threads": "1",
    "transaction.partition.verification.enable": "false",  # any producer id may be chosen
    "log.cleaner.backoff.ms": "50",
    "log.retention.check.interval.ms": "100",
    "log.initial.task.delay.ms": "50",
    "file.delete.delay.ms": "0",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=50,
        metavar="N",
        help="how often the demo is killed with SIGKILL (50)",
    )
    parser.addoption(
        "--all-cuts",
        action="store_true",
        help="every cut of the crash sweeps, instead of a share of them chosen by hash",
    )
    parser.addoption(
        "--all-restarts",
        action="store_true",
        help="the stream vectors with a restart before every record, instead of before three",
    )
    parser.addoption(
        "--programs",
        type=int,
        default=120,
        metavar="N",
        help="how many random topologies are run beside Kafka Streams (120)",
    )
    parser.addoption(
        "--sequences",
        type=int,
        default=10,
        metavar="N",
        help="how many sequences of operations are run beside a real broker (10)",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many cuts the crash sweeps have made, in all processes."""
    cuts = sum(
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == "cuts"
    )
    if cuts:
        terminalreporter.write_line(f"crash sweeps: {cuts} cuts")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One real broker for the whole session; tests keep to topics of their own."""
    if reason := why_no_broker():
        pytest.skip(reason)
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), settings=KAFKA_SETTINGS) as broker:
        yield broker
