"""The examples in the docstrings run and give what they say; every public method has one."""

from __future__ import annotations

import doctest
import inspect
from typing import Any

import pytest

from processors import App
from processors.dsl.stream import (
    Aggregates,
    CoGrouped,
    Grouped,
    Stream,
    Table,
    TableGrouped,
    WindowedGroup,
)
from processors.testing import TopologyTestDriver

PUBLIC = {
    f"{owner.__name__}.{name}": method
    for owner in (App, Stream, Aggregates, Grouped, CoGrouped, WindowedGroup, Table, TableGrouped)
    for name, method in vars(owner).items()
    if inspect.isfunction(method) and not name.startswith("_")
}
WITHOUT_EXAMPLE = {"App.run", "App.plan"}  # one needs a log, the other is for the worker


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_example_of_a_public_method_runs(name: str) -> None:
    method: Any = PUBLIC[name]
    assert method.__doc__
    names = {"App": App, "TopologyTestDriver": TopologyTestDriver}
    tests = doctest.DocTestFinder(recurse=False).find(method, name, globs=names)
    examples = [test for test in tests if test.examples]
    assert examples or name in WITHOUT_EXAMPLE
    for test in examples:
        report: list[str] = []
        doctest.DocTestRunner().run(test, out=report.append)
        assert not report, "".join(report)
