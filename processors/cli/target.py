"""Finds the applications that an argument of `streamlog run` names.

    package.module:app      an attribute of a module
    path/to/file.py         every application of a file, in the order in which they were made
    path/to/file.py:app     one of them

The working directory (for a module) or the file's folder is put first on `sys.path`, as Python does
for a script.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from streamlog.errors import StreamlogError, TargetError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from processors.app import App
    from streamlog.targets import Target

_PACKAGE = os.fspath(Path(__file__).parents[1]) + os.sep


def load(spec: str) -> list[Target] | None:
    """The targets that `spec` names, or None where it is not of a kind described above.

    Raises:
        TargetError: there is no such file, module or application, or importing it failed.
    """
    place, _, attribute = spec.partition(":")
    if place.endswith(".py"):
        module = _import(spec, lambda: _module_of_file(spec, Path(place)))
    elif attribute and all(part.isidentifier() for part in place.split(".")):
        module = _import(spec, lambda: _module_of_name(spec, place))
    else:
        return None
    apps = [_named(spec, module, attribute)] if attribute else _all(spec, module)
    return [_target(app) for app in apps]


def _target(app: App) -> Target:
    from processors.runtime.worker import Worker

    return Worker(app.plan())


def _module_of_file(spec: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(spec, f"no such file: {path}")
    _put_first(path.parent)
    made = importlib.util.spec_from_file_location(path.stem, path)
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    sys.modules[path.stem] = module
    made.loader.exec_module(module)
    return module


def _module_of_name(spec: str, name: str) -> ModuleType:
    _put_first(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name + ".").startswith(error.name + "."):
            raise TargetError(spec, f"no module named {error.name!r}") from error
        raise


def _import(spec: str, import_module: Callable[[], ModuleType]) -> ModuleType:
    """Runs the user's module; whatever it raises is told with the line that raised it."""
    try:
        return import_module()
    except StreamlogError:
        raise
    except Exception as error:
        raise TargetError(
            spec, f"importing it failed at {_place(error)}: {type(error).__name__}: {error}"
        ) from error


def _place(error: Exception) -> str:
    """The line of the user's: behind it are only this package's frames, which refused it."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_PACKAGE)]
    last = (theirs or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def _named(spec: str, module: ModuleType, name: str) -> App:
    from processors.app import App

    found = getattr(module, name, None)
    if isinstance(found, App):
        return found
    if found is not None:
        raise TargetError(spec, f"{name!r} is no App but {type(found).__name__}")
    known = [known for known, value in vars(module).items() if isinstance(value, App)]
    raise TargetError(spec, f"no application named {name!r}{did_you_mean(name, known)}")


def _all(spec: str, module: ModuleType) -> list[App]:
    from processors.app import App

    # An application may stand there under two names; it is one target.
    apps = list({id(app): app for app in vars(module).values() if isinstance(app, App)}.values())
    if not apps:
        raise TargetError(spec, "the file makes no App")
    return apps


def _put_first(folder: Path) -> None:
    path = os.fspath(folder.resolve())
    if path not in sys.path:
        sys.path.insert(0, path)
