"""`App.run()`: one application in a process of its own, without the `streamlog` command."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import streamlog
from processors.runtime.worker import Worker
from streamlog.clock import SystemClock
from streamlog.targets import RunContext, local_state

if TYPE_CHECKING:
    from collections.abc import Generator
    from os import PathLike
    from types import FrameType

    from processors.runtime.application import Application
    from streamlog.client.contract import Log
    from streamlog.targets import TargetStatus

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
LOOK_S: Final = 0.02


def run(
    application: Application, log: str | PathLike[str] | Log | None, *, until_idle: bool = False
) -> None:
    """Runs until SIGINT or SIGTERM (a second one stops at once), or until nothing is left to do.

    A log given as a path is opened and closed here. State lies in the log's directory, that of a
    log in memory in a temporary one.
    """
    if log is None:
        raise ValueError(
            f"application {application.name!r} has no log: App(..., log='./data') or run(log=...)"
        )
    if hasattr(log, "producer"):
        asyncio.run(_run(application, log, until_idle))  # type: ignore[arg-type] # has the methods of a Log
        return
    with streamlog.open(log) as opened:  # type: ignore[arg-type] # a path, as it is no Log
        asyncio.run(_run(application, opened, until_idle))


async def _run(application: Application, log: Log, until_idle: bool) -> None:
    worker = Worker(application)
    with local_state(log) as state_dir:
        context = RunContext(
            log=log,
            until_idle=until_idle,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=state_dir,
        )
        await _work(worker, context, until_idle=until_idle)


async def _work(worker: Worker, context: RunContext, *, until_idle: bool) -> None:
    log = context.log
    with _stop_signals(worker, context):
        running = asyncio.create_task(worker.run(context))
        if until_idle:
            await _stop_when_idle(worker, log, running)
        await running


async def _stop_when_idle(worker: Worker, log: Log, running: asyncio.Task[None]) -> None:
    """Asks the worker to stop when two looks in a row find nothing left and nothing changed."""
    last: TargetStatus | None = None
    while not running.done():
        status = worker.status()
        if status == last and _is_idle(status, log):
            worker.request_stop()
            return
        last = status
        await asyncio.sleep(LOOK_S)


def _is_idle(status: TargetStatus, log: Log) -> bool:
    if status.state != "running" or status.pending:
        return False
    durable = log.end_offsets(status.committed, isolation="read_uncommitted")
    return status.committed == log.end_offsets(status.committed) == durable


@contextmanager
def _stop_signals(worker: Worker, context: RunContext) -> Generator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        worker.request_stop(at_once=context.stopping.is_set())
        context.stopping.set()

    def handle(number: int, _frame: FrameType | None) -> None:
        if context.stopping.is_set():
            # A third signal ends a process whose loop is stuck in an endless function: it is as
            # safe as any kill.
            signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stop)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals, and only there can they be asked for
        return
    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
