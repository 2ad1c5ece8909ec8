"""Computes leaderboards from records: means, intervals, ranks, paired differences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from bench.records.record import Record, not_converged
from bench.statistics.pairs import by_measure, compared, outlying_seeds
from bench.statistics.ranking import nested, rank_stats
from bench.statistics.related import related
from bench.statistics.rows import TARGETS, CalibrationErrors, CellRow, Conditions, FoldRow, Leaderboard, Row
from bench.statistics.scores import (
    RATIOS,
    Scores,
    at_stored,
    beside_siblings,
    boundary,
    fixed_split_dice,
    image_hd95,
    tolerance_dice,
)
from bench.statistics.verdicts import MeasuredPair
from bench.suites import THREE
from lungseg import metrics
from lungseg.errors import LungsegError
from lungseg.intervals import MIN_PATIENTS

MIN_IMAGES = 20  # fewer are not ranked
CURVES = ("val_dice", "val_hard_dice")  # that a figure draws; old records lack the second


@threadpool_limits.wrap(limits=1, user_api="blas")  # of small matrices: no digit depends on the number of cores
def leaderboards(records: Iterable[Record]) -> list[Leaderboard]:
    """Leaderboards in a fixed order, whatever the order of the records. Raises LungsegError if they conflict."""
    groups: defaultdict[Conditions, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.name):
        groups[conditions(record)].append(record)
    made = [_leaderboard(key, groups[key]) for key in sorted(groups, key=lambda k: (k.suite, -k.protocol, k))]
    scores_of = {leaderboard.conditions: scores for leaderboard, scores in made}
    return related([leaderboard for leaderboard, _ in made], scores_of, groups)


def conditions(record: Record) -> Conditions:
    """The table that the record belongs to."""
    cell, on = record.cell, record.machine
    return Conditions(
        cell.suite, cell.test_set, cell.train_set, cell.size, cell.recipe.partition(":")[0], cell.folds,
        on.backend, on.device_kind, on.precision, record.protocol, not record.inputs.deterministic,
    )  # fmt: skip


def _names(records: Sequence[Record]) -> list[str]:
    """Of each record its row: the architecture, with its width where there are several of it, and the variant of its
    recipe."""
    widths: defaultdict[str, set[int]] = defaultdict(set)
    for record in records:
        widths[record.cell.architecture].add(record.cell.width)
    cells = [record.cell for record in records]
    return [c.network(f"width {c.width}" if len(widths[c.architecture]) > 1 else "") for c in cells]


def _leaderboard(key: Conditions, records: Sequence[Record]) -> tuple[Leaderboard, Mapping[str, Scores]]:
    """The leaderboard, without what others say of it, and the scores of its rows."""
    of_each = _names(records)
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for name, record in zip(of_each, records, strict=True):
        groups[name].append(record)
    for name, group in groups.items():
        _each_once(name, group)
    every = {name: t for name, g in sorted(groups.items()) if (t := Scores.of([r for r in g if r.ok]))}
    images = {image for scores in every.values() for image in scores.images}
    complete = {name: scores.complete_seeds(images) for name, scores in every.items()}
    # complete seeds alone, so that each image counts as often as any other; all of them where none is
    scores_of = {name: scores.only(complete[name]) if complete[name] else scores for name, scores in every.items()}
    processor = _processor_time(records)
    rows = [_row(n, scores_of[n], every[n], key, processor) for n in scores_of]
    able = [
        r for r in rows
        if complete[r.name] and len(images) >= MIN_IMAGES and r.n_patients >= MIN_PATIENTS
    ]  # fmt: skip
    able.sort(key=lambda r: (-round(r.dice.value, 12), r.name))
    compared_rows = {r.name: scores_of[r.name] for r in able}
    pairs = compared(compared_rows)
    result = rank_stats(pairs, compared_rows) if able else {}
    rest = sorted((r for r in rows if r.name not in result), key=lambda r: r.name)
    every_row = (*(replace(r, rank_stats=result[r.name]) for r in able), *rest)
    leaderboard = Leaderboard(
        conditions=key,
        rows=every_row,
        pairs=pairs,
        folds=tuple(f for r in every_row for f in _folds(r.name, scores_of[r.name], processor)),
        cells=tuple(_cell(record, name) for name, record in zip(of_each, records, strict=True)),
        seeds=tuple(sorted({r.cell.seed for r in records})),
        nested=nested(compared_rows),
        by_measure=by_measure(compared_rows),
        originals=_originals(compared_rows),
        outlying_seeds=outlying_seeds(compared_rows),
        beside_siblings=beside_siblings(records),
        extra_images=_extra_images(records) if key.extra_train else 0,
        processor_time=processor,
    )
    return leaderboard, scores_of


def _originals(scores_of: Mapping[str, Scores]) -> dict[str, tuple[MeasuredPair, ...]]:
    """The comparison that the project was set up for, whatever other networks were run: variances and correction are
    those of these three rows. scores_of: of the ranked rows."""
    three = {name: scores for name, scores in scores_of.items() if name in THREE}
    pairs = compared(three) if len(three) == len(THREE) else ()
    return {"dice": pairs, **by_measure(three)} if pairs else {}


def _extra_images(records: Sequence[Record]) -> int:
    """The most images of another set that a fold trains on."""
    done = [r for r in records if r.ok]
    local = {image for r in done for image in r.data.target_pixels}
    return max((len(set(r.split.train) - local) for r in done), default=0)


def _each_once(name: str, records: Sequence[Record]) -> None:
    """Refuse an image that one seed predicted twice: a mean over such a table would be of nothing."""
    seen = Counter((case.id, r.cell.seed) for r in records for case in r.cases)
    twice = sorted(f"{image} (seed {seed})" for (image, seed), n in seen.items() if n > 1)
    if twice:
        images = ", ".join(twice[:10])
        raise LungsegError(f"{name}: scored more than once: {images}; remove the stale records")


def _processor_time(records: Iterable[Record]) -> bool:
    """Whether times of training are the processor's: where each training had one core to itself and tells its time
    there, which other work on the machine does not lengthen. Ensembles, for which nothing was trained, do not count."""
    done = [r for r in records if r.ok and r.trained]
    return bool(done) and all(
        r.machine.device_kind == "cpu" and r.machine.threads == 1 and r.timing.cpu_told for r in done
    )


def _train_seconds(records: Iterable[Record], processor: bool) -> float:
    """Median time of training; NaN where an ensemble does not tell its members' time of the processor."""
    if processor and not all(r.timing.cpu_told for r in records):
        return float("nan")
    return float(np.median([r.timing.train_cpu_seconds if processor else r.timing.train_seconds for r in records]))


