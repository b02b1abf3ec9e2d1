"""Any damage is named with its place, and a repair saves what is whole and invents nothing."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.client.contract import GroupMetadata
from streamlog.client.embedded import EmbeddedLog
from streamlog.files import read_file, write_file
from streamlog.record import Batch, scan
from streamlog.storage import layout
from streamlog.storage.inspect import Finding, check_directory, repair_directory
from streamlog.testing.faulty_files import FaultyFiles
from streamlog.testing.manual_clock import ManualClock
from streamlog.topic import TopicPartition

EXAMPLES = settings().max_examples // 5
"""Each looks at a whole log, several times."""
ROOT = "/log"
NEW = "/saved"
BOOT = "boot"
UNCHECKED = (layout.META_PROPERTIES, layout.LOCK, layout.SESSION, layout.CLEAN_SHUTDOWN)
"""Without a checksum, and not made from anything else: a changed byte may be another truth."""

Row = tuple[int, int, int, Any, Any, str]


@cache
def original() -> tuple[dict[str, bytes], frozenset[Row], frozenset[Row]]:
    """Files of a log after a clean stop; its records, and the committed ones."""
    files = FaultyFiles()
    clock = ManualClock(1_700_000_000_000)
    log = EmbeddedLog.open(ROOT, files=files, threaded=False, clock=clock)
    config = {"segment.bytes": "1500", "index.interval.bytes": "200"}
    log.create_topic("events", 2, config=config)
    plain = log.producer(compression="lz4")
    producer = log.producer(transactional_id="writer")
    for number in range(24):
        clock.advance(1000)
        producer.begin_transaction()
        for each in range(4):
            headers = [("trace", b"\x00\x02" * each)] if each else None
            producer.send(
                "events",
                f"key-{each}",
                f"{number}-{each}" * each,
                partition=each % 2,
                headers=headers,
            )
        if number % 5 == 3:
            producer.abort_transaction()
        else:
            at = {TopicPartition("events", 0): number}
            producer.send_offsets_to_transaction(at, GroupMetadata(group_id="readers"))
            producer.commit_transaction()
        if number % 3 == 0:
            for each in range(6):
                plain.send(
                    "events",
                    f"plain-{number}",
                    None if each == 3 else "x" * each * 9,
                    partition=number % 2,
                )
            plain.flush()
    seen = records(log, "read_uncommitted"), records(log, "read_committed")
    log.close()
    return contents(files), *seen


def records(log: EmbeddedLog, isolation: Any) -> frozenset[Row]:
    rows: set[Row] = set()
    count = log.topic("events").partitions  # fewer where all of one was lost
    partitions = [TopicPartition("events", number) for number in range(count)]
    with log.consumer(isolation=isolation, auto_commit=False) as consumer:
        consumer.assign(partitions)
        for partition, start in log.beginning_offsets(partitions).items():
            consumer.seek(partition, start)
        while found := consumer.poll(max_records=10_000):
            rows |= {
                (r.partition, r.offset, r.timestamp, r.key, r.value, str(r.headers)) for r in found
            }
    return frozenset(rows)


def contents(files: FaultyFiles, root: str = ROOT) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in files.listdir(root):
        path = os.path.join(root, name)
        try:
            found |= contents(files, path)
        except NotADirectoryError:
            found[path] = read_file(files, path)
    return found


def restore(stored: dict[str, bytes]) -> FaultyFiles:
    files = FaultyFiles()
    for path, content in stored.items():
        files.makedirs(os.path.dirname(path))
        write_file(files, path, content)
    return files


def findings(files: FaultyFiles, root: str = ROOT) -> list[Finding]:
    return list(check_directory(files, root, boot_id=BOOT))


class Stored(dict[str, bytes]):
    """Contents of files by path, too long to be shown."""

    def __repr__(self) -> str:
        return f"<{len(self)} files>"


@dataclass
class Damage:
    """Paths that were changed; `bytes_of` says which bytes of a file are not as they were."""

    stored: Stored
    paths: list[str]
    first: int = 0
    last: int = 0


def checked_paths() -> list[str]:
    return sorted(path for path in original()[0] if os.path.basename(path) not in UNCHECKED)


@st.composite
def damages(draw: st.DrawFn, kind: str, suffix: str = "") -> Damage:
    stored = Stored(original()[0])
    paths = [path for path in checked_paths() if path.endswith(suffix) and stored[path]]
    path = draw(st.sampled_from(paths))
    content = stored[path]
    if kind == "byte":
        position = draw(st.integers(0, len(content) - 1))
        changed = bytearray(content)
        changed[position] ^= draw(st.integers(1, 255))
        stored[path] = bytes(changed)
        return Damage(stored, [path], position, position)
    if kind == "truncation":
        size = draw(st.integers(0, len(content) - 1))
        stored[path] = content[:size]
        return Damage(stored, [path], size, len(content) - 1)
    if kind == "missing":
        del stored[path]
        return Damage(stored, [path], 0, len(content) - 1)
    like = [
        other
        for other in paths
        if os.path.splitext(other)[1] == os.path.splitext(path)[1]
        and stored[other] != content
        and (os.path.splitext(other)[1] or os.path.basename(other) == os.path.basename(path))
    ]
    if not like:
        return Damage(stored, [])
    other = draw(st.sampled_from(like))
    stored[path], stored[other] = stored[other], content
    return Damage(stored, [path, other])


@pytest.mark.parametrize("kind", ["byte", "truncation", "missing", "swap"])
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_damage_is_named_with_its_place(kind: str, data: st.DataObject) -> None:
    damage = data.draw(damages(kind))
    found = findings(restore(damage.stored))
    if damage.paths:
        assert {each.path for each in found} & set(damage.paths) or any(
            each.path == os.path.dirname(path) for each in found for path in damage.paths
        ), (damage.paths, damage.first, [str(each) for each in found])


def lost_rows(damage: Damage) -> frozenset[Row]:
    """The records in the batches that the damage touches; their offsets are the segment's."""
    stored, rows, _ = original()
    lost: set[tuple[int, int]] = set()
    for path in damage.paths:
        if not path.endswith(layout.LOG) or "/events-" not in path:
            continue
        partition = int(os.path.dirname(path)[-1])
        for event in scan(stored[path]):
            if isinstance(event, Batch):
                start, end = event.position, event.position + event.header.size_bytes
                if start <= damage.last and damage.first < end:
                    offsets = range(event.header.base_offset, event.header.next_offset)
                    lost |= {(partition, offset) for offset in offsets}
    return frozenset(row for row in rows if row[:2] in lost)


