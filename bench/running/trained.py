"""Trained cells that predict again: which have a record and weights, and a network that holds the weights of each."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.cell import Cell
from bench.records.record import Record
from bench.records.results import Results
from bench.running.data import SuiteData
from bench.running.suite_run import of_others
from bench.running.training import fingerprint_inputs
from bench.running.workplace import Workplace, built
from bench.suites import Suite
from lungseg.errors import DataError
from lungseg.provenance import weights_sha256
from lungseg.splits import Fold

if TYPE_CHECKING:
    import keras

MISSING = "no such file (published or copied records may come without weights)"


def run_command(suite: Suite) -> str:
    """The command that trains the suite's one architecture."""
    more = f" --variants {suite.variant}" if suite.variant else ""
    return f"python -m bench run {suite.name} --arch {suite.architectures[0]}{more}"


def records(
    cells: Sequence[Cell], suite: Suite, suite_data: SuiteData, results: Results, narrow: str = "--seeds or --arch"
) -> tuple[dict[str, Record], list[str]]:
    """The records of one architecture's cells by id, and what is missing among records and weights. narrow: the
    options by which the command takes fewer cells."""
    result: dict[str, Record] = {}
    problems: list[str] = []
    lacking: list[str] = []
    for cell in cells:
        path = results.artifact(cell, "weights.npz")
        record = results.find(cell, fingerprint_inputs(cell, suite_data))
        if record is None:
            lacking.append(cell.id)
        elif not path.is_file():
            made_from = dict(record.inputs.every)
            same = [results.path(cell), *of_others(cell, made_from, results)]  # or one would be reused
            problems.append(
                f"{path}: {MISSING}; delete {' and '.join(map(str, same))} and run suite {cell.suite} again"
            )
        else:
            result[cell.id] = record
    if lacking:
        name, most = cells[0].architecture, max(cell.seed for cell in cells) + 1
        problems.append(
            f"{name}: {len(lacking)} of {len(cells)} cells have no finished training on the current data with "
            f"the current recipe: {', '.join(lacking)}; run `{run_command(suite)} --seeds {most}`, or select fewer "
            f"with {narrow}"
        )
    if len({record.inputs.every.get("graph") for record in result.values()}) > 1:
        problems.append(
            f"{cells[0].architecture}: its cells were trained with different versions of its code; run suite "
            f"{suite.name} again"
        )
    return result, problems


def opened(
    first: Cell, suite: Suite, root: Path, results: Results, planned: Mapping[str, Any]
) -> tuple[Workplace, keras.Model]:
    """The process's setup and the network of trained cells, ``first`` of them, without their weights.

    planned: the inputs of their records. Raises DataError where the data or the network are others.
    """
    at = Workplace.opened(first, suite, root, results, planned)
    return at, network(first, planned["graph"])


def network(cell: Cell, graph: Any) -> keras.Model:
    """The cell's network, without its weights. graph: of its record. Raises DataError where its code is another now:
    its predictions would silently differ."""
    from lungseg import complexity

    model = built(cell)
    if complexity.graph_sha256(model) != graph:
        raise DataError(f"{cell.architecture}: its code has changed since its training; run suite {cell.suite} again")
    return model


def give_weights(model: keras.Model, member: Cell, suite_data: SuiteData, results: Results) -> Fold:
    """Give the model a trained cell's weights; the fold that it held out. Raises DataError for weights that are not
    what the cell's record says, or that have seen a patient which they are to predict."""
    fold, record = suite_data.partition(member.seed)[member.fold], results.load(member)
    check_leakage(record, fold, suite_data)
    model.set_weights(weights(results.artifact(member, "weights.npz"), record))
    return fold


def check_leakage(record: Record, fold: Fold, suite_data: SuiteData) -> None:
    """Raise DataError unless the member was trained on this fold's images, and so on no patient that the fold holds
    out: a mean over members that have seen an image says nothing of new ones."""
    name, patient = record.name, dict(zip(suite_data.prepared.ids, suite_data.prepared.patients, strict=True))
    split = asdict(record.split)
    seen = {patient.get(image, image) for part in ("train", "validation") for image in split.get(part, ())}
    if leaked := [image for image in fold.test if patient[image] in seen]:
        raise DataError(
            f"{name}: its training set holds patients of {len(leaked)} of the {len(fold.test)} images that it would "
            f"predict, such as {leaked[0]}; delete its record and run its suite again"
        )
    if split != asdict(fold):
        raise DataError(f"{name}: was not trained on the images of its fold; delete its record, run its suite again")


def weights(path: Path, record: Record) -> list[np.ndarray]:
    """A training's stored weights. Raises DataError where the file is missing, damaged or another training's."""
    again = f"the record of {record.name}, and run suite {record.cell.suite} again"
    remedy = f"delete it and {again}"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            result = [kept[name] for name in sorted(kept.files)]
    except FileNotFoundError as error:
        raise DataError(f"{path}: {MISSING}; delete {again}") from error
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not the weights of a network ({error}); {remedy}") from error
    if weights_sha256(result) != record.weights_sha256:
        raise DataError(f"{path}: the hash of the weights is not the one in their record; {remedy}")
    return result
