"""Rule 16, as far as a worker reaches: a stall costs nothing, a lost transaction only its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processors import App

if TYPE_CHECKING:
    from processors.runtime.worker import Worker
    from tests.exactly_once.conftest import Machine

LINES = [f"w{number % 7}" for number in range(40)]


@pytest.mark.parametrize(("steps_ms", "deaths"), [([120_000], 0), ([1_000] * 65, 2)])
def test_a_stalled_loop_keeps_its_transaction_and_one_that_is_open_too_long_dies(
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    steps_ms: list[int],
    deaths: int,
) -> None:
    """A suspended laptop, or a worker that never commits while the machine runs: then the
    coordinator aborts, and the tasks start anew from what is committed."""
    monkeypatch.setattr("processors.runtime.work.SEND_BYTES", 0)  # opens it with the first round
    machine.log.create_topic("lines", 1)
    machine.send("lines", *LINES)
    app = App("stalling", chunk_size=4, commit_interval_ms=1 << 30)
    counts = app.stream("lines", value=str).group_by(lambda word: word, name="by-word")
    counts.count(name="counts", emit="every").to_stream().to("counts")
    stalls: list[int] = []

    def stall(worker: Worker) -> bool:
        status = worker.status()
        if len(stalls) < 2 and status.records_in > 10 * (1 + len(stalls)) and status.records_out:
            stalls.append(status.records_in)
            log: Any = machine.log
            for step_ms in steps_ms:
                machine.clock.advance(step_ms)
                log.step()
        return len(stalls) == 2 and machine.is_idle(worker)

    machine.run(app, until=stall)
    assert caplog.text.count("the tasks died and start anew") == deaths
    values: dict[str, list[int]] = {}
    for record in machine.records("counts"):
        values.setdefault(record.key, []).append(record.value)
    assert values == {word: list(range(1, LINES.count(word) + 1)) for word in sorted(set(LINES))}
