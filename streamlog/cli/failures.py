"""What a person reads when something failed: a message, not a traceback."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from collections.abc import Iterator


def explain(error: BaseException) -> Iterator[str]:
    """The lines for stderr.

    An error that the user can mend (ours, or the operating system's) is its message and where
    its cause was raised; anything else is a bug and keeps its traceback.
    """
    if not isinstance(error, StreamlogError | OSError):
        yield "".join(traceback.format_exception(error)).rstrip()
        yield "error: this is a bug in streamlog or in a plugin, please report it"
        return
    message = _message(error)
    yield f"error: {message}"
    cause = error.__cause__
    if cause is not None and not isinstance(cause, StreamlogError | OSError):
        yield from _explain_cause(cause, message)


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _explain_cause(cause: BaseException, message: str) -> Iterator[str]:
    """What `message` does not say of the cause yet: what it is, and where it was raised."""
    what = f"{type(cause).__qualname__}: {cause}"
    frames = [
        frame
        for frame in traceback.extract_tb(cause.__traceback__)
        if not frame.filename.startswith("<frozen")
    ]
    if isinstance(cause, SyntaxError) and f"{cause.filename}:{cause.lineno}" in message:
        return  # raised by the import, which is of no interest
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
    if what not in message:
        yield f"  caused by {what}"
    if where is not None and where not in message:
        yield f"  raised at {where}, in {frames[-1].name}"
