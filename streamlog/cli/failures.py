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
    yield f"error: {_message(error)}"
    cause = error.__cause__
    if cause is not None and not isinstance(cause, StreamlogError | OSError):
        yield f"  caused by {_name_of(cause)}: {cause}{_place(cause)}"


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _name_of(error: BaseException) -> str:
    return type(error).__qualname__


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    return f" ({frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name})"
