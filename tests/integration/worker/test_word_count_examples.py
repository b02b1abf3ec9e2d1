"""The examples count the words of a corpus as a `Counter` does, streams and agents alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from processors.cli.target import load
from processors.runtime.worker import Worker

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Bench

EXAMPLES = Path(__file__).parents[3] / "examples" / "word_count"


@pytest.mark.parametrize(("file", "topic"), [("app", "word-counts"), ("agents", "agent-counts")])
def test_an_example_counts_its_own_source_like_a_counter(
    bench: Bench, file: str, topic: str
) -> None:
    lines = [line for path in EXAMPLES.glob("*.py") for line in path.read_text().splitlines()]
    bench.log.create_topic("lines", 4)
    bench.send("lines", *lines)
    (target,) = load(str(EXAMPLES / f"{file}.py")) or []
    assert isinstance(target, Worker)
    bench.run_worker(target)
    assert bench.table(topic) == dict(Counter(" ".join(lines).split()))
