"""For tests of applications: `TopologyTestDriver` and what belongs to it.

    driver = TopologyTestDriver(app)
    driver.pipe("lines", "to be or not to be", timestamp=5)
    assert driver.map("word-counts") == {"to": 2, "be": 2, "or": 1, "not": 1}

Under pytest the fixture `topology_driver` makes drivers and closes them: see
`processors.testing.plugin`, which pytest finds by itself where streamlog is installed.

Names are loaded when they are first used, so that a run of pytest without them pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processors.testing.driver import TopologyTestDriver
    from processors.testing.topics import InputTopic, OutputTopic
    from processors.testing.views import SegmentedView, SessionView, StoreView, VersionedView

__all__ = [
    "InputTopic",
    "OutputTopic",
    "SegmentedView",
    "SessionView",
    "StoreView",
    "TopologyTestDriver",
    "VersionedView",
]

_HOMES = {
    "InputTopic": "processors.testing.topics",
    "OutputTopic": "processors.testing.topics",
    "SegmentedView": "processors.testing.views",
    "SessionView": "processors.testing.views",
    "StoreView": "processors.testing.views",
    "TopologyTestDriver": "processors.testing.driver",
    "VersionedView": "processors.testing.views",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