@pytest.mark.parametrize("kind", ["byte", "truncation", "missing"])
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_repair_saves_everything_around_the_damage_and_invents_nothing(
    kind: str, data: st.DataObject
) -> None:
    damage = data.draw(damages(kind))
    files = restore(damage.stored)
    repair_directory(files, ROOT, NEW, boot_id=BOOT)
    assert [each for each in findings(files, NEW) if each.level == "damage"] == []
    _, rows, committed = original()
    log = EmbeddedLog.open(NEW, files=files, threaded=False)
    saved, visible = records(log, "read_uncommitted"), records(log, "read_committed")
    ends = log.end_offsets([TopicPartition("events", n) for n in range(2)])
    log.close()
    assert saved <= rows
    assert visible <= committed
    assert rows - lost_rows(damage) <= saved
    highest = {n: max(row[1] for row in rows if row[0] == n) for n in range(2)}
    assert all(ends[TopicPartition("events", n)] > highest[n] for n in range(2))


@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 12))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_repair_of_much_damage_invents_nothing(seed: int, count: int) -> None:
    chosen = random.Random(seed)
    stored = dict(original()[0])
    for _ in range(count):
        path = chosen.choice(checked_paths())
        content = bytearray(stored.get(path, b""))
        if not content:
            continue
        match chosen.randrange(6):
            case 0:
                del stored[path]
            case 1:
                stored[path] = bytes(content[: chosen.randrange(len(content))])
            case 2:
                start = chosen.randrange(len(content))
                size = chosen.randrange(400)
                content[start : start + size] = bytes(len(content[start : start + size]))
                stored[path] = bytes(content)
            case _:
                content[chosen.randrange(len(content))] ^= chosen.randrange(1, 256)
                stored[path] = bytes(content)
    files = restore(stored)
    for _ in findings(files):
        pass
    repair_directory(files, ROOT, NEW, boot_id=BOOT)
    _, rows, committed = original()
    log = EmbeddedLog.open(NEW, files=files, threaded=False)
    if "events" in log.topics():
        assert records(log, "read_uncommitted") <= rows
        assert records(log, "read_committed") <= committed
    log.close()


def test_segments_that_have_changed_places_are_all_saved() -> None:
    stored, rows, committed = original()
    logs = [path for path in sorted(stored) if "/events-0/" in path and path.endswith(layout.LOG)]
    for one, other in pairwise(logs):
        files = restore({**stored, one: stored[other], other: stored[one]})
        assert {one, other} <= {each.path for each in findings(files) if each.level == "damage"}
        assert repair_directory(files, ROOT, NEW, boot_id=BOOT).lost_offsets == 0
        with EmbeddedLog.open(NEW, files=files, threaded=False) as log:
            assert records(log, "read_uncommitted") == rows
            assert records(log, "read_committed") == committed


def test_the_directory_of_another_topic_is_not_taken_for_this_ones() -> None:
    stored, rows, _ = original()
    other = next(os.path.dirname(path) for path in stored if "/__consumer_offsets-" in path)
    moved = {
        path.replace(f"{ROOT}/events-0/", f"{other}/") if "/events-0/" in path else path: content
        for path, content in stored.items()
        if not path.startswith(f"{other}/")
    }
    files = restore(moved)
    assert other in {each.path for each in findings(files) if each.level == "damage"}
    repair_directory(files, ROOT, NEW, boot_id=BOOT)
    with EmbeddedLog.open(NEW, files=files, threaded=False) as log:
        assert log.topic("events").partitions == 2
        assert records(log, "read_uncommitted") == {row for row in rows if row[0] == 1}


def test_a_whole_log_has_nothing_to_be_found() -> None:
    assert findings(restore(original()[0])) == []
