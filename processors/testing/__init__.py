"""For tests of applications: `TopologyTestDriver` and what belongs to it.

    driver = TopologyTestDriver(app)
    driver.pipe("lines", "to be or not to be", timestamp=5)
    assert driver.map("word-counts") == {"to": 2, "be": 2, "or": 1, "not": 1}

Under pytest the fixture `topology_driver` makes drivers and closes them: see
`processors.testing.plugin`, which pytest finds by itself where streamlog is installed.
"""

from __future__ import annotations

from processors.testing.driver import TopologyTestDriver
from processors.testing.topics import InputTopic, OutputTopic
from processors.testing.views import SegmentedView, StoreView

__all__ = ["InputTopic", "OutputTopic", "SegmentedView", "StoreView", "TopologyTestDriver"]
