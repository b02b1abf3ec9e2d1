"""Records in Parquet files, where pyarrow is installed.

Columns: partition (int32), offset (int64), timestamp (milliseconds, UTC), key and value (binary),
headers (a list of key and value).
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamlog.cli.text.exchange import Exchanged
from streamlog.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from streamlog.client.contract import FetchedColumns

ROWS_OF_A_GROUP = 100_000


def load_pyarrow() -> tuple[Any, Any]:
    """The package and its Parquet module. Raises `MissingExtraError` where it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None


@contextmanager
def writer(path: Path) -> Generator[Callable[[FetchedColumns], None]]:
    """Yields what takes records; the file is complete behind it."""
    arrow, parquet = load_pyarrow()
    schema = _schema(arrow)
    waiting: dict[str, list[Any]] = {name: [] for name in schema.names}

    with parquet.ParquetWriter(path, schema, compression="zstd") as file:

        def take(columns: FetchedColumns) -> None:
            count = len(columns.offsets)
            headers = columns.headers or [[] for _ in range(count)]
            waiting["partition"] += [columns.partition] * count
            waiting["offset"] += columns.offsets
            waiting["timestamp"] += columns.timestamps
            waiting["key"] += columns.keys
            waiting["value"] += columns.values
            waiting["headers"] += [
                [{"key": name, "value": value} for name, value in each] for each in headers
            ]
            if len(waiting["offset"]) >= ROWS_OF_A_GROUP:
                write()

        def write() -> None:
            file.write_table(arrow.table(waiting, schema=schema))
            for column in waiting.values():
                column.clear()

        yield take
        write()


def read(path: Path) -> Iterator[Exchanged]:
    """The records of a file, in its order.

    Raises `ValueError` where it has other columns, and pyarrow's own errors where it is no Parquet.
    """
    arrow, parquet = load_pyarrow()
    wanted = _schema(arrow)
    file = parquet.ParquetFile(path)
    missing = set(wanted.names) - set(file.schema_arrow.names)
    if missing:
        raise ValueError(f"no column {min(missing)!r}: it was not made by `streamlog export`")
    for batch in file.iter_batches(columns=wanted.names):
        table = arrow.Table.from_batches([batch]).cast(wanted)
        columns: list[list[Any]] = [
            table[name].cast(arrow.int64()).to_pylist()
            if name == "timestamp"
            else table[name].to_pylist()
            for name in ("partition", "timestamp", "key", "value", "headers")
        ]
        for partition, timestamp, key, value, headers in zip(*columns, strict=True):
            yield Exchanged(
                partition, timestamp, key, value, [(each["key"], each["value"]) for each in headers]
            )


def _schema(arrow: Any) -> Any:
    header = arrow.struct([("key", arrow.string()), ("value", arrow.binary())])
    return arrow.schema(
        [
            ("partition", arrow.int32()),
            ("offset", arrow.int64()),
            ("timestamp", arrow.timestamp("ms", tz="UTC")),
            ("key", arrow.binary()),
            ("value", arrow.binary()),
            ("headers", arrow.list_(header)),
        ]
    )
