"""Scores a suite's networks on every held-out image under every corruption, with stored weights, one process a network;
valid results are kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine, suites
from bench.cell import Cell
from bench.records.record import Record
from bench.records.results import Results
from bench.robustness import corruptions, measurement
from bench.robustness.measurement import DIGITS, Network
from bench.running import data, trained
from bench.running.child import Event, Say, serve, telling
from bench.running.data import SuiteData
from bench.running.executor import Executor, Local
from bench.running.training import from_json, of_cell
from bench.suites import Suite
from lungseg import metrics
from lungseg.errors import PARTIAL, DataError, UsageError


@dataclass(frozen=True)
class Probe:
    """The payload of the process: trained cells of one architecture and recipe."""

    cells: tuple[Cell, ...]
    suite: Suite
    root: Path
    results: Results


def measure(
    suite: Suite,
    root: Path,
    results: Results,
    seeds: int | None,
    say: Callable[[str], None],
    executor: Executor | None = None,
) -> int:
    """Measure the suite's architectures under its recipe, those whose weights were measured before left out.

    seeds: the first so many; None for all whose folds are all trained. 0, or 4 where a process failed: that network has
    no row then. Raises DataError that lists every training whose record or weights are missing.
    """
    suite_data = data.load_suite_data(suite, root, results)
    key = suite.machine_key
    planned, problems = [], []
    for architecture in suite.architectures:
        local = replace(suite, architectures=(architecture,), variants=())
        chosen = range(seeds) if seeds else _seeds(local, results)
        cells = tuple(suites.cells(replace(local, seeds=tuple(chosen) or suite.seeds)))
        by_id, lacking = trained.records(cells, local, suite_data, results)
        problems += lacking
        planned.append((cells, [*by_id.values()]))
    if problems:
        raise DataError(problems)
    for cells, records in planned:
        if len({frozenset(case.id for r in records if r.cell.seed == c.seed for case in r.cases) for c in cells}) > 1:
            raise UsageError(
                f"{cells[0].architecture}: its seeds scored different images, because each has its own split and suite "
                f"{suite.name} not all folds; measure one with --seeds 1"
            )
    known, failed = measurement.load(results, suite.name), []
    for cells, records in planned:
        name = records[0].cell.network()
        about = _about(records, suite_data)
        there = next((old for old in known if (old.name, old.machine_key) == (name, key)), None)
        if there and {k: there.about.get(k) for k in about} == about:
            say(f"{name}: already measured with these weights, kept")
            continue
        result = _measured(suite, cells, records, name, about, suite_data, root, results, say, executor or Local())
        known = [old for old in known if old is not there]
        if result is None:
            failed.append(name)
        else:
            known.append(result)
        measurement.save(results, suite.name, known)  # now: what follows may be interrupted
    if failed:
        print(f"could not measure {', '.join(failed)} under corruptions; the other results are stored", file=sys.stderr)
    return PARTIAL if failed else 0


def _seeds(suite: Suite, results: Results) -> list[int]:
    """Seeds of which every fold has a record, sorted."""
    cells = suites.cells(suite)
    wanted = {cell.fold for cell in cells}
    return [seed for seed, there in results.folds_by_seed(cells[0]).items() if wanted <= there]


def _about(records: Sequence[Record], suite_data: SuiteData) -> dict[str, Any]:
    """What decides the numbers: weights, images, corruptions."""
    return {
        "version": corruptions.VERSION,
        "protocol": records[0].protocol,
        "data": suite_data.prepared.sha256,
        "size": list(records[0].cell.size),
        "test_set": records[0].cell.test_set,
        "recipe": records[0].cell.recipe,
        "trainings": {
            record.name: {"fingerprint": record.fingerprint, "weights_sha256": record.weights_sha256}
            for record in records
        },
    }


def _measured(
    suite: Suite, cells: tuple[Cell, ...], records: Sequence[Record], name: str, about: dict[str, Any],
    suite_data: SuiteData, root: Path, results: Results, say: Callable[[str], None], executor: Executor,
) -> Network | None:  # fmt: skip
    """One network's row from a process of its own; None where that failed, which is said."""
    source = machine.source()
    first = cells[0]
    log = results.log(suite.name, first.machine_key, f"{first.id.split('.')[0]}.robustness", "log.txt")
    job = of_cell("bench.robustness.probe", first, Probe(cells, suite, root, results), log, results)
    dice: dict[int, dict[str, dict[str, float]]] = {}
    metadata: dict[str, Any] = {}
    seed_of = {cell.id: cell.seed for cell in cells}

    def hear(event: Event) -> None:
        if event["event"] == "machine":
            metadata.update(event["machine"])
        if event["event"] == "dice":
            say(f"{event['cell']}: {len(event['images'])} images under {len(event['dice']) - 1} corruptions")
            by_key = dice.setdefault(seed_of[event["cell"]], {})
            for corruption, values in event["dice"].items():
                by_key.setdefault(corruption, {}).update(zip(event["images"], values, strict=True))

    outcome = executor.submit(job, hear)
    outcome.raise_what_ends_the_run()
    if outcome.error:
        say(f"{name}: {outcome.describe}")
        return None
    images = tuple(sorted({image for by in dice.values() for image in by[corruptions.CLEAN]}))
    patient = dict(zip(suite_data.prepared.ids, suite_data.prepared.patients, strict=True))
    stored = {(record.cell.seed, case.id): case.dice for record in records for case in record.cases}
    now = {(seed, image): value for seed, by in dice.items() for image, value in by[corruptions.CLEAN].items()}
    about = {
        **about,
        "clean_differs": round(max(abs(value - stored[which]) for which, value in now.items()), DIGITS),
        "machine": metadata,
        "source": source,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    rounded = {
        seed: {k: tuple(round(values[image], DIGITS) for image in images) for k, values in by.items()}
        for seed, by in dice.items()
    }
    return Network(name, first.machine_key, images, tuple(patient[image] for image in images), rounded, about)


def run(requested: Probe, say: Say) -> None:
    """Predict what each cell held out under every corruption; all are of one architecture and recipe.

    say: receives {"event": "dice", "cell": its id, "images": ids, "dice": {corruption: of each image}} for each. Raises
    DataError for weights that are not what the cell's record says, or that have seen a patient which they predict.
    """
    first, results = requested.cells[0], requested.results
    planned = results.load(first).inputs.every
    at, model = trained.opened(first, requested.suite, requested.root, results, planned)
    suite_data = at.suite_data
    from lungseg import training

    say({"event": "machine", "machine": at.metadata()})
    for cell in requested.cells:
        fold = trained.give_weights(model, cell, suite_data, results)
        prepared = suite_data.prepared
        rows = [prepared.index_of[name] for name in fold.test]
        result: dict[str, list[float]] = {}
        held_out = [(np.asarray(prepared.images[row]), np.asarray(prepared.masks[row])) for row in rows]
        for corruption in corruptions.KEYS:
            corrupted = [
                corruptions.corrupted(image, mask, corruption, name)
                for name, (image, mask) in zip(fold.test, held_out, strict=True)
            ]
            probability = training.probabilities(model, np.stack([image for image, _ in corrupted]))
            predictions = training.masks(probability, first.recipe.threshold)
            result[corruption] = [
                metrics.dice(mask, prediction) for (_, mask), prediction in zip(corrupted, predictions, strict=True)
            ]
        say({"event": "dice", "cell": cell.id, "images": list(fold.test), "dice": result})


work = telling(lambda payload, say: run(from_json(Probe, payload), say))


if __name__ == "__main__":
    sys.exit(serve(work))
