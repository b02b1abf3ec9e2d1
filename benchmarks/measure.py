"""What every benchmark here shares: one core, the median of some runs, one final JSON line.

    from measure import Options, median, options, report

    def main() -> None:
        chosen = options(__doc__)          # pins this process, threads started later included
        report(chosen, {"encode_ns": median(chosen.runs, encode_once)})

A script may be run from anywhere: `python benchmarks/log.py --json`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line asked for; `scale` multiplies the amount of work.

    `names` are the parts that were asked for, where a script has several.
    """

    json: bool
    runs: int
    scale: float
    names: tuple[str, ...] = ()


def options(description: str | None, *, runs: int = 5, names: Sequence[str] = ()) -> Options:
    """Reads the command line and pins the process to one core. Call it before any thread starts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one JSON line of the figures")
    parser.add_argument(
        "--runs", type=int, default=runs, help=f"take the median of so many ({runs})"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the amount of work")
    if names:
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    chosen = parser.parse_args()
    asked = tuple(chosen.names) if names else ()
    for name in asked:
        if name not in names:
            parser.error(f"no {name!r}: choose of {', '.join(names)}")
    pin_to_one_core()
    return Options(json=chosen.json, runs=chosen.runs, scale=chosen.scale, names=asked)


def pin_to_one_core() -> None:
    """Pins to the highest core that is allowed: the lowest serves most interrupts.

    Threads inherit it, so a flusher started later shares the core. No-op where the system has no
    affinity (macOS).
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def median(runs: int, measure_once: Callable[[], float]) -> float:
    """The median of `runs` results of `measure_once`, each begun after a garbage collection."""
    results: list[float] = []
    for _ in range(runs):
        gc.collect()
        results.append(measure_once())
    return statistics.median(results)


@contextmanager
def stopwatch() -> Generator[Callable[[], float]]:
    """`with stopwatch() as seconds: ...`; `seconds()` is the time of the block, or so far in it."""
    started = time.perf_counter()
    ended: list[float] = []

    def seconds() -> float:
        return (ended[0] if ended else time.perf_counter()) - started

    try:
        yield seconds
    finally:
        ended.append(time.perf_counter())


def peak_rss_mb() -> float:
    """The highest resident memory of this process so far, in MB of 10^6 bytes.

    On Linux not by `getrusage`, where a new process begins with the peak of the one that made it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def report(chosen: Options, figures: Mapping[str, float]) -> None:
    """Prints the figures, one a line, and with `--json` a last line of JSON."""
    width = max(map(len, figures))
    for name, figure in figures.items():
        print(
            f"{name:<{width}}  {figure:>16,.4g}"
            if figure < 100
            else f"{name:<{width}}  {figure:>16,.0f}"
        )
    if chosen.json:
        print(json.dumps({name: round(figure, 4) for name, figure in figures.items()}), flush=True)
