"""What happens to open logs when the interpreter ends, and when the process is forked.

At exit every open log is closed: what was sent is written, and the directory needs no recovery.
A child that was forked has the log's memory but neither its threads nor the right to write:
everything raises there, nothing is closed, and the parent goes on as if nothing had happened.
"""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlog.client.session import Session

# Strong references: a log that nobody holds any more is still to be closed.
_open_sessions: dict[Session, None] = {}


def register(session: Session) -> None:
    _open_sessions[session] = None


def unregister(session: Session) -> None:
    _open_sessions.pop(session, None)


def _close_all() -> None:
    """The latest first; all of them, whatever one raises. Python prints the error."""
    with ExitStack() as stack:
        for session in list(_open_sessions):  # daemon threads may be opening and closing
            stack.callback(session.close)
        _open_sessions.clear()


def _forget_all() -> None:
    for session in _open_sessions:
        session.abandon()
    _open_sessions.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
