"""The fixture for pytest, which finds it by itself where streamlog is installed.

    topology_driver     makes a `TopologyTestDriver` of an application and closes it at the end

Nothing is imported before a test asks for it. `-p no:processors` does without.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processors.app import App
    from processors.testing.driver import TopologyTestDriver


class MakeDriver(Protocol):
    """What `topology_driver` is."""

    def __call__(self, app: App, **options: Any) -> TopologyTestDriver:
        """As `TopologyTestDriver(app, ...)`."""
        ...


@pytest.fixture
def topology_driver() -> Iterator[MakeDriver]:
    """Makes drivers: `driver = topology_driver(app, partitions=4)`."""
    from processors.testing.driver import TopologyTestDriver

    with ExitStack() as drivers:

        def make(app: App, **options: Any) -> TopologyTestDriver:
            return drivers.enter_context(TopologyTestDriver(app, **options))

        yield make
