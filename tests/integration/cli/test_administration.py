"""topics, groups, transactions and config: what operators do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

import streamlog
from streamlog.client.contract import TopicPartition
from streamlog.record import encode_batch
from streamlog.storage import LogDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two partitions of five records with timestamps 0, 1000, ...; `billing` has read some."""
    directory = tmp_path_factory.mktemp("template") / "log"
    with streamlog.open(directory) as log:
        log.create_topic("orders", 2)
        with log.producer(transactional_id="writer") as producer:
            producer.begin_transaction()
            for number in range(10):
                producer.send(
                    "orders",
                    f"k{number}",
                    str(number),
                    partition=number % 2,
                    timestamp=number // 2 * 1000,
                )
            producer.commit_transaction()
        offsets = {TopicPartition("orders", 0): 2, TopicPartition("orders", 1): 5}
        log.alter_group_offsets("billing", offsets)
    return directory


@pytest.fixture
def orders(template: Path, directory: Path) -> Path:
    shutil.copytree(template, directory)
    return directory


# Topics


@pytest.mark.usefixtures("orders")
def test_a_topic_is_altered(command: Command) -> None:
    altered = command(
        *("topics", "alter", "orders", "--partitions", "3"),
        *("--config", "retention.ms=1000", "--config", "cleanup.policy=compact,delete"),
    )
    assert (altered.code, altered.out, altered.err) == (0, "", "")
    described = command("topics", "describe", "orders", "--json").json
    assert described["partitions"] == 3
    assert described["config"] == {"cleanup.policy": "compact,delete", "retention.ms": "1000"}
    back = command("topics", "alter", "orders", "--default", "cleanup.policy", "--json").json
    assert back["config"] == {"retention.ms": "1000"}
    lines = command("topics", "describe", "orders", "--all").lines
    assert "config      retention.ms=1000" in lines
    assert "default     cleanup.policy=delete" in lines


@pytest.mark.usefixtures("orders")
def test_topics_are_deleted_after_a_question(command: Command) -> None:
    asked = command("topics", "delete", "orders", stdin=b"n\n")
    assert (asked.code, asked.out.strip()) == (1, "")
    assert asked.err.startswith("orders: 2 partitions, 12 offsets\n")
    assert command("topics", "list", "--json").json != []
    assert command("topics", "delete", "orders", "--yes").code == 0
    assert command("topics", "list", "--json").json == []


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    ("options", "starts"),
    [
        (["--before-offset", "3"], [3, 3]),
        (["--before-time", "4000", "-p", "1"], [0, 4]),
        (["--before-time", "1970-01-02T00:00:00Z"], [6, 6]),
        (["--all"], [6, 6]),
    ],
)
def test_records_are_deleted(command: Command, options: list[str], starts: list[int]) -> None:
    deleted = command("topics", "delete-records", "orders", *options, "--yes", "--json")
    assert deleted.code == 0
    rows = command("topics", "describe", "orders", "--json").json["offsets"]
    assert [row["start"] for row in rows] == starts
    assert {row["new_start"] for row in deleted.json} <= set(starts)


def test_a_topic_is_adopted_from_another_directory(command: Command, orders: Path) -> None:
    new = str(orders.parent / "new")
    adopt = ("topics", "adopt", "bought", str(orders), "--source-name", "orders", "--log", new)
    adopted = command(*adopt, "--config", "retention.ms=-1", "--json")
    assert adopted.code == 0
    assert adopted.json["config"] == {"retention.ms": "-1"}
    assert (adopted.json["partitions"], adopted.json["offsets"]) == (2, 12)
    theirs = [row["value"] for row in command("export", "bought", "--log", new).json_lines]
    assert sorted(theirs) == [str(number) for number in range(10)]
    assert command("topics", "adopt", "orders", str(orders), "--log", new).lines == [
        "12 offsets in 2 partitions of orders"
    ]
    again = command(*adopt)
    assert (again.code, "exists already" in again.err) == (1, True)


# The log's own configuration


