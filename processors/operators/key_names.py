"""What states know the keys of a column by, and rows whose keys cannot be written.

A serde of somebody else's may read a key that it does not write. So the keys of a chunk are written
before anything is changed, all at once; only where that fails is the row to blame looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.handover import serialize_rows
from processors.operators.operator import Failures, reporter
from processors.topology.windowed import bare_keys
from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, STRING

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.operators.chunk import Chunk
    from streamlog.serdes import Serde


def names_of(serde: Serde[Any], keys: list[Any]) -> list[Any]:
    """The keys themselves, where equal ones have equal bytes, else their bytes.

    Raises what the serde raises for a key that it does not write.
    """
    if not serde.exact_keys:
        return serde.serialize_column(keys)
    if bare_keys(serde) not in (STRING, BYTES):  # which write all that they read
        serde.serialize_column(keys)
    return keys


def writable_rows(
    chunk: Chunk,
    write: Callable[[list[Any]], list[Any]],
    serde: Serde[Any],
    failures: Failures,
    path: str,
) -> tuple[Chunk, list[Any]]:
    """The rows whose keys can be written, and what `write` makes of those keys.

    Args:
        write: Raises `SerializationError` for a key that cannot be written, having done nothing.
    """
    assert chunk.keys is not None
    try:
        return chunk, write(chunk.keys)
    except SerializationError:
        chunk = without_refused(chunk, serde, failures, path)
        assert chunk.keys is not None
        return chunk, write(chunk.keys)


def without_refused(chunk: Chunk, serde: Serde[Any], failures: Failures, path: str) -> Chunk:
    """The rows whose keys can be written; the others have failed in production."""
    assert chunk.keys is not None
    hint = f"keys are {serde.name}, which must write all that it reads"
    report = reporter(failures, "production", path, chunk.tickets, hint)
    _, failed = serialize_rows(serde, chunk.keys, report)
    return chunk.without(failed) if failed else chunk
