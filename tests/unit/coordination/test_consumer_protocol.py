"""The bytes that members exchange. Literals are what Kafka's Java client (4.1) writes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.coordination.consumer_protocol import (
    Assignment,
    Subscription,
    decode_assignment,
    decode_generation,
    decode_sticky_data,
    decode_subscription,
    encode_assignment,
    encode_generation,
    encode_sticky_data,
    encode_subscription,
)
from streamlog.errors import CorruptRecordError
from streamlog.topic import TopicPartition

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)
WHOLE = Subscription(topics=("a", "b"), user_data=b"u", owned=(A0, A1), generation=7, rack="r")
WHOLE_BYTES = bytes.fromhex(
    "0003 00000002 000161 000162 00000001 75 00000001 000161 00000002 00000000 00000001"
    "00000007 000172"
)

partitions = st.lists(
    st.builds(TopicPartition, st.text(max_size=3), st.integers(0, 9)), max_size=5, unique=True
).map(lambda each: tuple(sorted(each)))


def test_a_subscription_is_kafkas() -> None:
    assert encode_subscription(WHOLE) == WHOLE_BYTES
    assert decode_subscription(WHOLE_BYTES) == WHOLE


@pytest.mark.parametrize(
    ("version", "size", "read"),
    [
        (0, 17, Subscription(topics=("a", "b"), user_data=b"u")),
        (1, 36, Subscription(topics=("a", "b"), user_data=b"u", owned=(A0, A1))),
        (2, 40, Subscription(topics=("a", "b"), user_data=b"u", owned=(A0, A1), generation=7)),
        (9, len(WHOLE_BYTES), WHOLE),
    ],
)
def test_older_and_newer_subscriptions_are_read(version, size, read) -> None:
    data = version.to_bytes(2, "big") + WHOLE_BYTES[2:size]
    assert decode_subscription(data) == read


def test_an_assignment_is_kafkas() -> None:
    data = bytes.fromhex(
        "0003 00000002 000161 00000002 00000000 00000001 000162 00000001 00000000 ffffffff"
    )
    assignment = Assignment(partitions=(A0, A1, B0))
    assert encode_assignment(assignment) == data
    assert decode_assignment(data) == assignment
    assert decode_assignment(b"") == Assignment()


def test_what_sticky_members_remember() -> None:
    assert decode_sticky_data(encode_sticky_data([A0, B0], 3)) == ([A0, B0], 3)
    assert decode_sticky_data(encode_sticky_data([A0], 3)[:-4]) == ([A0], None)
    assert decode_sticky_data(b"\x00") == ([], -1)
    assert decode_generation(encode_generation(5)) == 5
    assert decode_generation(b"") == -1


@given(
    topics=st.sets(st.text(max_size=3), max_size=4),
    user_data=st.none() | st.binary(max_size=5),
    owned=partitions,
    generation=st.none() | st.integers(0, 99),
    rack=st.none() | st.text(max_size=3),
)
def test_what_is_written_is_read(topics, user_data, owned, generation, rack) -> None:
    subscription = Subscription(
        topics=tuple(sorted(topics)),
        user_data=user_data,
        owned=owned,
        generation=generation,
        rack=rack,
    )
    assert decode_subscription(encode_subscription(subscription)) == subscription
    assignment = Assignment(partitions=owned, user_data=user_data)
    assert decode_assignment(encode_assignment(assignment)) == assignment


@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data) -> None:
    for decode in (decode_subscription, decode_assignment, decode_sticky_data, decode_generation):
        with suppress(CorruptRecordError):
            decode(data)