@pytest.mark.usefixtures("orders")
def test_the_configuration_of_the_log_is_shown_and_changed(command: Command) -> None:
    assert command("config", "--json").json == {}
    assert command("config", "describe", "log.retention.ms", "--json").json == {
        "log.retention.ms": {"value": "604800000", "source": "default"}
    }
    changes = ("-c", "log.retention.ms=1000", "-c", "transaction.max.timeout.ms=5000")
    altered = command("config", "alter", *changes)
    assert (altered.code, altered.out, altered.err) == (0, "", "")
    assert command("config").lines[1].split() == ["log.retention.ms", "1000", "log"]
    inherited = command("topics", "describe", "orders", "--all", "--json").json["configs"]
    assert inherited["retention.ms"] == {"value": "1000", "source": "log"}
    back = command("config", "alter", "--default", "log.retention.ms", "--json").json
    assert back == {"log.retention.ms": {"value": "604800000", "source": "default"}}
    assert list(command("config", "describe", "--json").json) == ["transaction.max.timeout.ms"]
    everything = command("config", "--all").lines
    assert len(everything) > 40


# Groups


@pytest.mark.usefixtures("orders")
def test_groups_are_listed_and_described(command: Command) -> None:
    row = {"group": "billing", "state": "Empty", "members": 0, "partitions": 2, "lag": 5}
    assert command("groups", "--json").json == [row]
    assert command("groups", "list").lines[1].split() == ["billing", "Empty", "0", "2", "5"]
    described = command("groups", "describe", "billing", "--json").json
    assert [each["lag"] for each in described["offsets"]] == [4, 1]
    assert "orders-0" in command("groups", "describe", "billing").out


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    ("options", "offsets"),
    [
        (["--to-earliest"], {0: 0, 1: 0}),
        (["--to-latest"], {0: 6, 1: 6}),
        (["--to-offset", "3", "--topic", "orders:1"], {1: 3}),
        (["--shift-by", "-1"], {0: 1, 1: 4}),
        (["--to-datetime", "1970-01-01T00:00:03Z", "--topic", "orders"], {0: 3, 1: 3}),
        (["--by-duration", "P1D"], {0: 6, 1: 6}),
    ],
)
def test_a_group_is_reset(command: Command, options: list[str], offsets: dict[int, int]) -> None:
    planned = command("groups", "reset", "billing", *options, "--dry-run", "--json")
    assert {row["partition"]: row["new"] for row in planned.json} == offsets
    before = {0: 2, 1: 5}
    assert committed(command) == before
    assert command("groups", "reset", "billing", *options, stdin=b"n\n").code == 1
    assert committed(command) == before
    assert command("groups", "reset", "billing", *options, "--yes").code == 0
    assert committed(command) == before | offsets


def committed(command: Command) -> dict[int, int]:
    described = command("groups", "describe", "billing", "--json").json
    return {each["partition"]: each["committed"] for each in described["offsets"]}


@pytest.mark.usefixtures("orders")
def test_a_group_is_deleted_or_some_of_its_offsets(command: Command) -> None:
    some = command("groups", "delete", "billing", "--topic", "orders:1", "--yes", "--json")
    assert some.json == [{"group": "billing", "partitions": ["orders-1"]}]
    assert committed(command) == {0: 2}
    assert command("groups", "delete", "billing", stdin=b"y\n").code == 0
    assert command("groups", "--json").json == []


def test_members_of_a_killed_process_are_no_members(command: Command, orders: Path) -> None:
    killed = orders.parent / "killed"
    with (
        streamlog.open(orders) as log,
        log.consumer("orders", group="tills") as one,
        log.consumer("orders", group="safe", group_instance_id="safe-1") as two,
        log.producer() as producer,
    ):
        one.poll()
        two.poll()
        producer.flush()  # their groups' records are not waited for
        states = {row["group"]: row["state"] for row in command("groups", "--json").json}
        assert states == {"billing": "Empty", "safe": "Stable", "tills": "Stable"}
        shutil.copytree(orders, killed)  # as a kill would leave it
    there = ("--log", str(killed))
    rows = {row["group"]: row for row in command("groups", *there, "--json").json}
    assert (rows["tills"]["state"], rows["tills"]["members"]) == ("Empty", 0)
    assert (rows["safe"]["state"], rows["safe"]["members"]) == ("Stable", 1)
    described = command("groups", "describe", "tills", *there, "--json").json
    assert (described["state"], described["members"]) == ("Empty", [])
    assert command("groups", "delete", "tills", *there, "--yes").code == 0


