"""Stream processing with exactly-once state on a streamlog log.

    from processors import App

    app = App("word-count", log="./data")
    words = app.stream("lines", value=str).flat_map(str.split)
    words.group_by(lambda word: word).count(name="counts").to_stream().to("word-counts")
    app.run()

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processors.agents import Agent, Keyed, Store
    from processors.app import App
    from processors.dsl.aggregators import Aggregator
    from processors.dsl.global_table import GlobalTable
    from processors.dsl.local import Channel
    from processors.dsl.stream import Grouped, Stream, Table, TableGrouped
    from processors.dsl.windows import (
        Calendar,
        CountWindow,
        Hopping,
        Session,
        Sliding,
        Tumbling,
        Unlimited,
        window_keys,
    )
    from processors.operators.processor_kernel import Context
    from processors.topology.changes import Change
    from processors.topology.row import Row
    from processors.topology.windowed import Windowed

__all__ = [
    "Agent",
    "Aggregator",
    "App",
    "Calendar",
    "Change",
    "Channel",
    "Context",
    "CountWindow",
    "GlobalTable",
    "Grouped",
    "Hopping",
    "Keyed",
    "Row",
    "Session",
    "Sliding",
    "Store",
    "Stream",
    "Table",
    "TableGrouped",
    "Tumbling",
    "Unlimited",
    "Windowed",
    "window_keys",
]

_HOMES = {
    "App": "processors.app",
    "Agent": "processors.agents",
    "Keyed": "processors.agents",
    "Store": "processors.agents",
    "Context": "processors.operators.processor_kernel",
    "Row": "processors.topology.row",
    "GlobalTable": "processors.dsl.global_table",
    "Channel": "processors.dsl.local",
    "Grouped": "processors.dsl.stream",
    "Stream": "processors.dsl.stream",
    "Table": "processors.dsl.stream",
    "Aggregator": "processors.dsl.aggregators",
    "TableGrouped": "processors.dsl.stream",
    "Change": "processors.topology.changes",
    "Calendar": "processors.dsl.windows",
    "CountWindow": "processors.dsl.windows",
    "Hopping": "processors.dsl.windows",
    "Session": "processors.dsl.windows",
    "Sliding": "processors.dsl.windows",
    "Tumbling": "processors.dsl.windows",
    "Unlimited": "processors.dsl.windows",
    "Windowed": "processors.topology.windowed",
    "window_keys": "processors.dsl.windows",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
