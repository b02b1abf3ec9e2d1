"""One run of an application's worker over a log, in a process of its own, timed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from measure import peak_rss_mb

import streamlog
from streamlog.clock import SystemClock
from streamlog.targets import RunContext

if TYPE_CHECKING:
    from pathlib import Path

    from processors import App
    from processors.runtime.worker import Worker


def work(app: App, path: Path) -> dict[str, float]:
    """Runs the worker until nothing is left.

    Returns:
        The seconds until everything was committed, and those of the processor; the records
        restored from changelogs and the seconds that this took; the number of commits; and the
        peak memory in MB.
    """
    from processors.runtime.worker import Worker

    with streamlog.open(path) as log:
        worker = Worker(app.plan())
        context = RunContext(
            log=log,
            until_idle=True,
            clock=SystemClock(),
            stopping=asyncio.Event(),
            state_dir=path / "state",
        )
        return asyncio.run(_work(worker, context))


async def _work(worker: Worker, context: RunContext) -> dict[str, float]:
    started, processor_s = time.perf_counter(), time.process_time()
    running = asyncio.create_task(worker.run(context))
    restore_began = restored_s = 0.0
    restored = 0
    while True:
        await asyncio.sleep(0.005)
        if running.done():
            running.result()
        status = worker.status()
        if status.restore is not None and status.restore.total:
            restored = status.restore.total
            restore_began = restore_began or time.perf_counter()
        if status.state == "running" and restore_began and not restored_s:
            restored_s = time.perf_counter() - restore_began
        if status.state == "running" and not status.pending and not any(status.lag.values()):
            break
    seconds = time.perf_counter() - started
    processor_s = time.process_time() - processor_s
    worker.request_stop()
    await running
    return {
        "seconds": seconds,
        "processor_s": processor_s,
        "restored_s": restored_s,
        "restored": restored,
        "commits": worker.status().commits,
        "rss_mb": peak_rss_mb(),
    }


def work_in_a_process(script: str, *arguments: str) -> dict[str, float]:
    """What `script --work ARGUMENTS` prints: so that its peak memory is its own."""
    command = [sys.executable, script, "--work", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout)