def test_static_members_that_will_not_come_back_are_removed(command: Command, orders: Path) -> None:
    long = 1_800_000  # so long the members are there when they have gone
    with (
        streamlog.open(orders) as log,
        log.consumer(
            "orders", group="tills", group_instance_id="till-1", session_timeout_ms=long
        ) as one,
        log.consumer(
            "orders", group="tills", group_instance_id="till-2", session_timeout_ms=long
        ) as two,
    ):
        for consumer in (one, two, one, two):
            consumer.poll()
    refused = command("groups", "reset", "tills", "--to-earliest", "-t", "orders", "--yes")
    assert (refused.code, "remove static ones" in refused.err) == (1, True)
    assert "(static: till-1)" in command("groups", "describe", "tills").out
    asked = command("groups", "remove-members", "tills", stdin=b"n\n")
    assert (asked.code, "Remove till-1, till-2 from tills?" in asked.err) == (1, True)
    near = command("groups", "remove-members", "tills", "--instance", "till-3", "--yes")
    assert (near.code, "did you mean 'till-" in near.err) == (1, True)
    one = command("groups", "remove-members", "tills", "--instance", "till-1", "--yes", "--json")
    assert one.json == [{"group": "tills", "group_instance_id": "till-1"}]
    assert command("groups", "remove-members", "tills", "--yes").code == 0
    assert command("groups", "describe", "tills", "--json").json["members"] == []
    assert command("groups", "delete", "tills", "--yes").code == 0


# Transactions


@pytest.mark.usefixtures("orders")
def test_transactions_are_listed_and_described(command: Command) -> None:
    rows = command("transactions", "--json").json
    assert [(row["transactional_id"], row["state"]) for row in rows] == [
        ("writer", "CompleteCommit")
    ]
    assert command("transactions", "list", "--open", "--json").json == []
    assert command("transactions", "list").lines[1].startswith("writer")
    described = command("transactions", "describe", "writer", "--json").json
    assert described["timeout_ms"] == 60_000
    lines = command("transactions", "describe", "writer").lines
    assert "state             CompleteCommit" in lines
    assert any(line.startswith("start             20") for line in lines)
    assert command("transactions", "hanging", "--json").json == []


def test_a_transaction_that_a_killed_process_left_open_is_aborted(
    command: Command, template: Path, directory: Path
) -> None:
    alive = directory.parent / "alive"
    shutil.copytree(template, alive)
    with streamlog.open(alive) as log:
        producer = log.producer(transactional_id="writer")
        producer.begin_transaction()
        producer.send("orders", value="never", partition=0)
        producer.flush()
        log._broker.transactions.step()  # what says so may be a second late
        log._broker.flusher.wait_durable()
        shutil.copytree(alive, directory)  # as a kill would leave it
        producer.abort_transaction()
    (open_,) = command("transactions", "--open", "--json").json
    assert (open_["state"], open_["partitions"]) == ("Ongoing", ["orders-0"])
    aborted = command("transactions", "abort", "writer", "--json")
    assert (aborted.code, aborted.json["state"]) == (0, "CompleteAbort")
    again = command("transactions", "abort", "writer")
    assert (again.code, "CompleteAbort: cannot abort" in again.err) == (1, True)
    assert "never" not in [row["value"] for row in command("export", "orders").json_lines]


def test_a_hanging_transaction_is_listed_and_aborted(command: Command, orders: Path) -> None:
    hang(orders)
    (found,) = command("transactions", "hanging", "--json").json
    assert (found["partition"], found["producer_id"], found["start_offset"]) == ("orders-0", 77, 6)
    assert command("transactions", "hanging").lines[1].split() == ["orders-0", "77", "2", "6"]
    place = ("--partition", "orders-0", "--producer-id", "77", "--producer-epoch")
    assert command("transactions", "abort", *place, "2", "--json").json == {
        "partition": "orders-0",
        "producer_id": 77,
        "producer_epoch": 2,
    }
    assert command("transactions", "hanging", "--json").json == []
    (row, _) = command("topics", "describe", "orders", "--json").json["offsets"]
    assert row["stable"] == row["end"] == 8


def hang(directory: Path) -> None:
    """Open data, of long ago, of a producer that no transactional id has."""
    log = LogDirectory.open(directory)
    batch = encode_batch(
        [None], [b"x"], [1], producer_id=77, producer_epoch=2, base_sequence=0, transactional=True
    )
    log.partition("orders", 0).append(batch, now_ms=1)
    log.flusher.wait_durable()
    log.close()


