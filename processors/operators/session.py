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
from processors.operators.window_kernel import WindowRows
from processors.operators.windowed import WindowedTableOperator

if TYPE_CHECKING:
    from processors.operators.chunk import Chunk
    from processors.operators.folding import Folding
    from processors.state.segmented import SegmentedState
    from processors.topology.nodes.windows import WindowEmit
    from processors.topology.reads import Reads
    from processors.topology.windows import SessionWindows
    from streamlog.serdes import Serde


class SessionOperator(WindowedTableOperator):
    """Counts rows a session, or folds their values.

    Args:
        folding: None counts.
    """

    def __init__(
        self,
        path: str,
        key: Serde[Any],
        value: Serde[Any],
        state: SegmentedState,
        windows: SessionWindows,
        emit: WindowEmit,
        folding: Folding | None,
        reads: Reads,
    ) -> None:
        super().__init__(path, key, value, state, emit, reads)
        self.folding = folding
        self.states = SessionStates(
            state,
            lateness=windows.gap_ms + windows.grace_ms,
            lasting=windows.gap_ms,
            final=emit == "final",
            track=emit == "latest",
        )

    def update(self, chunk: Chunk) -> tuple[WindowRows, list[int]]:
        assert chunk.keys is not None
        updates = WindowRows() if self.emit == "every" else None
        closing = WindowRows()
        states, keys, values = self.states, chunk.keys, chunk.values
        if self.folding is None:
            count_sessions(states, keys, values, chunk.timestamps, updates, closing)
        else:
            assert values is not None
            step = self.folding.merging_step(chunk.tickets)
            fold_sessions(states, step, keys, values, chunk.timestamps, updates, closing)
        return (closing if updates is None else updates), states.late

    def flush(self, next_ticket: int) -> Chunk | None:
        """Flushes the store; what has changed goes on where emission is `latest`."""
        states = self.states
        states.refresh()
        made = self.changes(changed_sessions(states), next_ticket) if states.changed else None
        if self.emit != "final":
            states.drop_closed()
        states.flush()
        return made
