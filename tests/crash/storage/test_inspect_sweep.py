"""Power is cut while a log rolls, compacts, deletes: a check calls none of it damage.

And a repair of what is left saves what recovery itself makes of it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from streamlog.client.embedded import EmbeddedLog
from streamlog.storage.inspect import check_directory, repair_directory
from streamlog.testing import Adversary, Cut, FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from ..conftest import Sweep

CUTS_IN_CI = 90
EVERY = 6  # so many cuts a repair
SHARES = 3
ROOT = "/disk/log"
NEW = "/disk/saved"
BOOT = "boot"
SMALL = {"segment.bytes": "1500", "index.interval.bytes": "200"}


@cache
def workload() -> FaultyFiles:
    """Transactions, rolls, retention, compaction, deleted records and topics, a clean stop."""
    files, clock = FaultyFiles(), ManualClock(1_700_000_000_000)
    log = EmbeddedLog.open(ROOT, files=files, threaded=False, clock=clock)
    log.alter_config({"log.cleaner.backoff.ms": "1000", "log.retention.check.interval.ms": "1000"})
    log.create_topic("aged", 2, config={**SMALL, "retention.ms": "20000"})
    compacted = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
    log.create_topic("compacted", config={**SMALL, **compacted, "file.delete.delay.ms": "0"})
    producer, plain = log.producer(transactional_id="writer"), log.producer()
    for number in range(30):
        clock.advance(1500)
        producer.begin_transaction()
        for each in range(4):
            producer.send("aged", str(each), f"v{number}-{each}" * 5, partition=each % 2)
            value = None if (number + each) % 7 == 0 else f"c{number}" * 9
            producer.send("compacted", str(each % 3), value)
        producer.abort_transaction() if number % 5 == 3 else producer.commit_transaction()
        plain.send("compacted", str(number % 4), "plain" * 9)
        plain.flush()
        if number == 14:
            log.delete_records({TopicPartition("aged", 1): 30})
        if number == 20:
            log.alter_topic("aged", partitions=3)
        if number % 10 == 9:
            log.create_topic("short", 1)
            plain.send("short", "k", "v")
            plain.flush()
            log.delete_topic("short")
        log.step()
    log.close()
    return files


def records(log: EmbeddedLog) -> set[Any]:
    partitions = [
        TopicPartition(topic.name, number)
        for topic in log.topics().values()
        for number in range(topic.partitions)
    ]
    found: set[Any] = set()
    with log.consumer(auto_commit=False) as consumer:
        consumer.assign(partitions)
        for partition, start in log.beginning_offsets(partitions).items():
            consumer.seek(partition, start)
        while rows := consumer.poll(max_records=10_000):
            found |= {(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value) for r in rows}
    return found


def reopen(files: FaultyFiles, path: str) -> set[Any]:
    with EmbeddedLog.open(path, files=files, threaded=False) as log:
        return records(log)


@pytest.mark.parametrize("share", range(SHARES))
def test_what_a_crash_leaves_is_no_damage_and_a_repair_saves_what_recovery_does(
    share: int, sweep: Sweep
) -> None:
    def check(files: FaultyFiles, cut: Cut) -> None:
        if not files.exists(f"{ROOT}/meta.properties"):
            return
        found = list(check_directory(files, ROOT, boot_id=BOOT))
        assert [str(each) for each in found if each.level == "damage"] == []
        if sweep.made % EVERY == 1:
            repaired = repair_directory(files, ROOT, NEW, boot_id=BOOT)
            assert repaired.lost_offsets == 0
            assert reopen(files, NEW) == reopen(files, ROOT)

    sweep.cut(workload(), check, in_ci=CUTS_IN_CI, share=share, shares=SHARES)


def test_a_cut_in_the_middle_of_a_repair_leaves_no_half_of_a_log() -> None:
    files = workload()
    before = len(files.operations)
    repair_directory(files, ROOT, NEW, boot_id=BOOT)
    after = len(files.operations)
    whole = reopen(files.cut(Cut(after, Adversary.NOTHING)), NEW)
    for place in range(before, after, max((after - before) // 25, 1)):
        survivors = files.cut(Cut(place, Adversary.NOTHING))
        if survivors.exists(NEW):
            assert reopen(survivors, NEW) == whole
        repair_directory(survivors, ROOT, "/disk/again", boot_id=BOOT)
        assert reopen(survivors, "/disk/again") == whole


def test_an_index_entry_that_was_never_synced_is_no_damage() -> None:
    """Zeros are left of an abort's entry, above the recovery point but with a low offset."""
    files = workload()
    entries = [
        number
        for number, operation in enumerate(files.operations, 1)
        if operation.kind == "write" and operation.path.endswith(".txnindex")
    ]
    assert entries
    for after in entries:
        survivors = files.cut(Cut(after, Adversary.ZEROED))
        found = list(check_directory(survivors, ROOT, boot_id=BOOT))
        assert [str(each) for each in found if each.level == "damage"] == []
