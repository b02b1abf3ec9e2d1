"""Aggregates over sessions.

A row that reaches into several sessions makes one of them all: `every` gives a null value for each
of those first, in order, and then the result, as a table does whose keys have changed; `latest`
gives what is left of that at a commit. A result's timestamp is the end of its session. `final`
gives a session when it is closed, by end, start and key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.session_kernel import (
    SessionStates,
    changed_sessions,
    count_sessions,
    fold_sessions,
)
from processors.operators.windowed import ClosingOperator

if TYPE_CHECKING:
    from processors.operators.chunk import Chunk
    from processors.operators.folding import Folding
    from processors.operators.operator import Failures
    from processors.operators.window_kernel import WindowRows
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.windows import WindowEmit
    from processors.topology.reads import Reads
    from processors.topology.windows import SessionWindows
    from streamlog.serdes import Serde


class SessionOperator(ClosingOperator[SessionStates]):
    """Counts rows a session, or folds their values."""

    def __init__(
        self,
        path: str,
        key: Serde[Any],
        value: Serde[Any],
        state: SegmentedState,
        windows: SessionWindows,
        emit: WindowEmit,
        folding: Folding | None,
        failures: Failures,
        reads: Reads,
    ) -> None:
        super().__init__(path, key, value, state, emit, folding, failures, reads)
        self.states = SessionStates(
            state,
            lateness=windows.gap_ms + windows.grace_ms,
            lasting=windows.gap_ms,
            final=emit == "final",
            track=emit == "latest",
        )

    def fold(self, chunk: Chunk, updates: WindowRows | None, closing: WindowRows) -> None:
        assert chunk.keys is not None
        states, keys, values = self.states, chunk.keys, chunk.values
        if self.folding is None:
            count_sessions(states, keys, values, chunk.timestamps, updates, closing)
        else:
            assert values is not None
            assert self.folding.merge_step is not None
            step = self.folding.merge_step.begin(chunk.tickets)
            fold_sessions(states, step, keys, values, chunk.timestamps, updates, closing)

    def take_changed(self) -> WindowRows:
        return changed_sessions(self.states)
