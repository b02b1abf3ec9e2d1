"""What is under test is the installed distribution, of the kind that this leg is about.

STREAMLOG_EXPECT (`compiled` or `pure`) is set by the Makefile; a run from the source tree during
development has it unset and skips these.
"""

from __future__ import annotations

import os
import sysconfig
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from streamlog.compiled import KERNELS, kind

EXPECTED = os.environ.get("STREAMLOG_EXPECT")

pytestmark = pytest.mark.skipif(EXPECTED is None, reason="STREAMLOG_EXPECT is unset")


@pytest.mark.parametrize("package", ["streamlog", "processors", "connectors"])
def test_the_installed_package_is_under_test_not_the_source_beside_it(package: str) -> None:
    origin = import_module(package).__file__
    assert origin is not None
    assert Path(origin).is_relative_to(sysconfig.get_path("platlib"))


@pytest.mark.parametrize("package", ["streamlog", "processors", "connectors"])
def test_type_checkers_find_the_marker(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).with_name("py.typed").exists()


def test_this_leg_runs_the_kind_that_it_is_about() -> None:
    assert kind() == EXPECTED


@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_loads_as_the_kind_that_this_leg_is_about(name: str) -> None:
    origin = import_module(name).__file__
    assert origin is not None
    assert origin.endswith(".py") == (EXPECTED == "pure")
