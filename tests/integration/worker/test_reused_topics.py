"""A table whose topic is compacted has no changelog: it is restored from its topic."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from processors import App
from processors.errors import IncompatibleTopologyError, TopologyError

if TYPE_CHECKING:
    from pathlib import Path

    from streamlog.client.contract import Log

COMPACT = {"cleanup.policy": "compact"}


def build(**options: Any) -> App:
    app = App("a", commit_interval_ms=5, **options)
    table = app.table("prices", key="json", value=int, name="now", emit="every")
    table.changes().to("changes")
    return app


def write(log: Log, rows: list[tuple[bytes | None, Any]]) -> None:
    with log.producer() as producer:
        for key, value in rows:
            data = value if isinstance(value, bytes) or value is None else value.to_bytes(8, "big")
            producer.send("prices", key=key, value=data)


def read(log: Log, topic: str) -> list[Any]:
    consumer = log.consumer(topic, key=bytes, value="json", start="earliest")
    found = [(record.key, record.value) for record in consumer.poll(0.5)]
    consumer.close()
    return found


def run(path: Path, app: App) -> list[Any]:
    """Runs what waits and gives all changes so far."""
    with streamlog.open(path) as log:
        app.run(log=log, until_idle=True)
        return read(log, "changes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    with streamlog.open(path) as log:
        log.create_topic("prices", 1, config=COMPACT)
        write(log, [(b'"tea"', 3), (b'"rum"', 9), (b'"tea"', 4)])
    return path


def drop_state(path: Path) -> None:
    """As if the machine's disk were another one; the manifest stays."""
    databases = [found.parent for found in path.rglob("CURRENT")]
    assert databases
    for database in databases:
        shutil.rmtree(database)


@pytest.mark.parametrize("drop", [False, True])
def test_a_table_goes_on_where_it_was_without_a_changelog(path: Path, drop: bool) -> None:
    first = run(path, build())
    assert [change for _, change in first] == [[None, 3], [None, 9], [3, 4]]
    if drop:
        drop_state(path)
    with streamlog.open(path) as log:
        assert "a-now-changelog" not in log.topics()
        write(log, [(b'"tea"', 5), (b'"rum"', None)])
    assert [change for _, change in run(path, build())[3:]] == [[4, 5], [9, None]]


def test_what_was_left_out_is_left_out_of_the_restored_table_too(path: Path) -> None:
    with streamlog.open(path) as log:
        write(log, [(b'"tea"', b"no number"), (b" 7 ", 1)])
    run(path, build(deserialization="skip"))
    drop_state(path)
    with streamlog.open(path) as log:
        write(log, [(b'"tea"', 5), (b"7", 2)])
    changes = run(path, build(deserialization="skip"))
    assert [change for _, change in changes[-2:]] == [[4, 5], [1, 2]]


def test_records_that_were_not_processed_yet_are_not_restored(path: Path) -> None:
    run(path, build())
    drop_state(path)
    with streamlog.open(path) as log:
        write(log, [(b'"tea"', number) for number in range(100)])
    changes = [change for _, change in run(path, build())[3:]]
    assert changes == [[4 if n == 0 else n - 1, n] for n in range(100)]


def test_the_rule_can_be_switched_off_and_then_there_is_a_changelog(path: Path) -> None:
    run(path, build(optimize={"reuse_sources": False}))
    with streamlog.open(path) as log:
        assert "a-now-changelog" in log.topics()
        write(log, [(b'"tea"', 5)])
    assert run(path, build())[-1][1] == [4, 5]  # what was chosen first stays
    with streamlog.open(path) as log:
        assert len(read_raw(log, "a-now-changelog")) > 0


def read_raw(log: Log, topic: str) -> list[Any]:
    consumer = log.consumer(topic, key=bytes, value=bytes, start="earliest")
    found = list(consumer.poll(0.5))
    consumer.close()
    return found


def test_a_topic_that_is_not_compacted_keeps_no_table(tmp_path: Path) -> None:
    with streamlog.open(tmp_path / "log") as log:
        log.create_topic("prices", 1)
        write(log, [(b'"tea"', 3)])
    run(tmp_path / "log", build())
    with streamlog.open(tmp_path / "log") as log:
        assert "a-now-changelog" in log.topics()


def test_a_topic_that_is_no_longer_compacted_is_refused(path: Path) -> None:
    run(path, build())
    with streamlog.open(path) as log:
        log.alter_topic("prices", config={"cleanup.policy": "delete"})
    with pytest.raises(TopologyError, match="set it back to 'compact'"):
        run(path, build())


def test_switching_the_rule_off_later_is_another_topology(path: Path) -> None:
    run(path, build())
    with pytest.raises(IncompatibleTopologyError, match="source was prices, is None"):
        run(path, build(optimize={"reuse_sources": False}))
