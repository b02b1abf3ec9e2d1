"""How soon things are there: imports above a bare interpreter, the first output of the example.

Imports are medians of 20 processes each, less the median of 20 that import nothing. The first
output is the time from starting a process that runs `examples/word_count/app.py` over a line that
lies in the log to the first count's being visible in the output topic.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Options, options, report

import streamlog

IMPORTS = 20
STARTS = 5
APP = Path(__file__).parents[1] / "examples" / "word_count" / "app.py"

FIRST_OUTPUT = """
import asyncio, sys, time
from pathlib import Path
import streamlog
from processors.cli.target import load
from streamlog.clock import SystemClock
from streamlog.targets import RunContext

async def run(log, state_dir):
    (worker,) = load(sys.argv[1])
    context = RunContext(
        log=log, until_idle=False, clock=SystemClock(), stopping=asyncio.Event(),
        state_dir=state_dir,
    )
    working = asyncio.create_task(worker.run(context))
    while "word-counts" not in log.topics():
        await asyncio.sleep(0.001)
    consumer = log.consumer("word-counts")
    while not consumer.poll():
        await asyncio.sleep(0.001)
    print(time.time(), flush=True)
    worker.request_stop()
    await working

with streamlog.open(sys.argv[2]) as log:
    asyncio.run(run(log, Path(sys.argv[2]) / "state"))
"""


def time_of(*arguments: str) -> float:
    """Milliseconds that a process of this interpreter takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True)
    return (time.perf_counter() - began) * 1000


def median_ms(code: str, count: int) -> float:
    return statistics.median(time_of("-c", code) for _ in range(count))


def first_output_s() -> float:
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        with streamlog.open(folder) as log:
            log.create_topic("lines", 4)
            with log.producer() as producer:
                producer.send("lines", value="the first line")
        began = time.time()
        command = [sys.executable, "-c", FIRST_OUTPUT, str(APP), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout.split()[-1]) - began


def measure(chosen: Options) -> dict[str, float]:
    count = max(int(IMPORTS * chosen.scale), 1)
    median_ms("pass", 3)  # files into the page cache
    median_ms("import processors, streamlog", 3)
    bare_ms = median_ms("pass", count)
    return {
        "bare_ms": bare_ms,
        "import_streamlog_ms": median_ms("import streamlog", count) - bare_ms,
        "import_processors_ms": median_ms("from processors import App", count) - bare_ms,
        "first_output_s": statistics.median(first_output_s() for _ in range(STARTS)),
    }


def main() -> None:
    chosen = options(__doc__, runs=1)
    report(chosen, measure(chosen))


if __name__ == "__main__":
    main()
