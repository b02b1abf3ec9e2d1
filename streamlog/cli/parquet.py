"""Records in Parquet files, where pyarrow is installed.

Columns: partition (int32), offset (int64), timestamp (milliseconds, UTC), key and value (binary),
headers (a list of key and value).
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamlog.cli.text.exchange import Exchanged
from streamlog.errors import FileFormatError, MissingExtraError

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


def read(path: Path) -> tuple[int, Iterator[Exchanged]]:
    """How many records a file has, and the records in its order.

    Raises `FileFormatError`, also while they are read, for what `streamlog export` did not write.
    """
    arrow, parquet = load_pyarrow()
    wanted = _schema(arrow)
    try:
        file = parquet.ParquetFile(path)
    except arrow.ArrowException as error:
        raise FileFormatError(path, f"no Parquet: {error}") from None
    missing = set(wanted.names) - set(file.schema_arrow.names)
    if missing:
        reason = f"no column {min(missing)!r}: `streamlog export` has not written it"
        raise FileFormatError(path, reason)
    return file.metadata.num_rows, _rows(path, file, wanted, arrow)


def _rows(path: Path, file: Any, wanted: Any, arrow: Any) -> Iterator[Exchanged]:
    try:
        for batch in file.iter_batches(columns=wanted.names):
            table = arrow.Table.from_batches([batch]).cast(wanted)
            times = table["timestamp"].cast(arrow.int64())
            names = ("partition", "key", "value", "headers")
            columns: list[list[Any]] = [table[name].to_pylist() for name in names]
            for timestamp, partition, key, value, headers in zip(
                times.to_pylist(), *columns, strict=True
            ):
                pairs = [(each["key"] or "", each["value"]) for each in headers or ()]
                yield Exchanged(partition, timestamp, key, value, pairs)
    except arrow.ArrowException as error:
        raise FileFormatError(path, str(error)) from None


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
