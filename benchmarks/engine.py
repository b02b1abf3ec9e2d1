"""The engine alone: word count from raw columns to raw columns, without a log and RocksDB.

Lines of about 8 Zipf-distributed words (50,000-word vocabulary) in 4 partitions go through decode,
split, grouping, the exchange and the count, with a commit every `COMMIT_LINES` lines. What the log
costs is not in these figures; `word_count.py` has it.
"""

from __future__ import annotations

import gc
import itertools
import random
from typing import Any

from measure import median, options, report, stopwatch

from processors import App
from processors.runtime.engine import Engine
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.topology.partitioning import choose_partitions
from streamlog.client.contract import FetchedColumns, TopicPartition

LINES = 200_000
PARTITIONS = 4
VOCABULARY = 50_000
RUN_LINES = 5_000
COMMIT_LINES = 50_000
CHUNK_SIZE = 1_024
SEED = 11


def make_lines(count: int) -> list[bytes]:
    rng = random.Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(VOCABULARY)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(5, 11))).encode()
        for _ in range(count)
    ]


def make_engine(emit: Any) -> Engine:
    app = App("bench")
    words = app.stream("lines", value=str).flat_map(str.split)
    counts = words.group_by(lambda word: word).count(name="counts", emit=emit)
    counts.to_stream().to("out")
    plan = choose_partitions(app.plan().topology, {"lines": PARTITIONS})
    stores = {
        (spec.name, partition): KeyValueState(
            spec.name,
            spec.key,
            spec.value,
            MemoryStore(),
            TopicPartition(spec.changelog, partition),
            cache_bytes=64 << 20,
        )
        for spec in plan.stores
        for partition in range(spec.partitions)
    }
    return Engine(plan, stores)


def make_runs(lines: list[bytes]) -> list[FetchedColumns]:
    """As a consumer would give them: runs of one partition, timestamps that interleave."""
    runs: list[FetchedColumns] = []
    ends = [0] * PARTITIONS
    for number, start in enumerate(range(0, len(lines), RUN_LINES)):
        values = lines[start : start + RUN_LINES]
        partition = number % PARTITIONS
        begin, end = ends[partition], ends[partition] + len(values)
        ends[partition] = end
        offsets = list(range(begin, end))
        runs.append(
            FetchedColumns(
                topic="lines",
                partition=partition,
                keys=[None] * len(values),
                values=list(values),
                timestamps=[offset * PARTITIONS + partition for offset in offsets],
                offsets=offsets,
                headers=None,
                next_offset=end,
            )
        )
    return runs


def drive(engine: Engine, lines: list[bytes]) -> tuple[float, float]:
    """Seconds in rounds and seconds in commits."""
    waiting: list[list[FetchedColumns]] = [[] for _ in range(PARTITIONS)]
    for run in reversed(make_runs(lines)):
        waiting[run.partition].append(run)
    in_commits = 0.0
    uncommitted = 0
    with stopwatch() as seconds:
        while True:
            for source in engine.wants():
                if waiting[source.partition]:
                    engine.feed(waiting[source.partition].pop())
            taken = engine.run_round(CHUNK_SIZE)
            uncommitted += taken
            if uncommitted >= COMMIT_LINES or not taken:
                with stopwatch() as committing:
                    engine.flush()
                    engine.take_outputs()
                    engine.on_committed()
                in_commits += committing()
                uncommitted = 0
            if not taken:
                break
    return seconds() - in_commits, in_commits


def plain_loop(lines: list[bytes]) -> float:
    texts = [line.decode() for line in lines]
    counts: dict[str, int] = {}
    with stopwatch() as seconds:
        for text in texts:
            for word in text.split():
                counts[word] = counts.get(word, 0) + 1
    return seconds()


def main() -> None:
    chosen = options(__doc__)
    lines = make_lines(int(LINES * chosen.scale))
    words = sum(len(line.split()) for line in lines)
    figures: dict[str, float] = {}
    gc.freeze()
    commits: list[float] = []

    def rounds(emit: str) -> float:
        in_rounds, in_commits = drive(make_engine(emit), lines)
        commits.append(in_commits)
        return in_rounds

    loop = median(chosen.runs, lambda: plain_loop(lines))
    latest = median(chosen.runs, lambda: rounds("latest"))
    figures["loop_ns_per_word"] = loop / words * 1e9
    figures["rounds_ns_per_word"] = latest / words * 1e9
    figures["commit_ns_per_word"] = sorted(commits)[len(commits) // 2] / words * 1e9
    figures["rounds_ratio_to_loop"] = loop / latest
    figures["every_ns_per_word"] = median(chosen.runs, lambda: rounds("every")) / words * 1e9
    report(chosen, figures)


if __name__ == "__main__":
    main()
