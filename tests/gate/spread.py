"""How far suite smoke's scores move by themselves: train it with several seeds, and on one and two threads.

    python -m tests.gate.spread --seeds 3 --threads 2

prints the table that `bench/gate/limits.py` quotes. Other processors round as another number of threads does, so
the last column stands for another machine kind. Two cells at a time; about four minutes a seed on two idle cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench import suites
from bench.cell import Cell
from bench.records import store
from bench.records.record import Record
from bench.records.results import Results
from bench.running import data, training, worker
from bench.running.training import Training
from bench.suites import Suite
from lungseg import runtime


def train(cell: Cell, threads: int, root: Path, results: Path) -> None:
    """One cell, in a fresh process, with a number of threads that the suite does not have."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a backend's start-up noise; a failure comes back as exception
    suite = replace(suites.suite(cell.suite), threads=threads)
    made_from = training.fingerprint_inputs(cell, data.load_suite_data(suite, root, Results(results)))
    worker.run(Training(cell, suite, root, Results(results), made_from), lambda event: None)


def records(suite: Suite, seeds: Sequence[int], threads: int, results: Path) -> dict[tuple[str, int], Record]:
    """Records by architecture and seed; those that are there already are kept."""
    suite = replace(suite, seeds=tuple(seeds), threads=threads)
    root = data.resolve_root(suite, None, Results(results))
    data.load_suite_data(suite, root, Results(results))  # once, before several processes would
    todo = [cell for cell in suites.cells(suite) if not Results(results).path(cell).exists()]
    os.environ.update(runtime.environment(threads))  # read by a backend when a child imports it
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, 2 // threads), context, max_tasks_per_child=1) as pool:
        for future in [pool.submit(train, cell, threads, root, results) for cell in todo]:
            future.result()
    return {
        (cell.architecture, cell.seed): store.load_record(Results(results).path(cell)) for cell in suites.cells(suite)
    }


def dice(record: Record) -> np.ndarray:
    """Dice of each held-out image, by id."""
    return np.array([case.dice for case in sorted(record.cases, key=lambda case: case.id)])


def row(name: str, one: dict[tuple[str, int], Record], two: dict[tuple[str, int], Record]) -> str:
    """A line of the table."""
    seeds = sorted(seed for architecture, seed in one if architecture == name)
    means = [float(dice(one[name, seed]).mean()) for seed in seeds]
    losses = [min(one[name, seed].history.curve("val_loss")) for seed in seeds]
    apart = [dice(one[name, a]) - dice(one[name, b]) for a in seeds for b in seeds if a < b]
    moved = [float(dice(two[key]).mean() - dice(one[key]).mean()) for key in two if key[0] == name]
    cells = [
        name,
        " ".join(f"{mean:.4f}" for mean in means),
        f"{statistics.stdev(means):.4f}",
        f"{max(means) - min(means):.4f}",
        f"{max(losses) - min(losses):.4f}",
        f"{float(np.mean([d.std(ddof=1) for d in apart])):.4f}",
        " ".join(f"{change:+.4f}" for change in moved) or "-",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="the other number of threads; 1 leaves it out")
    parser.add_argument("--threaded-seeds", type=int, default=1, help="how many seeds to repeat on these threads")
    parser.add_argument("--results", type=Path, default=Path("results/local/spread"))
    chosen = parser.parse_args()
    smoke = suites.suite("smoke")
    one = records(smoke, range(chosen.seeds), smoke.threads, chosen.results / "threads-1")
    two = {}
    if chosen.threads != smoke.threads:
        folder = chosen.results / f"threads-{chosen.threads}"
        two = records(smoke, range(chosen.threaded_seeds), chosen.threads, folder)
    print(
        "| architecture | mean Dice by seed | SD over seeds | range | range of validation loss "
        f"| SD over images between two seeds | {chosen.threads} threads instead of {smoke.threads} |"
    )
    print("|---|---|--:|--:|--:|--:|---|")
    for name in smoke.architectures:
        print(row(name, one, two))


if __name__ == "__main__":
    main()