# Mistakes


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["topics", "alter", "order", "-p", "3"], 1, "did you mean 'orders'"),
        (["topics", "alter", "orders", "-p", "1"], 1, "orders"),
        (["topics", "alter", "orders", "-c", "retention.m=1"], 1, "did you mean 'retention.ms'"),
        (["topics", "alter", "orders"], 2, "--partitions"),
        (["topics", "alter", "orders", "-c", "retention.ms"], 2, "is not KEY=VALUE"),
        (["topics", "delete", "__consumer_offsets", "-y"], 1, "__consumer_offsets"),
        (["topics", "delete-records", "orders"], 2, "--before-offset"),
        (["topics", "delete-records", "orders", "--before-offset", "99", "-y"], 1, "99"),
        (["topics", "delete-records", "orders", "--before-time", "soon"], 2, "no moment"),
        (["topics", "delte"], 2, "delete"),
        (["topics", "adopt", "new", "nowhere"], 2, "nowhere"),
        (["topics", "adopt", "new", "."], 1, "there is no directory new-0"),
        (["config", "alter", "--json"], 2, "--config"),
        (["config", "alter", "-c", "log.retention.m=1"], 1, "did you mean 'log.retention.ms'"),
        (["config", "alter", "-c", "log.retention.ms=soon"], 1, "log.retention.ms"),
        (["config", "alter", "-c", "a.b=1", "-d", "a.b"], 2, "is given a value, too"),
        (["config", "describe", "log.retention.m"], 1, "did you mean 'log.retention.ms'"),
        (["config", "altr"], 2, "alter"),
        (["groups", "describe", "biling"], 1, "did you mean 'billing'"),
        (["groups", "delete", "biling", "-y"], 1, "did you mean 'billing'"),
        (["groups", "reset", "billing"], 2, "--to-earliest"),
        (["groups", "reset", "biling", "--to-latest"], 1, "did you mean 'billing'"),
        (["groups", "reset", "billing", "--to-latest", "--to-earliest"], 2, "give one of"),
        (["groups", "reset", "billing", "--by-duration", "a while"], 2, "no duration"),
        (["groups", "reset", "billing", "--to-latest", "-t", "orders:x"], 2, "orders:x"),
        (["groups", "reset", "billing", "--to-latest", "-t", "orders:9"], 1, "0 to 1, not 9"),
        (["transactions", "describe", "writr"], 1, "did you mean 'writer'"),
        (["transactions", "abort", "writr"], 1, "did you mean 'writer'"),
        (["transactions", "abort", "writer"], 1, "writer"),
        (["transactions", "abort", "--partition", "orders-0"], 2, "--producer-id"),
        (
            [
                *("transactions", "abort", "--partition", "orders-0"),
                *("--producer-id", "77", "--producer-epoch", "0"),
            ],
            1,
            "77",
        ),
        (["size", "order"], 1, "did you mean 'orders'"),
        (["export", "order"], 1, "did you mean 'orders'"),
        (["import", "order"], 1, "did you mean 'orders'"),
        (["dump", "nowhere"], 2, "nowhere"),
    ],
)
def test_a_mistake_is_one_message_that_helps(
    command: Command, arguments: list[str], code: int, said: str
) -> None:
    ended = command(*arguments)
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        *(["topics", each] for each in ("list", "describe", "create", "adopt", "alter", "delete")),
        ["topics", "delete-records"],
        *(["groups", each] for each in ("list", "describe", "reset", "delete", "remove-members")),
        *(["config", each] for each in ("describe", "alter")),
        *(["transactions", each] for each in ("list", "describe", "hanging", "abort")),
        *([each] for each in ("dump", "fsck", "export", "import", "size")),
    ],
)
def test_every_help_has_an_example(command: Command, arguments: list[str]) -> None:
    shown = command(*arguments, "--help")
    assert shown.code == 0
    assert f"streamlog {' '.join(arguments)}" in shown.out.replace("Usage: streamlog", "")


def test_every_command_that_says_something_says_it_in_json_as_well(command: Command) -> None:
    from typer.main import get_command

    from streamlog.cli.main import app

    def commands(group: Any, name: str) -> list[tuple[str, Any]]:
        if not hasattr(group, "commands"):
            return [(name, group)]
        return [
            found
            for key, each in group.commands.items()
            for found in commands(each, f"{name} {key}".strip())
        ]

    without = {
        name
        for name, each in commands(get_command(app), "")
        if not any("--json" in parameter.opts for parameter in each.params)
    }
    assert without == set()
