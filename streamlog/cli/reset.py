"""`streamlog reset APP`: an application starts anew, from the beginning of its inputs."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamlog.cli import footprint
from streamlog.cli.completion import complete_app
from streamlog.cli.options import DEFAULT_LOG, DryRunOption, JsonOption, LogOption, YesOption
from streamlog.cli.output import confirm
from streamlog.errors import TargetError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from streamlog.cli.footprint import Footprint
    from streamlog.client.contract import Log, TopicDescription, TopicPartition

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a reset does.

    Attributes:
        offsets: Each group's next offsets: inputs at their beginning, repartition topics at their
            end.
        changelogs: The keys that each changelog partition holds; they become tombstones.
        state: The directory of local state, or None where there is none.
    """

    offsets: dict[str, dict[TopicPartition, int]]
    changelogs: dict[TopicPartition, list[bytes]]
    state: Path | None


def reset(
    app: Annotated[
        str, typer.Argument(metavar="APP", autocompletion=complete_app, show_default=False)
    ],
    *,
    log: LogOption = DEFAULT_LOG,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Local state of applications.", show_default="state in --log"
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json_: JsonOption = False,
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

    _check_name(app)
    with open_to_write(log, create=False) as opened:
        states = state_dir or log / "state"
        plan = _plan(opened, app, states)
        changes = list(_describe(plan, opened))
        if not changes:
            if not _is_known(plan, opened):
                near = did_you_mean(app, _applications(states))
                raise TargetError(app, f"no application of this name has run here{near}")
            print(f"{app}: nothing to reset", file=sys.stderr)
        for line in [json.dumps(_facts(app, plan))] if json_ else changes:
            print(line)
        if dry_run or not changes:
            return
        confirm(f"Reset {app}?", yes=yes)
        _carry_out(opened, app, plan)
    print(f"{app} starts anew with its next run", file=sys.stderr)


def _check_name(app: str) -> None:
    """A name is one directory below the state's, which is deleted: `..` must not be it."""
    if not _NAME.fullmatch(app) or app in {".", ".."}:
        raise typer.BadParameter(f"{app!r} is not the name of an application", param_hint="APP")


def _plan(log: Log, app: str, states: Path) -> Plan:
    topics = log.topics(internal=True)
    belongs = _footprint(app, states, topics)
    drained = log.end_offsets(_partitions(topics, belongs.repartitions))
    offsets = {group: _beginnings(log, group, drained.keys()) for group in belongs.groups}
    offsets[app] |= drained
    return Plan(
        offsets=offsets,
        changelogs=_live_keys(log, _partitions(topics, belongs.changelogs)),
        state=states / app if (states / app).exists() else None,
    )


def _footprint(app: str, states: Path, topics: Collection[str]) -> Footprint:
    path = states / app / footprint.MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        return footprint.named_by_manifest(app, manifest)
    except FileNotFoundError:
        return footprint.guessed(app, topics, _applications(states))
    except (ValueError, LookupError, TypeError) as error:
        raise TargetError(
            app, f"{path} is damaged; delete it, and what belongs to {app} is told by its name"
        ) from error


def _applications(states: Path) -> list[str]:
    return [path.name for path in states.iterdir()] if states.exists() else []


def _is_known(plan: Plan, log: Log) -> bool:
    return bool(plan.changelogs) or any(map(log.committed_offsets, plan.offsets))


def _partitions(
    topics: Mapping[str, TopicDescription], names: Iterable[str]
) -> list[TopicPartition]:
    from streamlog.client.contract import TopicPartition

    return [
        TopicPartition(name, number)
        for name in names
        if name in topics
        for number in range(topics[name].partitions)
    ]


def _beginnings(
    log: Log, group: str, except_for: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    committed = log.committed_offsets(group)
    return log.beginning_offsets([part for part in committed if part not in except_for])


def _describe(plan: Plan, log: Log) -> Iterator[str]:
    """One line a change; none where everything is as it would be."""
    for group, offsets in plan.offsets.items():
        committed = log.committed_offsets(group)
        for partition, offset in sorted(offsets.items()):
            if committed.get(partition, 0) != offset:
                yield (
                    f"group {group}: offset of {partition} {committed.get(partition, 0):,} -> "
                    f"{offset:,}"
                )
    for partition, keys in sorted(plan.changelogs.items()):
        if keys:
            yield f"state in {partition}: {len(keys):,} keys deleted"
    if plan.state is not None:
        yield f"directory {plan.state}: deleted"


def _facts(app: str, plan: Plan) -> dict[str, Any]:
    """What is set, emptied and deleted, whether or not it is so already."""
    return {
        "application": app,
        "offsets": [
            {"group": group, "topic": topic, "partition": partition, "new": offset}
            for group, offsets in plan.offsets.items()
            for (topic, partition), offset in sorted(offsets.items())
        ],
        "changelogs": [
            {"topic": topic, "partition": partition, "keys": len(keys)}
            for (topic, partition), keys in sorted(plan.changelogs.items())
        ],
        "state": None if plan.state is None else str(plan.state),
    }


def _live_keys(log: Log, partitions: list[TopicPartition]) -> dict[TopicPartition, list[bytes]]:
    """The keys of each changelog partition whose last record is no tombstone."""
    from streamlog.cli.view.progress import progress

    starts, ends = log.beginning_offsets(partitions), log.end_offsets(partitions)
    total = sum(ends[each] - starts[each] for each in partitions)
    with progress("reading state", total, unit="offsets") as advance:
        return {each: _keys(log, each, starts[each], ends[each], advance) for each in partitions}


def _keys(
    log: Log, partition: TopicPartition, start: int, end: int, advance: Callable[[int], None]
) -> list[bytes]:
    live: dict[bytes, None] = {}
    with log.consumer() as consumer:
        consumer.assign([partition])
        consumer.seek(partition, start)
        while (position := consumer.position(partition)) < end:
            for run in consumer.poll_columns(max_bytes=4 << 20):
                advance(run.next_offset - position)
                for key, value in zip(run.keys, run.values, strict=True):
                    assert key is not None, "a changelog's records have keys"
                    if value is None:
                        live.pop(key, None)
                    else:
                        live[key] = None
    return list(live)


def _carry_out(log: Log, app: str, plan: Plan) -> None:
    """The local state goes last: its manifest names what a repeated reset has to know.

    Whatever a crash leaves is the application as it was, or one that starts anew: local state
    that remains is behind its changelog, and the tombstones there empty it.
    """
    import shutil

    from streamlog.client.contract import GroupMetadata

    # The id fences whatever held it before.
    with log.producer(transactional_id=app) as producer, producer.transaction():
        for partition, keys in plan.changelogs.items():
            if keys:
                producer.send_columns(
                    partition.topic, keys, [None] * len(keys), partition=partition.partition
                )
        for group, offsets in plan.offsets.items():
            if offsets:
                producer.send_offsets_to_transaction(offsets, GroupMetadata(group_id=group))
    if plan.state is not None:
        shutil.rmtree(plan.state)
