"""Serdes as users write them, with the faults that they have."""

from __future__ import annotations

from typing import Any

from streamlog.errors import SerializationError


class UsersSerde:
    """Texts as UTF-8; `immutable`, and with inexact keys where nothing else is said."""

    name = "users"
    immutable = True

    def __init__(self, *, exact_keys: bool = False) -> None:
        self.exact_keys = exact_keys

    def serialize(self, value: str) -> bytes:
        return value.encode()

    def deserialize(self, data: bytes) -> str:
        return data.decode()

    def serialize_column(self, values: list[Any]) -> list[Any]:
        return [None if value is None else self.serialize(value) for value in values]

    def deserialize_column(self, column: list[Any]) -> list[Any]:
        return [None if data is None else self.deserialize(data) for data in column]


class Picky(UsersSerde):
    """Reads all texts and writes all but one, "bad"."""

    name = "picky"

    def serialize(self, value: str) -> bytes:
        if value == "bad":
            raise SerializationError(self.name, "a bad one")
        return super().serialize(value)


class Careless(UsersSerde):
    """Its author did not think of `SerializationError`: "worse" is a `KeyError`."""

    name = "careless"

    def serialize(self, value: str) -> bytes:
        return {"bad": b""}[value] if value == "worse" else super().serialize(value)
