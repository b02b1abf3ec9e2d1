"""The same operations on a log of ours and on a real broker: same offsets, errors and survivors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker_topics import create_topics
from raw_client import RawClient
from side_by_side import CONFIGS, NEVER, BrokersLog, Clean, OurLog, Retain, kind_of, sequence

from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from broker import KafkaBroker


def test_sequences_of_operations_have_the_same_outcomes(
    kafka: KafkaBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    topics = {f"sequence-{seed}": seed for seed in range(request.config.getoption("--sequences"))}
    ratio = {"min.cleanable.dirty.ratio": NEVER}
    create_topics(
        kafka, {topic: (1, CONFIGS[kind_of(seed)] | ratio) for topic, seed in topics.items()}
    )
    seen: set[str] = set()
    with (
        RawClient(kafka) as client,
        LogDirectory.open(tmp_path, durability="os", threaded=False) as directory,
    ):
        for topic, seed in topics.items():
            ours = OurLog(directory, topic, kind_of(seed))
            theirs = BrokersLog(kafka, client, topic)
            for number, operation in enumerate(sequence(seed)):
                outcome = ours.run(operation)
                expected = theirs.run(operation, outcome.offset)
                told = (seed, number, operation, outcome, expected)
                assert ours.agrees(operation, outcome, expected), told
                if isinstance(operation, (Clean, Retain)):
                    assert ours.survivors() == theirs.survivors(), (seed, number)
                seen.add(expected.error)
            assert ours.survivors() == theirs.survivors(), seed
    assert len(seen) > 4
