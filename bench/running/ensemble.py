"""A suite's ensembles: means over an architecture's seeds, over TTA, or both, and post-processed masks, fold by fold;
valid records are kept.

One fresh process per architecture (``python -m bench.running.ensemble``) predicts and scores them; trains nothing.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bench import suites
from bench.records import store
from bench.records.record import POST, SEEDS, VIEWS, Record
from bench.records.results import Results
from bench.running import data, held_out, trained, worker
from bench.running.child import Event, Say, serve, telling
from bench.running.data import SuiteData
from bench.running.executor import Executor, Job, Local
from bench.running.training import fingerprint_inputs, of_cell, restored
from bench.suites import Cell, Suite
from lungseg import atomic, prepare
from lungseg.errors import PARTIAL, DataError, UsageError
from lungseg.postprocessing import two_lungs
from lungseg.splits import Fold
from lungseg.tta import IDENTITY, TRANSFORMS, Transform, averaged


@dataclass(frozen=True)
class Ensemble:
    """One record to be made of trained members: the images of one fold of the cell's seed, each predicted by those
    members, one a seed, that held it out. inputs: what decides its numbers, members and transforms included."""

    cell: Cell
    members: tuple[Cell, ...]
    inputs: dict[str, Any]

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The TTA transforms that each member is averaged over."""
        return tuple(Transform(**transform) for transform in self.inputs["tta"])

    @property
    def postprocess(self) -> bool:
        """Whether masks are post-processed."""
        return self.inputs.get("postprocess") is True

    def fold(self, suite_data: SuiteData) -> Fold:
        """The fold whose test images the ensemble predicts. It trains on none: each member has its own fold."""
        return suite_data.partition(self.cell.seed)[self.cell.fold]


@dataclass(frozen=True)
class Entries:
    """The payload of the process that scores them: ensembles of one architecture."""

    entries: tuple[Ensemble, ...]
    suite: Suite
    root: Path
    results: Results


def ensembles(
    suite: Suite, suite_data: SuiteData, results: Results, seeds: int | None = None, *, tta: bool = False,
    postprocess: bool = False,
) -> list[Ensemble]:  # fmt: skip
    """Every ensemble of the suite's architectures under its recipe, not its variants; by architecture, then by fold.

    seeds: the first so many; None for all that have a record of this machine. tta: also test-time augmentation.
    postprocess: also each training's masks, post-processed.
    Raises DataError that lists every member whose record or weights are missing, UsageError where nothing is left
    to average.
    """
    result: list[Ensemble] = []
    problems: list[str] = []
    for architecture in suite.architectures:
        local = replace(suite, architectures=(architecture,), variants=())
        chosen = range(seeds) if seeds else [*results.folds_by_seed(suites.cells(local)[0])]
        if not chosen:
            problems.append(
                f"{architecture}: not trained yet in {results.path(suites.cells(local)[0]).parent}; run "
                f"`{trained.run_command(local)}` first, or exclude it with --arch"
            )
            continue
        if len(chosen) == 1 and not (tta or postprocess):
            raise UsageError(
                f"{architecture} has only seed {chosen[0]}; an ensemble needs at least two: train more with "
                f"`{trained.run_command(local)} --seeds 3`, or add --tta or --postprocess"
            )
        cells = suites.cells(replace(local, seeds=tuple(chosen)))
        records, lacking = trained.records(cells, local, suite_data, results, "--seeds, --folds or --arch")
        problems += lacking
        if lacking:
            continue
        of_one = _of_one(cells, records, local, suite_data, tta, postprocess)
        if not of_one:
            raise UsageError(
                f"{architecture}: each seed has its own split, so an ensemble over seeds needs all {suite.folds} folds "
                f"of each: train and select them (`--folds {','.join(map(str, range(suite.folds)))}`), or add --tta or "
                "--postprocess"
            )
        result += of_one
    if problems:
        raise DataError(problems)
    return result


def _of_one(
    cells: Sequence[Cell], records: Mapping[str, Record], suite: Suite, suite_data: SuiteData, tta: bool,
    postprocess: bool,
) -> list[Ensemble]:  # fmt: skip
    """The ensembles of one architecture, whose cells all have records."""
    result = []
    seeds = sorted({cell.seed for cell in cells})
    for fold in sorted({cell.fold for cell in cells}):
        local = [cell for cell in cells if cell.fold == fold]
        chosen: list[tuple[str, int, list[Cell], tuple[Transform, ...]]] = []
        together = _holding_out(suite_data.partition(seeds[0])[fold], cells, suite_data)
        if len(seeds) > 1 and together:
            chosen += [(SEEDS, seeds[0], together, (IDENTITY,))]
        if postprocess:
            chosen += [(POST, cell.seed, [cell], (IDENTITY,)) for cell in local]
        if tta:
            chosen += [(VIEWS, cell.seed, [cell], TRANSFORMS) for cell in local]
            if len(seeds) > 1 and together:
                chosen.append((SEEDS + VIEWS, seeds[0], together, TRANSFORMS))
        for suffix, seed, some, transforms in chosen:
            named = replace(local[0], architecture=local[0].architecture + suffix, seed=seed)
            made_from = {
                **fingerprint_inputs(named, suite_data),
                "graph": records[local[0].id].inputs.every["graph"],
                "members": [
                    {
                        "cell": c.id,
                        "seed": c.seed,
                        "fingerprint": records[c.id].fingerprint,
                        "weights_sha256": records[c.id].weights_sha256,
                    }
                    for c in some
                ],
                "tta": [asdict(transform) for transform in transforms],
                **({"postprocess": True} if suffix == POST else {}),
            }
            result.append(Ensemble(named, tuple(some), made_from))
    return result


