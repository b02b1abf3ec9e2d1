"""Sessions as bytes: the layout, and damage."""

from __future__ import annotations

import pytest

from processors.topology.sessions import Session, Sessions, SessionsSerde
from streamlog.errors import SerializationError
from streamlog.serdes import serde_for

SERDE = SessionsSerde(serde_for(str))


def made() -> Sessions:
    sessions = Sessions()
    sessions.items = [Session(1, 5, "a"), Session(20, 21, "")]
    return sessions


def test_sessions_come_back() -> None:
    (found, absent) = SERDE.deserialize_column(SERDE.serialize_column([made(), None]))
    assert [(item.start, item.end, item.value) for item in found.items] == [
        (1, 5, "a"), (20, 21, ""),
    ]  # fmt: skip
    assert all(item.known and not item.fresh for item in found.items)
    assert absent is None


def test_the_layout_is_the_documented_one() -> None:
    data = SERDE.serialize(made())
    assert data == bytes.fromhex(
        "0000000000000001 0000000000000005 00000001 61 0000000000000014 0000000000000015 00000000"
    )


@pytest.mark.parametrize("length", [1, 19, 20, 22, 40])
def test_bytes_that_end_too_early_are_refused(length: int) -> None:
    with pytest.raises(SerializationError, match="end within a session"):
        SERDE.deserialize(SERDE.serialize(made())[:length])
