"""The examples in the docstrings run and give what they say; every public name has one.

Those of classes are read from the source, as compiled classes have no docstrings.
"""

from __future__ import annotations

import ast
import doctest
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import processors
import processors.testing
from processors import App, errors
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

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    assert run_examples(method.__doc__, name) or name in WITHOUT_EXAMPLE


def run_examples(text: str, name: str) -> bool:
    """Whether there are any; what they give is what they say."""
    names = {"App": App, "TopologyTestDriver": TopologyTestDriver}
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)
    return bool(test.examples)


HOMES = {
    **processors._HOMES,  # pyright: ignore[reportPrivateUsage] # where each name is
    **processors.testing._HOMES,  # pyright: ignore[reportPrivateUsage]
    **dict.fromkeys(("Agent", "Keyed"), "processors.agents.declaration"),
    "Store": "processors.agents.store",
    **dict.fromkeys(("Schedule", "KeyValueStore"), "processors.operators.processor_kernel"),
    **dict.fromkeys(
        ("TimestampedStore", "VersionedStore", "WindowStore", "SessionStore"),
        "processors.operators.processor_stores",
    ),
}
"""The module of each public name, with what a `Context` gives."""
HAVE_IT_ELSEWHERE = {
    *("App", "Store"),  # a whole application, which runs in a log
    *("Agent", "GlobalTable", "Channel"),  # made by a method of App, which has it
    *("Stream", "Grouped", "Table", "TableGrouped"),  # of each method, see above
    "Schedule",  # in that of Context
}


def source_of(name: str) -> Any:
    """The definition of a public name, read from its file."""
    path = Path(processors.__file__).parent.parent / (HOMES[name].replace(".", "/") + ".py")
    tree = ast.parse(path.read_text())
    return next(each for each in tree.body if getattr(each, "name", None) == name)


def public_methods(made: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for each in made.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name[0] != "_":
            yield each


@pytest.mark.parametrize("name", sorted(HOMES))
def test_a_public_name_says_what_it_is_and_its_examples_run(name: str) -> None:
    made = source_of(name)
    said = ast.get_docstring(made)
    assert said
    assert run_examples(said, name) or name in HAVE_IT_ELSEWHERE
    if not isinstance(made, ast.ClassDef) or name in {key.partition(".")[0] for key in PUBLIC}:
        return
    for method in public_methods(made):
        said = ast.get_docstring(method)
        assert said, f"{name}.{method.name} has no docstring"
        run_examples(said, f"{name}.{method.name}")


DRIVER_METHODS = [method.name for method in public_methods(source_of("TopologyTestDriver"))]


@pytest.mark.parametrize("method", sorted({*DRIVER_METHODS} - {"close"}))
def test_every_method_of_the_driver_has_an_example(method: str) -> None:
    made = source_of("TopologyTestDriver")
    (found,) = (each for each in public_methods(made) if each.name == method)
    assert ">>>" in (ast.get_docstring(found) or "")


def test_every_error_says_what_it_means() -> None:
    names = [name for name, value in vars(errors).items() if inspect.isclass(value)]
    for node in ast.parse(Path(errors.__file__).read_text()).body:
        if isinstance(node, ast.ClassDef):
            assert ast.get_docstring(node), node.name
            assert node.name in names
            assert node.name in (errors.__doc__ or ""), f"{node.name} is not in the tree"
