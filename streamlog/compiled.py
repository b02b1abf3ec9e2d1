"""The modules that are compiled at installation, and which of them run compiled now.

This is the one list: `setup.py` reads it (so nothing but the standard library is imported here),
and so do `streamlog info`, `make` and the tests. The modules stay ordinary Python; the same
source runs where there is no compiler or where STREAMLOG_COMPILE=0 forbids it.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

KERNELS = (
    "streamlog.record.kernel",
    "streamlog.record.murmur2",
    "streamlog.client.kernel",
    "processors.operators.kernel",
    "processors.state.cached",
    "processors.runtime.order",
)


def compiled_modules() -> dict[str, bool]:
    """Whether each kernel, as the import system finds it here, is a compiled one."""
    return {name: _is_compiled(name) for name in KERNELS}


def describe_kernels() -> str:
    """`compiled`, `pure Python`, or which kernels are not compiled where it is mixed."""
    modules = compiled_modules()
    pure = [name for name, compiled in modules.items() if not compiled]
    if not pure:
        return f"compiled ({len(modules)} modules)"
    if len(pure) == len(modules):
        return "pure Python"
    return f"partly compiled (pure Python: {', '.join(pure)})"


def _is_compiled(name: str) -> bool:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # its package
        return False
    return bool(spec and spec.origin and spec.origin.endswith(tuple(EXTENSION_SUFFIXES)))
