"""Rule 8: errors count from the input, and their policies are part of the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from processors import App
from processors.errors import DeserializationError, ProcessingError

if TYPE_CHECKING:
    from tests.exactly_once.conftest import Machine

GOOD = [f"word{number}" for number in range(40)]
BAD = "stop"


def make(**policies: str) -> App:
    """An application whose function raises `StopIteration`, which ends a quiet `map` early."""
    app = App("fragile", chunk_size=16, **policies)  # type: ignore[arg-type]

    def first(line: str) -> str:
        return next(iter([] if line == BAD else [line]))

    app.stream("lines", value=str).map(first).group_by(lambda word: word, name="by-word").count(
        name="counts"
    ).to_stream().to("counts")
    return app


def fill(machine: Machine) -> None:
    machine.log.create_topic("lines", 1)
    machine.send("lines", *GOOD[:20], BAD, *GOOD[20:])


def test_a_stop_iteration_from_a_function_loses_its_own_record_only(machine: Machine) -> None:
    fill(machine)
    (worker,) = machine.run(make(processing="skip"))
    assert machine.table("counts") == dict.fromkeys(GOOD, 1)
    assert worker.status().counters == {"by-word": len(GOOD), "skipped": 1}


def test_to_fail_names_the_place_and_commits_nothing_of_the_record(machine: Machine) -> None:
    fill(machine)
    with pytest.raises(ProcessingError, match=r"lines\.map.*lines-0 at offset 20 with key 'k20'"):
        machine.run(make())
    with pytest.raises(ProcessingError, match="StopIteration"):
        machine.run(make())
    machine.run(make(processing="skip"))
    assert machine.table("counts") == dict.fromkeys(GOOD, 1)


def test_a_dead_letter_has_the_original_bytes_and_joins_the_same_transaction(
    machine: Machine,
) -> None:
    fill(machine)
    with machine.log.producer() as producer:
        producer.send("lines", b"raw", b"\xff", timestamp=7, headers=[("trace", b"1")])
    app = make(processing="dead_letter", deserialization="dead_letter")
    machine.run_and_cut(app)
    machine.run(make(processing="dead_letter", deserialization="dead_letter"))
    assert machine.table("counts") == dict.fromkeys(GOOD, 1)
    letters = machine.records("fragile-dead-letters", value=bytes)
    assert [(each.key, each.value) for each in letters] == [("k20", b"stop"), ("raw", b"\xff")]
    headers = dict(letters[1].headers)
    assert headers["trace"] == b"1"
    assert headers["__streams.errors.topic"] == b"lines"
    assert headers["__streams.errors.offset"] == b"41"
    assert b"StopIteration" in (dict(letters[0].headers)["__streams.errors.exception"] or b"")


def test_bytes_that_cannot_be_read_fail_and_name_their_place(machine: Machine) -> None:
    machine.log.create_topic("lines", 1)
    with machine.log.producer() as producer:
        producer.send("lines", "k", b"\xff")
    with pytest.raises(DeserializationError, match=r"lines-0 at offset 0.*not UTF-8"):
        machine.run(make())
