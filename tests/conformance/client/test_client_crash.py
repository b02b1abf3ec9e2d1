"""Consume, transform, produce, and cut the power anywhere: outputs and offsets always agree.

A sample of the cuts; the sweeps of storage and coordination take all of them.
"""

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.testing import FaultyFiles, choose_cuts

NUMBERS = TopicPartition("numbers", 0)
COUNT = 12


@pytest.fixture(scope="module")
def files():
    """A run that commits two records at a time, aborts now and then, and stops cleanly."""
    files = FaultyFiles()
    with streamlog.open("/log", files=files, threaded=False) as log:
        log.create_topic("numbers")
        log.create_topic("doubled", 2)
        with log.producer() as producer:
            producer.send_columns("numbers", None, [b"%d" % number for number in range(COUNT)])
        files.note(("produced", COUNT))
        with (
            log.consumer("numbers", group="g", auto_commit=False) as consumer,
            log.producer(transactional_id="doubler") as producer,
        ):
            while records := consumer.poll(max_records=2):
                start = records[0].offset
                for outcome in ("abort", "commit") if start % 3 == 0 else ("commit",):
                    producer.begin_transaction()
                    for record in records:
                        producer.send("doubled", record.value, b"%d" % (int(record.value) * 2))
                    position = {NUMBERS: consumer.position(NUMBERS)}
                    producer.send_offsets_to_transaction(position, consumer.group_metadata())
                    if outcome == "abort":
                        producer.flush()
                        producer.abort_transaction()
                    else:
                        producer.commit_transaction()
                        files.note(("committed", position[NUMBERS]))
    return files


def highest(notes, kind):
    return max((number for what, number in notes if what == kind), default=0)


def test_after_a_cut_outputs_and_offsets_agree_and_nothing_acknowledged_is_lost(files):
    cuts = choose_cuts(len(files.operations), count=80, seed="client")
    for cut in cuts:
        with streamlog.open("/log", files=files.cut(cut), threaded=False) as log:
            if "doubled" not in log.topics():
                assert not files.notes(cut)
                continue
            produced = log.end_offsets([NUMBERS])[NUMBERS]
            committed = log.committed_offsets("g").get(NUMBERS, 0)
            with log.consumer("doubled", value=str) as consumer:
                doubled = sorted(int(record.value) for record in consumer.poll())
            assert doubled == [number * 2 for number in range(committed)], cut
            assert produced >= highest(files.notes(cut), "produced"), cut
            assert committed >= highest(files.notes(cut), "committed"), cut


def test_after_a_cut_the_work_goes_on_to_the_same_end(files):
    for cut in choose_cuts(len(files.operations), count=25, seed="again"):
        with streamlog.open("/log", files=files.cut(cut), threaded=False) as log:
            if log.topics().keys() != {"numbers", "doubled"}:
                continue
            with (
                log.consumer("numbers", group="g", auto_commit=False) as consumer,
                log.producer(transactional_id="doubler") as producer,
            ):
                while records := consumer.poll(max_records=5):
                    producer.begin_transaction()
                    for record in records:
                        producer.send("doubled", record.value, b"%d" % (int(record.value) * 2))
                    position = {NUMBERS: consumer.position(NUMBERS)}
                    producer.send_offsets_to_transaction(position, consumer.group_metadata())
                    producer.commit_transaction()
            with log.consumer("doubled", value=str) as consumer:
                doubled = sorted(int(record.value) for record in consumer.poll())
            end = log.end_offsets([NUMBERS])[NUMBERS]
            assert doubled == [number * 2 for number in range(end)], cut