def _seconds_to(records: Sequence[Record], clock: str) -> dict[float, float]:
    """Median time of training to each of TARGETS; none unless every record tells its curves."""
    if not all(r.history.curve("val_hard_dice") and r.history.curve(clock) for r in records):
        return {}
    return {dice: float(np.median([r.history.seconds_to(dice, clock) for r in records])) for dice in TARGETS}


def _row(name: str, scores: Scores, every: Scores, key: Conditions, processor: bool) -> Row:
    records = scores.records
    cases = [c for r in records for c in r.cases]
    n_patients = len(set(scores.patients))
    borders = boundary(scores, cases)
    dice = scores.mean_over_seeds("dice")
    per_seed = scores.dice_by_patient.mean(axis=1)
    everywhere = int((~np.isnan(scores.values["dice"])).all(axis=0).sum())
    memory = [r.peak_memory_bytes for r in records if r.peak_memory_bytes]
    pooled = metrics.pooled(map(vars, cases))
    metrics.check_identities(pooled)
    return Row(
        name=name,
        architecture=records[0].cell.architecture,
        width=records[0].cell.width,
        variant=records[0].cell.variant,
        rank_stats=None,
        dice=scores.interval,
        sd_images=float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
        sd_seeds=float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None,
        images=scores.images,
        patients=scores.patients,
        image_dice=tuple(dice.tolist()),
        tolerance_dice=tolerance_dice(scores),
        best_dice=tuple(np.nanmax(scores.values["dice"], axis=0).tolist()),
        image_hd95=image_hd95(scores, borders),
        means={k: scores.over_patients(scores.mean_over_seeds(k)) for k in RATIOS},
        pooled=pooled,
        boundary=borders,
        two_component_rate=float(np.mean([c.components == 2 and c.holes == 0 for c in cases])),
        n_empty=sum(c.tp + c.fp + c.fn == 0 for c in cases),
        n_patients=n_patients,
        seeds=scores.seeds,
        left_out=tuple(s for s in every.seeds if s not in scores.seeds),
        cells=(len(records), key.folds * len(scores.seeds)),
        coverage=(everywhere, max(r.data.n for r in records)),
        parameters=records[0].parameters,
        gmacs=float(records[0].gmacs),
        train_seconds=_train_seconds(records, processor),
        seconds_to=_seconds_to(records, "cpu_seconds" if processor else "seconds"),
        total_seconds=float(sum(r.timing.total_seconds for r in records)),
        peak_memory_bytes=max(memory) if memory else None,
        trainings=max(r.inputs.networks for r in records),
        transforms=max(len(r.inputs.tta) or 1 for r in records),
        postprocessed=any(r.inputs.postprocess for r in records),
        stored=at_stored(scores),
        fixed_split=None if key.cross_dataset else fixed_split_dice(key.test_set, cases),
        calibration=_calibration(records),
    )


