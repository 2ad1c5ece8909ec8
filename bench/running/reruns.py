"""The same cells trained several times from equal inputs, and their run-to-run spread. Leaderboards do not use these.

Each cell has a file ``<results>/reruns/<suite>/<folder of its records>/<cell id>.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import suites
from bench.records import store
from bench.records.record import Record
from bench.records.results import Results
from bench.suites import Suite
from lungseg.errors import DataError, LungsegError

if TYPE_CHECKING:
    from bench.running.executor import Executor

SCHEMA = 2


@dataclass(frozen=True)
class Reruns:
    """One cell, trained again and again from the same inputs. dice: mean over its images, a value a run.

    weights: how many different sets of weights came of it; 1 where runs are deterministic.
    """

    cell: str
    machine: str
    dice: tuple[float, ...]
    weights: int

    @property
    def sd(self) -> float | None:
        """Sample standard deviation of the runs' Dice; None for one run, which has none."""
        return _sd(self.dice)


def _sd(dice: Sequence[float]) -> float | None:
    return float(np.std(dice, ddof=1)) if len(dice) > 1 else None


def kept(file: Path, fingerprint: str) -> list[dict[str, Any]]:
    """Runs of a file that were made from the same inputs; none where there is no such file."""
    held = _load(file) if file.exists() else {}
    return list(held["runs"]) if held.get("fingerprint") == fingerprint else []


def write(file: Path, cell: Mapping[str, Any], inputs: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> None:
    """The runs of a cell, with what they were made from."""
    dice = [run["dice"] for run in runs]
    store.write_text(
        file,
        store.layout(
            {
                "schema": SCHEMA,
                "fingerprint": store.fingerprint(dict(inputs)),
                "cell": dict(cell),
                "inputs": dict(inputs),
                "mean_dice": float(np.mean(dice)),
                "sd_dice": _sd(dice),
                "runs": [dict(run) for run in runs],
            }
        ),
    )


def run_of(record: Record) -> dict[str, Any]:
    """What is kept of one run's record."""
    scores = [case.dice for case in record.cases]
    return {
        "dice": float(np.mean(scores)),
        "image_dice": scores,
        "best_epoch": record.best_epoch,
        "weights_sha256": record.weights_sha256,
        "train_seconds": record.timing.train_seconds,
        "total_seconds": record.timing.total_seconds,
        "device": record.machine.device,
        "commit": record.source.commit,
        "finished": record.finished,
    }


def read(results: Results, suite: str) -> tuple[Reruns, ...]:
    """All of a suite's, in the order of their paths. Raises DataError for a file that is none of these."""
    return tuple(read_one(file) for file in results.all_reruns(suite))


def read_one(file: Path) -> Reruns:
    """One cell's."""
    held = _load(file)
    dice = tuple(float(run["dice"]) for run in held["runs"])
    return Reruns(file.stem, file.parent.name, dice, len({run["weights_sha256"] for run in held["runs"]}))


def _load(file: Path) -> dict[str, Any]:
    try:
        held = store.strict_json(file.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA or not all(isinstance(run["dice"], float) for run in held["runs"]):
            raise ValueError("of another schema")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not a file of repeated runs ({error}); delete it and run `bench reruns`") from error
    return dict(held)


def measure(
    suite: Suite, root: Path, results: Results, times: int, say: Callable[[str], None], executor: Executor | None = None
) -> list[Path]:
    """Train each cell of the suite until ``times`` runs of it are kept; the files that hold them.

    Runs of an earlier command from the same inputs count. Raises LungsegError where a run fails.
    """
    from bench.running import data, suite_run  # late: pages, which read the spread, need none of them
    from bench.running.progress import display
    from bench.running.training import fingerprint_inputs

    suite_data = data.load_suite_data(suite, root, results)
    written = []
    for cell in suites.cells(suite):
        made_from = fingerprint_inputs(cell, suite_data)
        file = results.reruns(cell.suite, cell.machine_key, cell.id)
        runs = kept(file, store.fingerprint(made_from))
        while len(runs) < times:
            scratch = results.scratch()
            with display([cell], 1) as shown:
                (outcome,) = suite_run.run_cells([cell], suite, root, scratch, {cell.id: made_from}, shown, executor)
            if error := outcome.error:
                raise LungsegError(f"{cell.id}: run {len(runs) + 1} of {times} failed: {error['message']}")
            runs.append(run_of(scratch.load(cell)))
            scratch.drop()
            write(file, cell.as_dict(), made_from, runs)
            say(f"{cell.id}: run {len(runs)} of {times}: mean Dice {runs[-1]['dice']:.4f}")
        held = read_one(file)
        if held.sd is None:
            say(f"{cell.id}: 1 run, which has no SD; --times 2 or more measures it")
        else:
            ended = "the same weights" if held.weights == 1 else f"{held.weights} different sets of weights"
            say(f"{cell.id}: SD of Dice over {len(held.dice)} equal runs {held.sd:.5f}, {ended}")
        written.append(file)
    return written
