"""Builds the wheel: the three packages, and compiled kernels where that is possible.

STREAMLOG_COMPILE says how hard to try: unset compiles and falls back to the same source
uncompiled, with a warning; `0` does not try; `require` fails instead of falling back.
Everything is built in a fresh temporary directory, so no build ever ships what an earlier one
left behind.
"""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import sys
import tempfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import egg_info

ROOT = Path(__file__).parent
KERNELS: tuple[str, ...] = runpy.run_path(str(ROOT / "streamlog" / "compiled.py"))["KERNELS"]
MODE = os.environ.get("STREAMLOG_COMPILE", "")
BUILDING = bool({"bdist_wheel", "build", "build_ext", "install"} & set(sys.argv))
SCRATCH = tempfile.mkdtemp(prefix="streamlog-build-")
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


def give_up(reason: str) -> None:
    """Says why the kernels are not compiled; raises where they must be."""
    if MODE == "require":
        raise SystemExit(f"STREAMLOG_COMPILE=require, but the kernels do not compile: {reason}")
    print(f"warning: streamlog installs uncompiled: {reason[:300]}", file=sys.stderr)


def kernel_extensions() -> list:
    """The extension modules that mypyc makes of the kernels; none where it cannot."""
    if MODE == "0" or not BUILDING:
        return []
    paths = [str(Path(*name.split(".")).with_suffix(".py")) for name in KERNELS]
    options = [
        "--config-file=",
        f"--cache-dir={SCRATCH}/mypy",
        "--follow-imports=silent",
        "--ignore-missing-imports",
    ]
    try:
        from mypyc.build import mypycify

        extensions = mypycify(
            [*options, *paths],
            opt_level="3",
            target_dir=f"{SCRATCH}/c",
            group_name="streamlog_kernels",
        )
    # mypyc ends the process on a type error, which must not end an installation.
    except (Exception, SystemExit) as error:
        give_up(f"mypyc: {error}")
        return []
    for extension in extensions:  # a warning of some other compiler is no reason to go without
        extension.extra_compile_args = [
            argument for argument in extension.extra_compile_args if argument != "-Werror"
        ]
    return extensions


class FreshBuild(build):
    """Builds below the scratch directory instead of `build/` in the source tree."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.build_base = f"{SCRATCH}/build"


class FreshEggInfo(egg_info):
    """Likewise the metadata, whose list of sources would otherwise outlive a source."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.egg_base = SCRATCH


class GuardedBuildExt(build_ext):
    """All kernels compile, or none is shipped: they call each other as compiled code."""

    def run(self) -> None:
        if self.editable_mode:
            give_up("an editable installation runs the source")
            self.extensions = []
            return
        try:
            super().run()
        except Exception as error:  # distutils raises its own and the compiler's errors alike
            give_up(f"C compiler: {error}")
            self.extensions = []
            for suffix in EXTENSION_SUFFIXES:
                for binary in Path(self.build_lib).rglob(f"*{suffix}"):
                    binary.unlink()


setup(
    ext_modules=kernel_extensions(),
    cmdclass={"build": FreshBuild, "build_ext": GuardedBuildExt, "egg_info": FreshEggInfo},
)
