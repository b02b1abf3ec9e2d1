"""A broker and our log refuse the same batches, by the same names, and store the same of others."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from broker_topics import create_topics
from raw_client import RawClient
from side_by_side import survivors

from streamlog.errors import StreamlogError
from streamlog.record import (
    Codec,
    TimestampType,
    crc32c,
    encode_batch,
)
from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from broker import KafkaBroker

NAMES = {
    0: "",
    2: "CORRUPT_MESSAGE",
    10: "MESSAGE_TOO_LARGE",
    18: "RECORD_LIST_TOO_LARGE",
    32: "INVALID_TIMESTAMP",
    87: "INVALID_RECORD",
}
HOUR_MS = 3_600_000
CONFIGS = {
    "plain": {},
    "compacted": {"cleanup.policy": "compact"},
    "recent": {"message.timestamp.before.max.ms": "60000"},
    "stamped": {"message.timestamp.type": "LogAppendTime"},
    "small": {"max.message.bytes": "300"},
    "zipped": {"compression.type": "zstd"},
}


def now_ms() -> int:
    return int(time.time() * 1000)


def batch_of(
    *values: bytes, keys: Sequence[bytes | None] | None = None, ahead_ms: int = 0, **fields: object
) -> bytearray:
    return encode_batch(
        [b"key"] * len(values) if keys is None else keys,
        values,
        [now_ms() + ahead_ms] * len(values),
        **fields,  # type: ignore[arg-type]
    )


def patch(batch: bytearray, form: str, position: int, value: int, *, crc: bool = True) -> bytearray:
    struct.pack_into(form, batch, position, value)
    if crc:
        struct.pack_into(">I", batch, 17, crc32c(batch, 21))
    return batch


def damaged_record() -> bytearray:
    batch = batch_of(b"1", b"2")
    batch[-3] = 0x7F
    return patch(batch, ">i", 57, 2)


ATTEMPTS: dict[str, tuple[str, Callable[[], bytes | bytearray]]] = {
    "nothing": ("plain", lambda: b""),
    "half a batch": ("plain", lambda: batch_of(b"x" * 99)[:-50]),
    "two batches": ("plain", lambda: batch_of(b"1") + batch_of(b"2")),
    "a batch and a half": ("plain", lambda: batch_of(b"1") + batch_of(b"2")[:-4]),
    "magic 1": ("plain", lambda: patch(batch_of(b"1"), ">b", 16, 1)),
    "magic 3": ("plain", lambda: patch(batch_of(b"1"), ">b", 16, 3)),
    "a length below all": ("plain", lambda: patch(batch_of(b"1"), ">i", 8, 13)),
    "an offset": ("plain", lambda: batch_of(b"1", base_offset=3)),
    "an offset and a wrong CRC": (
        "plain",
        lambda: patch(batch_of(b"1", base_offset=3), ">I", 17, 1, crc=False),
    ),
    "a wrong CRC": ("plain", lambda: patch(batch_of(b"1"), ">I", 17, 1, crc=False)),
    "more offsets than records": ("plain", lambda: patch(batch_of(b"1"), ">i", 23, 2)),
    "offsets below 0": ("plain", lambda: patch(batch_of(b"1"), ">i", 23, -1)),
    "no records": ("plain", lambda: patch(batch_of(b"1"), ">i", 57, 0)),
    "a count below 0": ("plain", lambda: patch(batch_of(b"1"), ">i", 57, -1)),
    "a control batch": ("plain", lambda: patch(batch_of(b"1"), ">h", 21, 0x20)),
    "garbage behind the batch": ("plain", lambda: batch_of(b"1") + b"garbage"),
    "a wrong highest timestamp": ("plain", lambda: patch(batch_of(b"1"), ">q", 35, 5)),
    "no sequence": (
        "plain",
        lambda: batch_of(b"1", producer_id=70_000, producer_epoch=0, base_sequence=-1),
    ),
    "damaged records": ("plain", damaged_record),
    "an hour ahead": ("plain", lambda: batch_of(b"1", ahead_ms=HOUR_MS + 60_000)),
    "half an hour ahead": ("plain", lambda: batch_of(b"1", ahead_ms=HOUR_MS // 2)),
    "a year old": ("plain", lambda: batch_of(b"1", ahead_ms=-365 * 24 * HOUR_MS)),
    "said to be the log's time": (
        "plain",
        lambda: batch_of(b"1", timestamp_type=TimestampType.LOG_APPEND_TIME),
    ),
    "no key": ("plain", lambda: batch_of(b"1", keys=[None])),
    "no key, compacted": ("compacted", lambda: batch_of(b"1", b"2", keys=[b"k", None])),
    "a tombstone": ("compacted", lambda: encode_batch([b"k"], [None], [now_ms()])),
    "no key and too late": ("compacted", lambda: batch_of(b"1", keys=[None], ahead_ms=2 * HOUR_MS)),
    "too old": ("recent", lambda: batch_of(b"1", ahead_ms=-120_000)),
    "recent": ("recent", lambda: batch_of(b"1", ahead_ms=-1000)),
    "any time": ("stamped", lambda: batch_of(b"1", ahead_ms=2 * HOUR_MS)),
    "another's append time": (
        "stamped",
        lambda: batch_of(b"1", timestamp_type=TimestampType.LOG_APPEND_TIME),
    ),
    "too large": ("small", lambda: batch_of(b"x" * 300)),
    "too large and wrong": ("small", lambda: patch(batch_of(b"x" * 300), ">I", 17, 1, crc=False)),
    "compressed": ("small", lambda: batch_of(b"x" * 300, codec=Codec.GZIP)),
    "compressed again": ("zipped", lambda: batch_of(b"x" * 300, codec=Codec.GZIP)),
}


def test_a_broker_and_our_log_refuse_the_same_batches(kafka: KafkaBroker, tmp_path: Path) -> None:
    create_topics(kafka, {f"faults-{name}": (1, config) for name, config in CONFIGS.items()})
    outcomes: dict[str, tuple[str, str]] = {}
    with (
        RawClient(kafka) as client,
        LogDirectory.open(tmp_path, durability="os", threaded=False) as directory,
    ):
        for name, config in CONFIGS.items():
            directory.create_topic(f"faults-{name}", 1, config)
            client.wait_leader(f"faults-{name}")
        for what, (kind, make) in ATTEMPTS.items():
            batch = bytes(make())
            code = client.produce(f"faults-{kind}", batch).error
            log = directory.partition(f"faults-{kind}", 0)
            try:
                log.append(bytearray(batch), now_ms=now_ms(), verify=True)
                ours = ""
            except StreamlogError as error:
                ours = error.kafka_error
            outcomes[what] = (NAMES.get(code, str(code)), ours)
    assert {what: theirs for what, (theirs, _) in outcomes.items()} == {
        what: ours for what, (_, ours) in outcomes.items()
    }
    assert len({theirs for theirs, _ in outcomes.values()}) >= 5
    for name in CONFIGS.keys() - {"stamped"}:  # where each has set a time of its own
        theirs = survivors(kafka.data_directory / f"faults-{name}-0")
        assert survivors(tmp_path / f"faults-{name}-0") == theirs