def _holding_out(fold: Fold, cells: Sequence[Cell], suite_data: SuiteData) -> list[Cell]:
    """The cells that held out any of the fold's test images; none where some seed lacks one of those images, as where
    only some folds were trained: another partition has them in other folds."""
    wanted = set(fold.test)
    held = {cell: wanted & set(suite_data.partition(cell.seed)[cell.fold].test) for cell in cells}
    result = [cell for cell in cells if held[cell]]
    for seed in {cell.seed for cell in cells}:
        if wanted - set().union(*(held[cell] for cell in result if cell.seed == seed)):
            return []
    return result


def make(
    suite: Suite,
    root: Path,
    results: Results,
    seeds: int | None,
    say: Callable[[str], None],
    *,
    tta: bool = False,
    postprocess: bool = False,
    executor: Executor | None = None,
) -> int:
    """Score the ensembles without a valid record; 0, or 4 where a process failed and left its ensembles unscored.

    Raises DataError for members that are missing or are not what they seem to be, UsageError where there is nothing to
    average.
    """
    suite_data = data.load_suite_data(suite, root, results)
    wanted = ensembles(suite, suite_data, results, seeds, tta=tta, postprocess=postprocess)
    todo = [e for e in wanted if results.find(e.cell, e.inputs) is None]
    if len(todo) < len(wanted):
        say(f"{len(wanted) - len(todo)} of {len(wanted)} ensembles have a valid record and are kept")
    failed = []
    for architecture, group in groupby(todo, key=lambda one: one.members[0].architecture):
        local = list(group)
        for one in local:  # now: whatever comes of this run, it is no longer what its members make
            store.set_aside(results.path(one.cell))
        first = local[0].cell
        payload = Entries(tuple(local), suite, root, results)
        job = of_cell("bench.running.ensemble", first, payload, results.artifact(first, "log.txt"), results)
        if not _made(job, executor or Local(), say):
            failed.append(architecture)
    if failed:
        print(f"ensembles of {', '.join(failed)} failed; all others are stored", file=sys.stderr)
    return PARTIAL if failed else 0


def _made(job: Job, executor: Executor, say: Callable[[str], None]) -> bool:
    """Whether one process scored all ensembles of the job, which are of one architecture."""

    def hear(event: Event) -> None:
        if event["event"] == "made":
            say(f"{event['entry']}: mean Dice {event['dice']:.4f}")

    outcome = executor.submit(job, hear)
    outcome.raise_what_ends_the_run()
    if outcome.error:
        say(f"{job.log.parent.name}: {outcome.describe}")
    return not outcome.error


# What follows runs in the process.


def run(details: Entries, say: Say) -> None:
    """Score each ensemble and store its record; all are of one architecture.

    say: receives {"event": "made", "entry": its id, "dice": mean}. Raises DataError for members that are not
    what their records say, or that have seen a patient of an image which they are to predict.
    """
    ensembles, results, first = details.entries, details.results, details.entries[0].members[0]
    at, model = trained.opened(first, details.suite, details.root, results, ensembles[0].inputs)
    suite_data, threshold = at.suite_data, first.recipe.threshold
    from lungseg import complexity
    from lungseg.training import HISTORY

    size = complexity.parameters(model), complexity.gmacs(model)
    untrained: dict[str, list[float]] = {name: [] for name in HISTORY}  # an ensemble has no epochs of its own
    member_predictions = Predictions(model, suite_data, results)
    for ensemble in ensembles:
        fold = ensemble.fold(suite_data)
        result = [member_predictions.of(member, ensemble.transforms) for member in ensemble.members]
        began, averaging = time.monotonic(), 0.0
        held, by_member = held_out.HeldOut(suite_data, fold, threshold), [values for values, _ in result]
        with held_out.masks_file(results.artifact(ensemble.cell, "predictions.npz"), fold.test, first.size) as keep:
            for ids in held_out.batches(fold.test):
                start = time.monotonic()
                probability = mean(by_seed(ensemble.members, by_member, ids))
                if ensemble.postprocess:
                    probability = np.stack([two_lungs(one, threshold) for one in probability])
                averaging += time.monotonic() - start
                keep(held.add(ids, probability))
                member_predictions.release()
        shares = [len(values.keys() & set(fold.test)) / len(values) for values, _ in result]
        predicting = sum(share * each for share, (_, each) in zip(shares, result, strict=True))
        seconds = predicting + averaging, time.monotonic() - began - averaging
        members = [results.load(member) for member in ensemble.members]
        record = {
            **_record(ensemble, members, shares, size, seconds),
            "cases": held.cases,
            "history": untrained,
            "calibration": held.calibration(),
            "warnings": worker.training_warnings(untrained, held.extremes),
            **at.provenance(fold),
        }
        results.save(ensemble.cell, record)
        say({"event": "made", "entry": ensemble.cell.id, "dice": float(np.mean([case["dice"] for case in held.cases]))})