def _folds(name: str, scores: Scores, processor: bool) -> list[FoldRow]:
    groups: defaultdict[tuple[int, frozenset[str]], list[Record]] = defaultdict(list)
    for r in scores.records:  # seeds that split alike share a line
        groups[r.cell.fold, frozenset(c.id for c in r.cases)].append(r)
    rows = []
    for (fold, images), records in groups.items():
        dice = np.array([c.dice for r in records for c in r.cases])
        rows.append(
            FoldRow(
                name, fold, tuple(sorted({r.cell.seed for r in records})), len(images), float(dice.mean()),
                float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
                tuple(r.best_epoch for r in records if r.trained and r.best_epoch is not None),
                tuple(r.history.epochs for r in records if r.trained),
                _train_seconds(records, processor),
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row.seeds, row.fold))


def _cell(record: Record, row: str) -> CellRow:
    """What pages and figures show of one cell. row: the name of its row."""
    cell, recipe, history = record.cell, record.inputs.recipe, record.history
    curves = {name: history.curve(name) for name in CURVES}
    return CellRow(
        name=record.name,
        row=row,
        architecture=cell.architecture,
        width=cell.width,
        recipe=cell.recipe,
        variant=cell.variant,
        fold=cell.fold,
        seed=cell.seed,
        status=record.status,
        scored=record.ok,
        trained=record.trained,
        sealed=record.sealed,
        error=(record.error.type, record.error.message),
        warnings=tuple(record.all_warnings),
        machine=record.machine,
        source=record.source,
        made_with=_made_with(record),
        record_sha256=record.record_sha256,
        weights_sha256=record.weights_sha256,
        finished=record.finished or "",
        reused_from=record.reused_from,
        batch_size=recipe.get("batch_size"),
        learning_rate=recipe.get("learning_rate"),
        monitor=record.inputs.monitor,
        epochs=history.epochs,
        best_epoch=record.best_epoch,
        kept_dice=record.kept_dice,
        rising=record.ok and not_converged(curves["val_dice"]),
        curves=curves if curves["val_dice"] else {},
        total_seconds=record.timing.total_seconds,
    )


def _made_with(record: Record) -> Mapping[str, str]:
    """What changes numbers although code and inputs are equal: the processor that computed, and each library.

    Beside an accelerator the processor only feeds it.
    """
    machine = record.machine
    processor = {"processor": machine.cpu} if machine.device_kind == "cpu" else {}
    return processor | {name: f"{name} {version}" for name, version in machine.versions.items()}


def _calibration(records: Sequence[Record]) -> CalibrationErrors | None:
    """Of probabilities over the pixels of all predictions; None unless every record tells it.

    A record holds bins and the mean squared error of its pixels, as ``lungseg.metrics.calibration`` gives them.
    """
    details = [record.calibration for record in records]
    result = [one for one in details if one]
    if not result or len(result) < len(details):
        return None
    bins = np.array([one.bins for one in result], dtype=np.float64).sum(axis=0)  # a pixel counts alike in every record
    pixels = np.array([sum(n for n, _, _ in one.bins) for one in result], dtype=np.float64)
    brier = float(np.average([one.brier for one in result], weights=pixels))
    return CalibrationErrors(metrics.expected_calibration_error(bins.tolist()), brier)
