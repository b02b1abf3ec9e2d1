"""Word count, exactly once, from the log to the output topic, beside a plain loop in this process.

1,000,000 lines of about 8 Zipf-distributed words (vocabulary of 50,000), 4 partitions, RocksDB,
commits and checkpoints as by default. The lines are in the log when the clock starts, and it stops
when everything is committed and the worker has nothing left to do. Then the local state is
deleted and restored from the changelog, from the first read to the last row written. The result
is checked against the loop's.

The worker runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Options, median, options, report
from worker import work, work_in_a_process

import streamlog
from processors import App

if TYPE_CHECKING:
    from streamlog.client.contract import Log

LINES = 1_000_000
WORDS_PER_LINE = 8
VOCABULARY = 50_000
PARTITIONS = 4
SEED = 1


def make_lines(count: int) -> list[str]:
    rng = random.Random(SEED)
    words = [f"word{index}" for index in range(VOCABULARY)]
    weights = list(accumulate(1 / (index + 1) for index in range(VOCABULARY)))
    drawn = rng.choices(words, cum_weights=weights, k=count * WORDS_PER_LINE)
    lines: list[str] = []
    at = 0
    while at < len(drawn):
        length = rng.randint(WORDS_PER_LINE - 3, WORDS_PER_LINE + 3)
        lines.append(" ".join(drawn[at : at + length]))
        at += length
    return lines


def fill(log: Log, lines: list[str]) -> None:
    log.create_topic("lines", PARTITIONS)
    with log.producer() as producer:
        for start in range(0, len(lines), 10_000):
            part = [line.encode() for line in lines[start : start + 10_000]]
            producer.send_columns("lines", [b"%d" % (start + i) for i in range(len(part))], part)


def count_in_a_loop(lines: list[str]) -> dict[str, int]:
    d: dict[str, int] = {}
    for line in lines:
        for w in line.split():
            d[w] = d.get(w, 0) + 1
    return d


def make_app() -> App:
    app = App("word-count")
    words = app.stream("lines", value=str).flat_map(str.split)
    words.group_by(lambda word: word).count(name="counts").to_stream().to("word-counts")
    return app


def check(path: Path, expected: dict[str, int]) -> None:
    counts: dict[str, int] = {}
    with streamlog.open(path, read_only=True) as log:
        consumer = log.consumer("word-counts", key=str, value=int)
        while records := consumer.poll(max_records=100_000):
            counts |= {record.key: record.value for record in records}
    assert counts == expected, "the word count is wrong"


def measure(chosen: Options) -> dict[str, float]:
    lines = make_lines(int(LINES * chosen.scale))
    expected = count_in_a_loop(lines)
    words = sum(expected.values())

    def loop() -> float:
        started = time.perf_counter()
        count_in_a_loop(lines)
        return words / (time.perf_counter() - started)

    loop_words_per_s = median(chosen.runs, loop)
    with tempfile.TemporaryDirectory(prefix="word-count-") as folder:
        filled = Path(folder) / "filled"
        with streamlog.open(filled) as log:
            fill(log, lines)
        runs = [
            _run_once(filled, Path(folder) / f"run{run}", expected) for run in range(chosen.runs)
        ]
    words_per_s = median(len(runs), iter([words / run["seconds"] for run in runs]).__next__)
    return {
        "words_per_s": words_per_s,
        "loop_words_per_s": loop_words_per_s,
        "ratio_to_loop": words_per_s / loop_words_per_s,
        "restore_records_per_s": max(run["restore_records_per_s"] for run in runs),
        "restored_records": runs[0]["restored"],
        "commits": runs[0]["commits"],
        "rss_mb": max(run["rss_mb"] for run in runs),
    }


def _run_once(filled: Path, path: Path, expected: dict[str, int]) -> dict[str, float]:
    shutil.copytree(filled, path)
    os.sync()
    run = work_in_a_process(__file__, str(path))
    check(path, expected)
    shutil.rmtree(path / "state" / "word-count" / "rocksdb")
    restore = work_in_a_process(__file__, str(path))
    shutil.rmtree(path)
    run["restored"] = restore["restored"]
    run["restore_records_per_s"] = restore["restored"] / restore["restored_s"]
    run["rss_mb"] = max(run["rss_mb"], restore["rss_mb"])
    return run


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(work(make_app(), Path(sys.argv[2]))))
        return
    chosen = options(__doc__, runs=3)
    report(chosen, measure(chosen))


if __name__ == "__main__":
    main()
