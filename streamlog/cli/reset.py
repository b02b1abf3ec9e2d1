"""`streamlog reset APP`: an application starts anew, from the beginning of its inputs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamlog.cli.options import DEFAULT_LOG, LogOption

if TYPE_CHECKING:
    from streamlog.client.contract import Log, TopicPartition

CHANGELOG = "-changelog"
REPARTITION = "-repartition"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a reset does.

    Attributes:
        offsets: The group's next offsets: inputs at their beginning, internal topics at their end.
        changelogs: How many keys each changelog partition still holds; they become tombstones.
        state: The directory of local state, or None where there is none.
    """

    offsets: dict[TopicPartition, int]
    changelogs: dict[TopicPartition, list[bytes]]
    state: Path | None

    def describe(self, previous: dict[TopicPartition, int]) -> list[str]:
        """One line a change."""
        lines = [
            f"offset of {partition}: {previous.get(partition, 0):,} -> {offset:,}"
            for partition, offset in sorted(self.offsets.items())
            if previous.get(partition) != offset
        ]
        lines += [
            f"state in {partition}: {len(keys):,} keys deleted"
            for partition, keys in sorted(self.changelogs.items())
            if keys
        ]
        if self.state is not None:
            lines.append(f"directory {self.state}: deleted")
        return lines


def reset(
    app: Annotated[str, typer.Argument(metavar="APP", show_default=False)],
    *,
    log: LogOption = DEFAULT_LOG,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Local state of applications.", show_default="state in --log"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget what an application has read and counted, so that it starts anew.

    Its committed offsets go back to the beginning of its inputs and its state is emptied, in one
    transaction; its local state directory is deleted. What it has written to its output topics
    stays, and will be written again. Refused while a process has the log open.

    Examples:

        streamlog reset word-count --dry-run

        streamlog reset word-count --yes
    """
    from streamlog.cli.opening import open_to_write

    with open_to_write(log, create=False) as opened:
        plan = _plan(opened, app, (state_dir or log / "state") / app)
        changes = plan.describe(opened.committed_offsets(app))
        if not changes:
            print(f"{app}: nothing to reset", file=sys.stderr)
            return
        print(*changes, sep="\n")
        if dry_run:
            return
        if not yes:
            typer.confirm(f"Reset {app}?", abort=True)
        _carry_out(opened, app, plan)
    print(f"{app} starts anew with its next run", file=sys.stderr)


def _plan(log: Log, app: str, state: Path) -> Plan:
    from streamlog.client.contract import TopicPartition

    internal = {
        topic.name: [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        for topic in log.topics(internal=True).values()
        if topic.name.startswith(f"{app}-") and topic.name.endswith((CHANGELOG, REPARTITION))
    }
    changelogs = [p for name, parts in internal.items() if name.endswith(CHANGELOG) for p in parts]
    drained = [p for name, parts in internal.items() if name.endswith(REPARTITION) for p in parts]
    inputs = [p for p in log.committed_offsets(app) if p.topic not in internal]
    return Plan(
        offsets={**log.beginning_offsets(inputs), **log.end_offsets(drained)},
        changelogs={partition: _live_keys(log, partition) for partition in changelogs},
        state=state if state.exists() else None,
    )


def _live_keys(log: Log, partition: TopicPartition) -> list[bytes]:
    """The keys of a changelog partition whose last record is no tombstone."""
    live: dict[bytes, None] = {}
    end = log.end_offsets([partition])[partition]
    with log.consumer() as consumer:
        consumer.assign([partition])
        consumer.seek(partition, log.beginning_offsets([partition])[partition])
        while consumer.position(partition) < end:
            for run in consumer.poll_columns(max_bytes=4 << 20):
                for key, value in zip(run.keys, run.values, strict=True):
                    assert key is not None, "a changelog's records have keys"
                    if value is None:
                        live.pop(key, None)
                    else:
                        live[key] = None
    return list(live)


def _carry_out(log: Log, app: str, plan: Plan) -> None:
    """The local state goes first: without it a store is rebuilt from its changelog.

    Whatever a crash leaves is either the application as it was or the one that starts anew.
    """
    import shutil

    from streamlog.client.contract import GroupMetadata

    if plan.state is not None:
        shutil.rmtree(plan.state)
    with log.producer(transactional_id=app) as producer:  # fences whatever held it before
        producer.begin_transaction()
        for partition, keys in plan.changelogs.items():
            if keys:
                producer.send_columns(
                    partition.topic, keys, [None] * len(keys), partition=partition.partition
                )
        producer.send_offsets_to_transaction(plan.offsets, GroupMetadata(group_id=app))
        producer.commit_transaction()
