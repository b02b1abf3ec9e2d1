"""Rule 9: tickets and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from processors import App

if TYPE_CHECKING:
    from tests.exactly_once.conftest import Machine

NUMBERS = [str(number) for number in range(40)]


@pytest.mark.parametrize("exchange", ["memory", "topic"])
def test_a_filter_that_drops_everything_stops_no_merge_and_the_chunk_size_decides_no_order(
    machine: Machine, exchange: str
) -> None:
    """Rows of two topics, of which one branch never gives any, meet behind an exchange: those that
    do come are counted in the order of their timestamps, whatever ran together."""
    for topic in ("left", "right", "dropped"):
        machine.log.create_topic(topic, 2)
    for number in NUMBERS:
        machine.send(("left", "right", "dropped")[int(number) % 3], number, partition=0)

    def make(name: str, chunk_size: int) -> App:
        app = App(name, chunk_size=chunk_size, exchange=exchange)  # type: ignore[arg-type]
        left, right, dropped = (
            app.stream(topic, value=str) for topic in ("left", "right", "dropped")
        )
        merged = left.merge(dropped.filter(lambda _: False)).merge(right)
        together = merged.group_by(lambda _: "all", name="together")
        together.reduce("{} {}".format, name="seen").to_stream().to(f"{name}-out")
        return app

    kept = [number for number in NUMBERS if int(number) % 3 != 2]
    for chunk_size in (1, 7, 1_000):
        name = f"merge{chunk_size}"
        machine.run(make(name, chunk_size))
        seen = machine.records(f"{name}-out", value=str)[-1].value
        assert seen == " ".join(kept)
