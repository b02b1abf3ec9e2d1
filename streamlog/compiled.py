"""The modules that are compiled at installation, and which of them run compiled now.

This is the one list: `setup.py` reads it (so nothing but the standard library is imported here),
and so do `streamlog info`, `make` and the tests. The modules stay ordinary Python; the same
source runs where there is no compiler or where STREAMLOG_COMPILE=0 forbids it.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Literal

KERNELS = (
    "streamlog.record.kernel",
    "streamlog.record.murmur2",
    "streamlog.serdes.kernel",
    "streamlog.storage.offset_map",
    "streamlog.storage.record_filter",
    "streamlog.client.kernel",
    "processors.operators.columns",
    "processors.operators.copier",
    "processors.operators.guard",
    "processors.operators.plain",
    "processors.operators.steps",
    "processors.operators.foreign_key_kernel",
    "processors.operators.kernel",
    "processors.operators.processor_kernel",
    "processors.operators.table_kernel",
    "processors.operators.window_kernel",
    "processors.operators.grace_kernel",
    "processors.operators.join_buffer",
    "processors.operators.join_waiting",
    "processors.operators.stream_join_kernel",
    "processors.operators.session_kernel",
    "processors.operators.sliding_kernel",
    "processors.topology.sessions",
    "processors.operators.table_view",
    "processors.state.cached",
    "processors.state.segmented",
    "processors.runtime.order",
    "processors.topology.row",
    "processors.topology.foreign_key",
    "processors.topology.timed_rows",
    "processors.topology.timestamp",
)


def compiled_modules() -> dict[str, bool]:
    """Whether each kernel, as the import system finds it here, is a compiled one."""
    return {name: _is_compiled(name) for name in KERNELS}


def kind() -> Literal["compiled", "pure", "mixed"]:
    """Which kind runs. An installation is never `mixed`; a source tree with old binaries may be."""
    found = set(compiled_modules().values())
    if len(found) == 2:
        return "mixed"
    return "compiled" if found == {True} else "pure"


def describe() -> str:
    """The kind in words, such as `compiled (6 kernels)`."""
    modules = compiled_modules()
    match kind():
        case "compiled":
            return f"compiled ({len(modules)} kernels)"
        case "pure":
            return "as pure Python"
        case "mixed":
            pure = [name for name, compiled in modules.items() if not compiled]
            return f"partly compiled (pure Python: {', '.join(pure)})"


def _is_compiled(name: str) -> bool:
    spec = find_spec(name)
    return bool(spec and spec.origin and spec.origin.endswith(tuple(EXTENSION_SUFFIXES)))
