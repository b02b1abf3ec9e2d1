"""Record batches: nanoseconds a record to encode, to decode into columns, and to give a partition.

Batches of 1,000 records with 16-byte keys and 84-byte values, whose timestamps move on every tenth
record; header, CRC and all. The ratios are times of the same work done otherwise over ours: by
the kernels' source uncompiled, and, as a bound, by only copying the bytes and computing the CRC.
Freeing the columns is not timed.
"""

from __future__ import annotations

import os
import statistics
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import median, options, report

import streamlog.record.kernel
import streamlog.record.murmur2
from streamlog.allocation import keep_freed_buffers
from streamlog.compiled import describe
from streamlog.partitioner import partitions_for
from streamlog.record import Columns, crc32c, decode_batch, encode_batch, read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from streamlog.record import BatchHeader

RECORDS = 1_000
BATCHES = 200
PARTITIONS = 12
FIRST_TIMESTAMP = 1_700_000_000_000


class Work:
    """The records, and one batch of them."""

    def __init__(self) -> None:
        self.keys: list[bytes | None] = [os.urandom(16) for _ in range(RECORDS)]
        self.values: list[bytes | None] = [os.urandom(84) for _ in range(RECORDS)]
        self.timestamps = [FIRST_TIMESTAMP + index // 10 for index in range(RECORDS)]
        self.batch = bytes(encode_batch(self.keys, self.values, self.timestamps))
        self.header = read_header(self.batch)


def nanoseconds(do: Callable[[], object], batches: int) -> float:
    """Median time of one record when `do` handles a batch; its result is freed outside of it."""
    times: list[int] = []
    for _ in range(batches):
        started = time.perf_counter_ns()
        result = do()
        times.append(time.perf_counter_ns() - started)
        del result
    return statistics.median(times) / RECORDS


def decode(work: Work) -> Columns:
    columns = Columns()
    decode_batch(work.batch, 0, columns)
    return columns


def uncompiled(module: ModuleType) -> Any:
    """The module, from its source, under another name."""
    path = Path(str(module.__file__))
    source = path.with_name(module.__name__.rpartition(".")[2] + ".py")
    spec = spec_from_file_location(f"uncompiled_{source.stem}", source)
    assert spec is not None, source
    assert spec.loader is not None, source
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def decode_uncompiled(kernel: Any, batch: bytes, header: BatchHeader) -> Columns:
    columns = Columns()
    kernel.decode_records(
        batch,
        len(batch) - header.size_bytes + 61,
        len(batch),
        header.record_count,
        header.last_offset_delta,
        header.base_offset,
        header.base_timestamp,
        0,
        columns.keys,
        columns.values,
        columns.timestamps,
        columns.offsets,
        None,
    )
    return columns


def copy_and_check(work: Work) -> bytearray:
    batch = bytearray(work.batch)
    crc32c(batch, 21)
    return batch


def main() -> None:
    chosen = options(__doc__)
    batches = max(1, round(BATCHES * chosen.scale))
    keep_freed_buffers()  # as in any process that has opened a log
    work = Work()
    kernel = uncompiled(streamlog.record.kernel)
    murmur2 = uncompiled(streamlog.record.murmur2)
    print(f"kernels: {describe()}")

    def measure(do: Callable[[], object], batches: int = batches) -> float:
        return median(chosen.runs, lambda: nanoseconds(do, batches))

    def parts() -> list[bytes]:
        encoded: list[bytes] = []
        kernel.encode_records(work.keys, work.values, work.timestamps, None, encoded)
        return encoded

    few = max(1, batches // 10)
    encode_ns = measure(lambda: encode_batch(work.keys, work.values, work.timestamps))
    decode_ns = measure(lambda: decode(work))
    partition_ns = measure(lambda: partitions_for(work.keys, PARTITIONS))
    bound_ns = measure(lambda: copy_and_check(work))
    report(
        chosen,
        {
            "encode_ns": encode_ns,
            "decode_ns": decode_ns,
            "partition_ns": partition_ns,
            "copy_and_crc_ns": bound_ns,
            "encode_uncompiled_ratio": measure(parts, few) / encode_ns,
            "decode_uncompiled_ratio": measure(
                lambda: decode_uncompiled(kernel, work.batch, work.header), few
            )
            / decode_ns,
            "partition_uncompiled_ratio": measure(
                lambda: murmur2.partition_column(work.keys, PARTITIONS), few
            )
            / partition_ns,
            "encode_bound_ratio": bound_ns / encode_ns,
            "decode_bound_ratio": bound_ns / decode_ns,
        },
    )


if __name__ == "__main__":
    main()
