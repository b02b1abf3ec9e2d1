"""Settings of the whole suite."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

# A shared runner stalls now and then, and no test here is about time.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


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
