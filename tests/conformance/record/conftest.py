"""The golden files, and the records that they hold (see tests/golden/make)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamlog.record import BatchHeader, Columns, decode_batch, read_header

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


@dataclass(frozen=True)
class GoldenBatch:
    """One batch of a file: its bytes, its header and what it decodes to."""

    data: bytes
    header: BatchHeader
    columns: Columns


class Golden:
    """Reads golden files and the records that went into them."""

    def batches(self, name: str) -> list[GoldenBatch]:
        data = (GOLDEN / f"{name}.bin").read_bytes()
        batches: list[GoldenBatch] = []
        position = 0
        while position < len(data):
            columns = Columns()
            end = decode_batch(data, position, columns)
            batches.append(GoldenBatch(data[position:end], read_header(data, position), columns))
            position = end
        return batches

    def records(self, *sets: str) -> Columns:
        """The records of the sets "small" and "large", with offsets from 0."""
        columns = Columns(headers=[])
        written = json.loads((GOLDEN / "records.json").read_text())
        for offset, record in enumerate(record for name in sets for record in written[name]):
            columns.keys.append(content(record["key"]))
            columns.values.append(content(record["value"]))
            columns.timestamps.append(record["timestamp"])
            columns.offsets.append(offset)
            assert columns.headers is not None
            columns.headers.append(
                [(name, content(value)) for name, value in record.get("headers", [])]
            )
        return columns

    def murmur2(self) -> list[tuple[bytes, int, int]]:
        """Keys, their hashes as Java's signed numbers, and their partitions of 12."""
        lines = (GOLDEN / "java-murmur2.txt").read_text().splitlines()[1:]
        rows = [line.split(" ") for line in lines]
        return [(bytes.fromhex(key), int(hash_), int(part)) for key, hash_, part in rows]


def content(value: str | dict[str, Any] | None) -> bytes | None:
    text = value["text"] * value["times"] if isinstance(value, dict) else value
    return None if text is None else text.encode()


@pytest.fixture(scope="session")
def golden() -> Golden:
    return Golden()
