"""Aggregates over sliding windows.

One row changes several windows of its key, and makes some. `every` gives all of them in the order
of Kafka Streams, `latest` the changed ones of a key by start, `final` each when it is closed, by
start and key. A result's timestamp is the highest of the rows in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.session_kernel import SessionStates, changed_sessions
from processors.operators.sliding_kernel import fold_sliding
from processors.operators.steps import CountStep
from processors.operators.windowed import ClosingOperator

if TYPE_CHECKING:
    from processors.operators.chunk import Chunk
    from processors.operators.folding import Folding
    from processors.operators.operator import Failures
    from processors.operators.window_kernel import WindowRows
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.windows import WindowEmit
    from processors.topology.reads import Reads
    from processors.topology.windows import SlidingWindows
    from streamlog.serdes import Serde


class SlidingOperator(ClosingOperator[SessionStates]):
    """Counts rows a window, or folds their values."""

    def __init__(
        self,
        path: str,
        key: Serde[Any],
        value: Serde[Any],
        state: SegmentedState,
        windows: SlidingWindows,
        emit: WindowEmit,
        folding: Folding | None,
        failures: Failures,
        reads: Reads,
    ) -> None:
        super().__init__(path, key, value, state, emit, folding, failures, reads)
        self._count = CountStep()
        self.states = SessionStates(
            state,
            lateness=windows.grace_ms,
            lasting=windows.difference_ms + 1,
            difference=windows.difference_ms,
            final=emit == "final",
            track=emit == "latest",
        )

    def fold(self, chunk: Chunk, updates: WindowRows | None, closing: WindowRows) -> None:
        assert chunk.keys is not None
        folding, values = self.folding, chunk.values
        if folding is None:
            step, copy = self._count, _same
            values = [1] * len(chunk) if values is None else values
        else:
            step, copy = folding.step.begin(chunk.tickets), folding.copy
        assert values is not None
        fold_sliding(
            self.states, step, copy, chunk.keys, values, chunk.timestamps, updates, closing
        )

    def take_changed(self) -> WindowRows:
        return changed_sessions(self.states)


def _same(value: Any) -> Any:
    return value
