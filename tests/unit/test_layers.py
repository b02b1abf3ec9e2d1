"""Imports go one way: type-only and lazy ones count.

The tables below are the house in layers, lowest first; modules of one layer may know each other
as long as there is no cycle. A module belongs to the longest listed name that it starts with.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

LAYERS: dict[str, list[set[str]]] = {
    "streamlog": [
        {"allocation", "errors", "clock", "compiled", "topic"},
        {"client.contract", "files", "memory_files"},
        {"record", "partitioner", "serdes"},
        {"storage"},
        {"coordination"},
        {"client"},
        {""},
        {"targets"},
        {"testing"},
        {"cli"},
    ],
    "processors": [
        {"errors"},
        {"topology"},
        {"state"},
        {"operators"},
        {"agents"},
        {"runtime"},
        {"dsl"},
        {"app"},
        {""},
        {"testing"},
        {"cli"},
    ],
    "connectors": [
        {"errors"},
        {"config"},
        {"api", "registry"},
        {"runtime"},
        {"sources", "sinks"},
        {""},
        {"testing"},
        {"cli"},
    ],
}

PUBLIC = {
    "streamlog",
    "streamlog.client.contract",
    "streamlog.clock",
    "streamlog.errors",
    "streamlog.files",
    "streamlog.partitioner",
    "streamlog.serdes",
    "streamlog.targets",
}
"""What `processors` and `connectors` may import of `streamlog`."""


def module_paths(package: str) -> dict[str, Path]:
    """Every module of an installed package by its full name."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    found: dict[str, Path] = {}
    for path in root.rglob("*.py"):
        parts = (package, *path.relative_to(root).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


RELATIVE = "streamlog.<relative import>"
"""Stands for an import whose dots hide what the module knows."""

MODULES = {name: path for package in LAYERS for name, path in module_paths(package).items()}


def imported_names(tree: ast.AST) -> set[str]:
    """Full names of all imports anywhere in a module, `import_module("x")` included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                names |= {f"{module}.{alias.name}" for alias in node.names}
            case ast.ImportFrom(level=level) if level:
                names.add(RELATIVE)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                names.add(name)
            case _:
                pass
    return names


def imports(module: str) -> set[str]:
    """The modules of the three packages that a module imports, itself excepted."""
    found: set[str] = set()
    for name in imported_names(ast.parse(MODULES[module].read_text())):
        target = name if name in MODULES else name.rpartition(".")[0]
        if name.partition(".")[0] in LAYERS:
            found.add(target)
    return found - {module}


GRAPH = {module: imports(module) for module in MODULES}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_by_whole_names_that_exist(module: str) -> None:
    assert not GRAPH[module] - MODULES.keys()


def layer(module: str) -> int:
    """The number of a module's layer in its package."""
    package, _, rest = module.partition(".")
    by_name = {name: number for number, names in enumerate(LAYERS[package]) for name in names}
    while rest not in by_name:
        rest = rest.rpartition(".")[0]
        assert rest, f"{module} is in no layer of tests/unit/test_layers.py"
    return by_name[rest]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_nothing_above_its_layer(module: str) -> None:
    package = module.partition(".")[0]
    above = {
        name
        for name in GRAPH[module]
        if name.partition(".")[0] == package and layer(name) > layer(module)
    }
    assert not above


def test_no_import_cycles() -> None:
    try:
        list(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("package", ["processors", "connectors"])
def test_siblings_know_only_the_public_names_of_streamlog(package: str) -> None:
    private = {
        f"{module} imports {name}"
        for module in MODULES
        if module.partition(".")[0] == package
        for name in GRAPH[module]
        if name.partition(".")[0] != package and name not in PUBLIC
        if not (module.startswith(f"{package}.testing") and name == "streamlog.testing")
    }
    assert not private


def test_streamlog_knows_neither_sibling() -> None:
    foreign = {
        f"{module} imports {name}"
        for module in module_paths("streamlog")
        for name in GRAPH[module]
        if name.partition(".")[0] != "streamlog"
    }
    assert not foreign


def test_an_application_is_written_without_what_takes_long_to_import() -> None:
    program = "import sys; from processors import App; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"asyncio", "rocksdict", "msgspec", "statistics"} & set(done.stdout.split())
