"""Writes a model folder for each finished row of a suite, from stored weights; trains nothing.

A row is many trainings, one a fold and seed; a folder holds one. It is the one whose validation Dice, at the epoch that
was kept, is the highest: never the one that did best on the images that the row's score is about, which would make
that score a promise that no training keeps. The card states the row's own score, over all of its trainings.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import suites
from bench.cell import Cell
from bench.names import file_slug
from bench.records import store
from bench.records.record import Record
from bench.records.results import Results
from bench.running.data import SuiteData
from bench.running.training import fingerprint_inputs
from bench.statistics.resampling import Interval
from bench.suites import Suite
from lungseg import runtime
from lungseg.architectures import refuse_outside
from lungseg.errors import PARTIAL, DataError, UsageError
from lungseg.splits import Fold
from lungseg.terminal import counted, near

if TYPE_CHECKING:
    from bench.statistics.rows import Leaderboard, Row
    from lungseg.card import Card


def run(options: argparse.Namespace) -> int:
    """Write a model folder of each finished row; 4 when a finished row's weights or code are no longer there."""
    suite = suites.select(suites.suite(options.suite), options.arch)
    wanted = suite.architectures if options.arch is not None else None
    runtime.check_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # nothing is trained here that its messages could be about
    options.results.require()
    from bench.running import data
    from bench.statistics import stats

    root = data.resolve_root(suite, options.data, options.results)
    suite = suites.called(suite, root)
    suite_data = data.load_suite_data(suite, root, options.results)
    out = options.out if options.out is not None else options.results.root / "models" / suite.name
    written, problems = [], []
    records = options.results.all(suite.name)
    for leaderboard in stats.leaderboards(records):
        local = [record for record in records if stats.conditions(record) == leaderboard.conditions]
        for row in _finished(leaderboard, wanted):
            try:
                written.append(_exported(row, _of(row, local), leaderboard, suite, suite_data, options.results, out))
            except DataError as error:
                problems += error.problems
    if not written and not problems:
        raise UsageError(f"{options.results.root}: no finished row of suite {suite.name}; {_remedy(suite, options)}")
    for path in written:
        print(f"written: {near(path)}")
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    return PARTIAL if problems else 0


def _remedy(suite: Suite, options: argparse.Namespace) -> str:
    """The command that makes rows to export. A suite that trains only some of its folds has none unless asked for
    all of them."""
    every = f" --folds {','.join(map(str, range(suite.folds)))}" if suite.fold_subset is not None else ""
    arch = f" --arch {shlex.quote(options.arch)}" if options.arch is not None else ""
    return f"`python -m bench run {suite.name}{arch}{every}` makes them"


def _finished(leaderboard: Leaderboard, wanted: Sequence[str] | None) -> list[Row]:
    """Rows with all folds. An ensemble, of trainings or of TTA, is not a single network and gets no folder."""
    rows = [row for row in leaderboard.rows if row.single and row.complete]
    return rows if wanted is None else [row for row in rows if row.architecture in wanted]


def chosen(records: Sequence[Record]) -> Record:
    """The training whose validation Dice is the highest at its best epoch; of equals, the first by name."""
    return max(sorted(records, key=lambda record: record.name), key=lambda record: record.kept_dice or 0.0)


def _exported(
    row: Row,
    records: Sequence[Record],
    leaderboard: Leaderboard,
    suite: Suite,
    suite_data: SuiteData,
    results: Results,
    out: Path,
) -> Path:
    """Write the folder of one row; its path. Raises DataError where weights are missing or records are outdated."""
    from bench.running import trained
    from lungseg import model_folder

    record = chosen(records)
    try:
        refuse_outside(row.architecture)
    except UsageError as error:  # the other rows get their folders
        raise DataError(str(error)) from error
    cell, name = _cell(record, suite), record.name
    key = leaderboard.conditions.machine  # of the machine that trained it, which may be another than this
    path = results.runs(suite.name) / key / f"{cell.id}.json"
    if store.find(path, {**record.inputs.every, **_today(cell, suite_data)}) is None:
        raise DataError(f"{path}: was made with a different dataset, recipe or protocol than now; run the suite again")
    weights = trained.weights(results.log(suite.name, key, cell.id, "weights.npz"), record)
    card = _card(row, len(records), leaderboard, record, cell, suite, suite_data)
    folder = out / key / file_slug(row.name)
    if folder.exists():
        if model_folder.open_folder(folder).card == card:
            return folder
        raise DataError(f"{folder}: holds another model than {name}, or an older card of it; remove it")
    try:
        trained.network(cell, record.inputs.every.get("graph"))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    model_folder.save(folder, card, weights)
    return folder


