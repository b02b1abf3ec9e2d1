"""The same operations on a log of ours and on a real broker: same offsets, errors and survivors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker_topics import create_topics
from raw_client import RawClient
from side_by_side import CONFIG, BrokersLog, OurLog, sequence

from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from broker import KafkaBroker


def test_sequences_of_operations_have_the_same_outcomes(
    kafka: KafkaBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seeds = range(request.config.getoption("--sequences"))
    create_topics(kafka, {f"sequence-{seed}": (1, CONFIG) for seed in seeds})
    seen: set[str] = set()
    with (
        RawClient(kafka) as client,
        LogDirectory.open(tmp_path, durability="os", threaded=False) as directory,
    ):
        for seed in seeds:
            topic = f"sequence-{seed}"
            ours = OurLog(directory, topic)
            theirs = BrokersLog(client, kafka.data_directory / f"{topic}-0", topic)
            for number, operation in enumerate(sequence(seed)):
                outcome = ours.run(operation)
                expected = theirs.run(operation)
                assert outcome == expected, (seed, number, operation)
                seen.add(expected.error)
            assert ours.survivors() == theirs.survivors(), seed
    assert len(seen) > 4
