"""A suite's ensembles: means over an architecture's seeds, over TTA, or both, and post-processed masks, fold by fold;
valid records are kept.

One fresh process per architecture (``ensemble_worker``) predicts and scores them; trains nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from bench import suites
from bench.cell import Cell
from bench.names import POST, SEED_MEAN, TTA
from bench.records import store
from bench.records.record import Record
from bench.records.results import Results
from bench.running import data, trained
from bench.running.child import Event
from bench.running.data import SuiteData
from bench.running.executor import Executor, Job, Local
from bench.running.training import fingerprint_inputs, of_cell
from bench.suites import Suite
from lungseg.errors import PARTIAL, DataError, UsageError
from lungseg.splits import Fold
from lungseg.tta import IDENTITY, TRANSFORMS, Transform


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
        of_one = _of_one(cells, records, suite_data, tta, postprocess)
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
    cells: Sequence[Cell], records: Mapping[str, Record], suite_data: SuiteData, tta: bool, postprocess: bool
) -> list[Ensemble]:
    """The ensembles of one architecture, whose cells all have records."""
    result = []
    seeds = sorted({cell.seed for cell in cells})
    for fold in sorted({cell.fold for cell in cells}):
        local = [cell for cell in cells if cell.fold == fold]
        chosen: list[tuple[str, int, list[Cell], tuple[Transform, ...]]] = []
        together = _holding_out(suite_data.partition(seeds[0])[fold], cells, suite_data)
        if len(seeds) > 1 and together:
            chosen += [(SEED_MEAN, seeds[0], together, (IDENTITY,))]
        if postprocess:
            chosen += [(POST, cell.seed, [cell], (IDENTITY,)) for cell in local]
        if tta:
            chosen += [(TTA, cell.seed, [cell], TRANSFORMS) for cell in local]
            if len(seeds) > 1 and together:
                chosen.append((SEED_MEAN + TTA, seeds[0], together, TRANSFORMS))
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
        job = of_cell("bench.running.ensemble_worker", first, payload, results.artifact(first, "log.txt"), results)
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