def _of(row: Row, records: Sequence[Record]) -> list[Record]:
    """The trainings behind a row."""
    return [
        record for record in records
        if record.ok and record.trained and record.cell.seed in row.seeds
        and (record.cell.architecture, record.cell.width, record.cell.variant)
        == (row.architecture, row.width, row.variant)
    ]  # fmt: skip


def _cell(record: Record, suite: Suite) -> Cell:
    """The cell in the precision that it was trained in, which the suite may choose otherwise on this machine."""
    recipe = replace(suite.recipe_of(record.cell.recipe), precision=record.machine.precision)
    return Cell(**{**vars(record.cell), "recipe": recipe})


def _today(cell: Cell, suite_data: SuiteData) -> dict[str, Any]:
    """The inputs of a training that data and code decide; those of the machine, which may differ, are left out."""
    result = fingerprint_inputs(cell, suite_data)
    return {name: result[name] for name in ("protocol", "data", "folds", "spacing", "recipe")}


def _card(
    row: Row, trainings: int, leaderboard: Leaderboard, record: Record, cell: Cell, suite: Suite, suite_data: SuiteData
) -> Card:
    from lungseg.card import UNKNOWN_LICENCE, Card
    from lungseg.datasets import DATASETS
    from lungseg.trained_card import exposure

    fold = suite_data.partition(cell.seed)[cell.fold]
    known = [DATASETS[name] for name in cell.train_set.split("+") if name in DATASETS]
    licences = dict.fromkeys(one.licence for one in known if one.licence)
    return Card(
        name=f"{suite.name}-{file_slug(row.name)}",
        architecture=cell.architecture,
        width=cell.width,
        size=cell.size,
        momentum=cell.recipe.batch_norm_momentum,
        threshold=cell.recipe.threshold,
        recipe=asdict(cell.recipe),
        data=_data(record, cell, fold, leaderboard.conditions.cross_dataset, suite_data),
        training=_training(record, cell, suite, trainings),
        weights_sha256=record.weights_sha256,
        parameters=record.parameters,
        protocol=record.protocol,
        scores=_scores(row, cell, record),
        exposure=exposure(suite_data.prepared, fold),
        licence="; ".join(licences) or UNKNOWN_LICENCE,
        sources=tuple(source for one in known for source in one.cite),
    )


def _data(record: Record, cell: Cell, fold: Fold, across: bool, suite_data: SuiteData) -> dict[str, Any]:
    """The images of the training's fold. across: whether what it was scored on is another set than its own."""
    split = {part: len(ids) for part, ids in asdict(fold).items()}
    local = (*fold.train, *fold.validation, *(() if across else fold.test))
    return {
        "set": cell.train_set,
        "images": len(local),
        "patients": len({suite_data.prepared.patients[suite_data.prepared.index_of[key]] for key in local}),
        "raw_sha256": record.data.raw_sha256,
        "prepared_sha256": record.data.prepared_sha256,
        "split": split,
        "use": f"fold {cell.fold + 1} of {cell.folds}: {split['train']} images to train on, {split['validation']} "
        f"to choose the epoch by, {split['test']} held out",
    }


def _training(record: Record, cell: Cell, suite: Suite, trainings: int) -> dict[str, Any]:
    """How it was trained, and among how many of its row it was chosen."""
    assert record.best_epoch is not None  # of a training that succeeded
    return {
        "suite": suite.name,
        "cell": record.name,
        "chosen": f"the highest validation Dice of {trainings} trainings; held-out images had no part",
        "seed": cell.seed,
        "threads": record.machine.threads,
        "epochs": record.history.epochs,
        "best_epoch": record.best_epoch + 1,
        "validation_dice": record.kept_dice,
        "cpu_seconds": round(record.timing.train_cpu_seconds, 1),
        "backend": record.machine.backend,
        "versions": dict(record.machine.versions),
        "source": asdict(record.source),
        "record_fingerprint": record.fingerprint,
    }


def _scores(row: Row, cell: Cell, record: Record) -> tuple[dict[str, Any], ...]:
    """The row's mean Dice at the network's size and, where it was scored there, at the masks' stored size."""
    common: dict[str, Any] = {
        "set": cell.test_set, "metric": "dice", "images": len(row.images), "patients": row.n_patients,
        "how": _how(row, cell), "data_sha256": record.data.raw_sha256,
    }  # fmt: skip
    of = (len(row.seeds), row.n_patients)
    result = [{**common, "at": "network", **row.dice.stated(*of)}]
    if row.stored is not None:
        result.append({**common, "at": "stored", **Interval.none(row.stored.dice).stated(*of)})
    return tuple(result)


def _how(row: Row, cell: Cell) -> str:
    """What the stated score is of."""
    seeds = counted(len(row.seeds), "seed")
    what = f"all {row.cells[0]} trainings of the leaderboard's row ({seeds}), of which this is one"
    return f"out of fold: {what}" if cell.folds > 1 else f"another set than it was trained on: {what}"
