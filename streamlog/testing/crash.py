"""What is left of a log after a loss of power, wherever it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlog
from streamlog.testing.faulty_files import Cut, FaultyFiles, choose_cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.client.contract import Log
    from streamlog.clock import Clock

PATH: Final = "/log"


@dataclass(frozen=True, slots=True)
class Crash:
    """One loss of power, and what is there when the machine runs again."""

    cut: Cut
    """After which operation, and what became of what had not been synced."""
    log: Log
    """Opened anew, on the files that survived; closed when the next one is asked for."""
    notes: list[Any]
    """What had been noted before: the promises that the log has to keep."""


def crashes(
    work: Callable[[Log, Callable[[Any], None]], None],
    *,
    prepare: Callable[[Log], None] | None = None,
    count: int | None = 100,
    seed: str = "",
    clock: Clock | None = None,
) -> Iterator[Crash]:
    """Runs `work` once, and then shows what a loss of power anywhere in it would have left.

        def place(log, note):
            with log.producer() as producer:
                for number in range(10):
                    producer.send("orders", value=b"%d" % number).result()
                    note(number)  # from here on it is promised

        for crash in crashes(place, prepare=lambda log: log.create_topic("orders")):
            with crash.log.consumer("orders") as consumer:
                found = [int(record.value) for record in consumer.poll(max_records=100)]
            assert found[: len(crash.notes)] == crash.notes

    Everything runs without threads, so that it is the same in every run: records are written by
    `flush`, `result`, `commit_transaction` and `close`.

    Args:
        work: gets the log, and a function that remembers a promise together with the moment.
        prepare: comes first; power is not cut in it.
        count: how many cuts are chosen, None for all there are.
        seed: chooses others.
    """
    files = FaultyFiles()
    with _open(files, clock) as log:
        if prepare is not None:
            prepare(log)
        first = len(files.operations)
        work(log, files.note)
    for cut in choose_cuts(len(files.operations), count=count, seed=seed, first=first):
        with _open(files.cut(cut, seed=seed), clock) as log:
            yield Crash(cut, log, files.notes(cut))


def _open(files: FaultyFiles, clock: Clock | None) -> Log:
    return streamlog.open(PATH, files=files, clock=clock, threaded=False)