def by_seed(
    members: Sequence[Cell], result: Sequence[Mapping[str, np.ndarray]], ids: Sequence[str]
) -> list[np.ndarray]:
    """Probabilities float32 (N, H, W) of the images ``ids``, one array a seed: of each image that of the seed's member
    which held it out. result: of each member, those of the images that it held out, by id."""
    held: dict[int, dict[str, np.ndarray]] = {}
    for member, values in zip(members, result, strict=True):
        held.setdefault(member.seed, {}).update({key: values[key] for key in ids if key in values})
    return [np.stack([values[key] for key in ids]) for _, values in sorted(held.items())]


def mean(probabilities: list[np.ndarray]) -> np.ndarray:
    """Mean of members' probabilities float32 (N, H, W), each of the same weight; summed in float64."""
    return np.asarray(np.mean(probabilities, axis=0, dtype=np.float64).astype(np.float32))


class Predictions:
    """Probabilities by members of the images that each held out, kept because several ensembles share them: in files
    without a name beside the members' weights, so that a batch is in memory whatever the size of the set.

    A byte a pixel less would not do: of 138 images at 256 px, a seed and a set of transforms take 36 MB.
    """

    def __init__(self, model: Any, suite_data: SuiteData, results: Results) -> None:
        self.model, self.suite_data, self.results = model, suite_data, results
        self.result: dict[tuple[str, tuple[Transform, ...]], tuple[dict[str, np.ndarray], float]] = {}
        self.files: list[np.ndarray] = []

    def of(self, member: Cell, transforms: tuple[Transform, ...]) -> tuple[dict[str, np.ndarray], float]:
        """Probabilities float32 (H, W) of each image that the member held out, by id, and the seconds they took.

        Raises EnvironmentFailure where they cannot be written.
        """
        if (member.id, transforms) not in self.result:
            began = time.monotonic()
            fold = trained.give_weights(self.model, member, self.suite_data, self.results)
            folder = self.results.artifact(member, "weights.npz").parent
            try:
                values = self._predicted(fold.test, transforms, folder)
            except OSError as error:
                raise atomic.refused(folder / "predictions of an ensemble", error) from error
            self.files.append(values)
            self.result[member.id, transforms] = dict(zip(fold.test, values, strict=True)), time.monotonic() - began
        return self.result[member.id, transforms]

    def _predicted(self, ids: Sequence[str], transforms: tuple[Transform, ...], folder: Path) -> np.ndarray:
        """Probabilities float32 (N, H, W), mapped."""
        from lungseg.training import probabilities

        network, prepared = partial(probabilities, self.model), self.suite_data.prepared
        with tempfile.TemporaryFile(dir=folder) as file:
            for some in held_out.batches(ids):
                file.write(averaged(network, prepared.take(some)[0], transforms).tobytes())
            file.flush()
            return np.memmap(file, np.float32, "r", shape=(len(ids), *prepared.images.shape[1:]))

    def release(self) -> None:
        """Give pages that were read back, see ``prepare.release``."""
        prepare.release(*self.files)


def _record(
    ensemble: Ensemble,
    members: list[Record],
    shares: list[float],
    size: tuple[int, float],
    seconds: tuple[float, float],
) -> store.Document:
    """What a record says of its ensemble and what it cost: the members' trainings, and its own predicting and scoring.

    shares: of each member's held-out images, those that this ensemble predicts; so much of its training is counted
    here, the rest with the other folds' ensembles. size: parameters and GMACs of one member.
    """
    known = ("train_seconds", "total_seconds", *["train_cpu_seconds"] * all(m.timing.cpu_told for m in members))
    spent = {
        key: sum(share * getattr(m.timing, key) for share, m in zip(shares, members, strict=True)) for key in known
    }
    seeds = len({member.seed for member in ensemble.members})
    return {
        "schema": store.SCHEMA,
        "fingerprint": store.fingerprint(ensemble.inputs),
        "inputs": ensemble.inputs,
        "status": "ok",
        "cell": ensemble.cell.as_dict(),
        "best_epoch": None,
        "weights_sha256": store.sha256([member.weights_sha256 for member in members]),
        "parameters": size[0] * seeds,
        "gmacs": size[1] * seeds * len(ensemble.transforms),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "timing": {
            **spent,
            "predict_seconds": seconds[0],
            "score_seconds": seconds[1],
            "total_seconds": spent["total_seconds"] + sum(seconds),
        },
    }


work = telling(lambda payload, say: run(restored(Entries, payload), say))


if __name__ == "__main__":
    sys.exit(serve(work))
