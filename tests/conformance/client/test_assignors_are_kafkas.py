"""Our assignors beside Kafka's: tests/vectors/assignors.jsonl is what its Java client decided.

Each line is a generation of a group whose members and topics change. It was made with Kafka 4.1 by
tests/golden/make/Assignors.java. Members stand in the order of Java's hash table, by which Kafka's
assignors go.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlog.client.assignors import ASSIGNORS, Subscriber
from streamlog.coordination.consumer_protocol import decode_subscription, encode_subscription

LINES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "assignors.jsonl").read_text().splitlines()
]


def subscribers(line):
    return [
        Subscriber(
            each["id"], each["instance"], decode_subscription(bytes.fromhex(each["subscription"]))
        )
        for each in line["members"]
    ]


def shares(line):
    chosen = ASSIGNORS[line["assignor"]].assign(line["partitions"], subscribers(line))
    return {member: sorted(map(str, share)) for member, share in chosen.items()}


@pytest.mark.parametrize("name", ASSIGNORS)
def test_every_decision_is_that_of_the_java_client(name):
    lines = [line for line in LINES if line["assignor"] == name]
    assert len(lines) >= 40
    for line in lines:
        assert shares(line) == line["shares"], line


@pytest.mark.parametrize("name", ASSIGNORS)
def test_subscriptions_are_the_java_clients_bytes(name):
    for line in LINES:
        if line["assignor"] == name:
            for each in line["members"]:
                raw = bytes.fromhex(each["subscription"])
                assert encode_subscription(decode_subscription(raw)) == raw
