"""One training of a search: a task in, its record out. Runs in a fresh process (``python -m bench.tune.trial``)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from bench import machine
from bench.cell import Cell
from bench.records import store
from bench.running import cell, child, data, failures
from bench.running.child import Say
from bench.tune.task import Task
from lungseg.prepare import Prepared

SCORES = ("id", "patient", "dice")  # what a search needs of an image


def run(task: Task, say: Say) -> store.Record:
    """Train, score each held-out image of the task's fold, store the record.

    A training that was cut off goes on from its checkpoint to the same bits. Raises whatever stops it.
    """
    began, source, recipe = time.monotonic(), machine.source(), task.recipe
    device = cell.started(task.seed, task.suite.threads, task.suite.is_deterministic)
    material = data.gather(task.suite, task.root, task.results)
    data.refuse_changes(material, task.inputs)
    fold = task.fold
    material = replace(material, prepared=only(material.prepared, (*fold.train, *fold.validation, *fold.test)))
    fit = cell.fitted(
        _as_cell(task),
        recipe,
        fold,
        material.prepared,
        task.inputs,
        task.folder / "checkpoints",
        task.checkpoint_s,
        say,
    )
    from lungseg import inference

    model, trained, made_from = fit.model, fit.trained, fit.made_from
    rows = [material.prepared.row[key] for key in fold.test]
    guesses = inference.masks(inference.probabilities(model, material.prepared.images[rows]), recipe.threshold)
    scored = cell.score(material, fold, guesses)
    record = {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(made_from),
        "inputs": made_from,
        "status": "ok",
        "cases": [{name: case[name] for name in SCORES} for case in scored],
        "history": trained.history,
        "best_epoch": trained.best_epoch,
        "weights_sha256": trained.weights_sha256,
        "timing": {
            "train_seconds": trained.seconds,
            "train_cpu_seconds": trained.cpu_seconds,
            "total_seconds": trained.earlier_seconds + time.monotonic() - began,
            "resumed_at_epoch": trained.resumed_at,
        },
        "machine": machine.facts(device, recipe.precision, task.suite.threads),
        "source": source,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.save_record(task.path, record)
    fit.checkpoints.clear()
    return record


def only(prepared: Prepared, ids: Iterable[str]) -> Prepared:
    """These ids alone, in memory of their own: what is held out of a search is not there to be looked at.

    The hashes stay those of the whole set, by which the set is recognised.
    """
    rows = sorted(prepared.row[key] for key in ids)
    return replace(
        prepared,
        ids=tuple(prepared.ids[row] for row in rows),
        patients=tuple(prepared.patients[row] for row in rows),
        images=np.array(prepared.images[rows]),
        masks=np.array(prepared.masks[rows]),
        spacing_mm=tuple(prepared.spacing_mm[row] for row in rows),
    )


def _as_cell(task: Task) -> Cell:
    suite = task.suite
    return Cell(
        task.architecture, suite.width, suite.size, suite.trained_on, suite.dataset, suite.folds, 0, task.seed,
        suite.name, task.recipe.name,
    )  # fmt: skip


work = failures.telling(lambda job, say: run(Task.from_dict(job), say))


if __name__ == "__main__":
    sys.exit(child.serve(work))
