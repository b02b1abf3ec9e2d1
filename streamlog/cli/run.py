"""`streamlog run TARGET...`: applications and connectors together on one log."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamlog.cli.options import DEFAULT_LOG, JsonOption, LogOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.cli.running.runner import Outcome
    from streamlog.cli.view.snapshot import Snapshot, View
    from streamlog.client.contract import Log
    from streamlog.targets import RunContext, Target


def run(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET",
            help="`module:app`, a Python file, or a connector's YAML file.",
            show_default=False,
        ),
    ],
    *,
    log: LogOption = DEFAULT_LOG,
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle",
            help="Stop when all sources are exhausted and everything is processed.",
        ),
    ] = False,
    durability: Annotated[
        Literal["fsync", "os"],
        typer.Option(help="`os` survives a kill but not a power cut."),
    ] = "fsync",
    state_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Local state of applications.", show_default="state in --log"
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, in a terminal too.")] = False,
    json_: JsonOption = False,
) -> None:
    """Run applications and connectors in one process that owns the log.

    Interrupt once to finish what is in hand and stop, twice to stop at once; both are safe, and
    the next run continues. With `--log :memory:` nothing is kept, neither the log nor local state.

    Examples:

        streamlog run app.py lines.yaml counts.yaml --log data --until-idle

        streamlog run orders.main:app --log /var/lib/orders
    """
    from streamlog.cli.opening import open_to_write
    from streamlog.cli.running.loading import load_targets
    from streamlog.memory_files import is_memory
    from streamlog.targets import local_state

    if state_dir is not None and is_memory(str(log)):
        reason = "local state does not outlive a log in memory: leave the option out"
        raise typer.BadParameter(reason, param_hint="--state-dir")
    loaded = load_targets(targets)  # before the log, so that a typing mistake touches nothing
    with open_to_write(log, durability=durability) as opened, local_state(opened) as state:
        outcome, last, signalled = _run(
            loaded,
            opened,
            until_idle=until_idle,
            state_dir=state_dir or state,
            view=_view(plain=plain),
        )
    _report(outcome, last, as_json=json_)
    raise typer.Exit(exit_code(outcome, signalled, until_idle=until_idle))


def exit_code(outcome: Outcome, signalled: int, *, until_idle: bool) -> int:
    """A stop signal is how a run without end ends well, but no end of one `--until-idle`."""
    if outcome.failures:
        return 1
    return signalled if until_idle or outcome.at_once else 0


def _view(*, plain: bool) -> View:
    if sys.stdout.isatty() and not plain:
        from rich.console import Console

        from streamlog.cli.view.live import LiveView

        return LiveView(Console())
    from streamlog.cli.view.plain import PlainView

    return PlainView(lambda line: print(line, file=sys.stderr, flush=True))


def _run(
    targets: Sequence[Target], log: Log, *, until_idle: bool, state_dir: Path, view: View
) -> tuple[Outcome, Snapshot, int]:
    """Runs the loop; the last value is what a shell expects of the stop signal, or 0."""
    import asyncio

    from streamlog.cli.running.runner import Runner
    from streamlog.cli.running.signals import stop_signals
    from streamlog.clock import SystemClock
    from streamlog.targets import RunContext

    async def work() -> tuple[Outcome, Snapshot, int]:
        context: RunContext = RunContext(
            log=log,
            until_idle=until_idle,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=state_dir,
        )
        runner = Runner(targets, context, view)
        with stop_signals(asyncio.get_running_loop(), runner.interrupt) as received:
            outcome = await runner.run()
        return outcome, runner.final_snapshot(), received.exit_code

    try:
        return asyncio.run(work())
    finally:
        view.close()


def _report(outcome: Outcome, last: Snapshot, *, as_json: bool) -> None:
    from streamlog.cli.failures import explain
    from streamlog.cli.view.summary import summary_json, summary_lines

    for failure in outcome.failures:
        first, *more = explain(failure.error)
        for line in (f"{first} [{failure.target}]", *more):
            print(line, file=sys.stderr)
    if as_json:
        print(json.dumps(summary_json(last), default=str))
    else:
        print(*summary_lines(last), sep="\n")
