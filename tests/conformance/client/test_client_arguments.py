"""What is of another kind than it should be is refused in words, before anything happens."""

import threading

import pytest

from streamlog import TopicPartition

BIDS = TopicPartition("bids", 0)


@pytest.fixture
def bids(log):
    log.create_topic("bids")
    return log


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda log: log.consumer(["bids"]), TypeError, "a topic is a str"),
        (lambda log: log.consumer().assign(["bids"]), TypeError, "is no partition"),
        (lambda log: log.consumer().assign(["ab"]), TypeError, "is no partition"),
        (lambda log: log.end_offsets(["bids"]), TypeError, "is no partition"),
        (lambda log: log.end_offsets([("bids", "0")]), TypeError, "is no partition"),
        (lambda log: log.end_offsets([BIDS], isolation="committed"), ValueError, "read_committed"),
        (lambda log: log.beginning_offsets([("bids",)]), TypeError, "is no partition"),
        (lambda log: log.offsets_for_time(["bids"], 0), TypeError, "is no partition"),
        (lambda log: log.delete_records({"bids": 0}), TypeError, "is no partition"),
        (lambda log: log.alter_group_offsets("g", {"bids": 0}), TypeError, "is no partition"),
        (lambda log: log.consumer(group="g").commit({"bids": 0}), TypeError, "is no partition"),
        (lambda log: log.producer().send("bids", partition="0"), TypeError, "integer"),
        (lambda log: log.producer().send("bids", headers={"a": b"b"}), TypeError, "a header is"),
        (lambda log: log.producer().send("bids", headers=[("a", "b")]), TypeError, "a header is"),
    ],
)
def test_another_kind_is_refused_in_words(bids, call, error, said):
    with pytest.raises(error, match=said):
        call(bids)


def test_a_pair_is_a_partition(bids):
    assert bids.end_offsets([("bids", 0)]) == {BIDS: 0}
    with bids.consumer(group="g") as consumer:
        consumer.assign([("bids", 0)])
        assert consumer.assignment() == [BIDS]
        consumer.commit({("bids", 0): 0})
    assert bids.committed_offsets("g") == {BIDS: 0}


def test_a_poll_without_a_limit_waits_until_it_is_woken(bids):
    with bids.consumer("bids") as consumer:
        waiting = threading.Thread(target=lambda: found.append(consumer.poll(None)))
        found = []
        waiting.start()
        consumer.wakeup()
        waiting.join()
        assert found == [[]]
