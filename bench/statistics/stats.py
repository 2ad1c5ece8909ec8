"""Records -> rows: means, intervals, ranks and paired differences. Numpy only, and no printing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.records import costs, likeness
from bench.records.record import Record
from bench.statistics import borders, calibration, cells, counterparts, fixed_split, resampling
from bench.statistics.choice import nested
from bench.statistics.pairs import compared
from bench.statistics.patients import beside_siblings
from bench.statistics.power import power, scored, variances
from bench.statistics.ranking import places, ranking
from bench.statistics.resamples import Resamples, drawn
from bench.statistics.rows import FoldRow, Row, Section, Setting
from bench.statistics.scores import RATIOS, Scores
from bench.statistics.variance import components
from lungseg import metrics
from lungseg.errors import LungsegError

MIN_IMAGES = 20  # fewer are not ranked


def sections(records: Iterable[Record]) -> list[Section]:
    """Sections in a fixed order, whatever the order of the records. Raises LungsegError if they conflict."""
    groups: defaultdict[Setting, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.name):
        groups[setting(record)].append(record)
    made = [_section(key, groups[key]) for key in sorted(groups, key=lambda k: (k.suite, -k.protocol, k))]
    found = [section for section, _ in made]
    tables = {section.setting: scores for section, scores in made}
    return [
        replace(
            s,
            gains=counterparts.gains(s, found, tables),
            retrained=counterparts.retrained(s, found, tables),
            beside=_beside(s.setting, groups),
            power=power(s, found),
            scored=scored(s, found),
        )
        for s in found
    ]


def _beside(key: Setting, groups: Mapping[Setting, Sequence[Record]]) -> int:
    own = [r for r in groups[key] if r.ok]
    machines = {_machine(r) for r in own}
    others = {_training(r): r for group in groups.values() for r in group if r.ok and _machine(r) in machines}
    for record in own:
        others.pop(_training(record), None)  # it may stand in another suite, too
    return costs.at_once(own, list(others.values()))


def _training(record: Record) -> tuple[object, ...]:
    return record.weights_sha256, record.finished, record.name


def _machine(record: Record) -> tuple[object, ...]:
    return record.machine.device, record.machine.cpu, record.machine.cores, record.machine.memory_bytes


def setting(record: Record) -> Setting:
    """The table that the record belongs to."""
    cell, on = record.cell, record.machine
    return Setting(
        cell.suite, cell.scored_on, cell.trained_on, cell.size, cell.recipe.partition(":")[0], cell.folds,
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


def _section(key: Setting, records: Sequence[Record]) -> tuple[Section, Mapping[str, Scores]]:
    """The section, without what others say of it, and the scores of its rows."""
    of_each = _names(records)
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for name, record in zip(of_each, records, strict=True):
        groups[name].append(record)
    for name, group in groups.items():
        _each_once(name, group)
    every = {name: t for name, g in sorted(groups.items()) if (t := Scores.of([r for r in g if r.ok]))}
    images = {image for scores in every.values() for image in scores.images}
    complete = {name: scores.complete_seeds(images) for name, scores in every.items()}
    tables = {name: _only(scores, complete[name]) for name, scores in every.items()}
    resamples = drawn(tables)
    rows = [_row(n, tables[n], every[n], resamples[n], key, bool(complete[n])) for n in tables]
    able = [
        r for r in rows
        if complete[r.name] and len(images) >= MIN_IMAGES and r.n_patients >= resampling.MIN_PATIENTS
    ]  # fmt: skip
    able.sort(key=lambda r: (-round(r.dice.value, 12), r.name))
    names = [r.name for r in able]
    pairs = compared(names, tables, resamples)
    found = places(names, pairs, resamples) if names else {}
    rest = sorted((r for r in rows if r.name not in found), key=lambda r: r.name)
    ranked = [replace(r, place=found[r.name]) for r in able]
    section = Section(
        key, (*ranked, *rest), pairs,
        tuple(f for r in [*ranked, *rest] for f in _folds(r.name, tables[r.name])),
        tuple(cells.line(record, name) for name, record in zip(of_each, records, strict=True)),
        tuple(sorted({r.cell.seed for r in records})), ranking(names, found, tables),
        nested(names, tables), variances([r.name for r in able if r.single], tables, resamples),
        at_once=costs.at_once([r for r in records if r.ok]), beside_siblings=beside_siblings(records),
        extra_images=_extra_images(records) if key.besides else 0, mixed=tuple(likeness.unlike(records)),
    )  # fmt: skip
    return section, tables


def _extra_images(records: Sequence[Record]) -> int:
    """The most images of another set that a fold trains on."""
    done = [r for r in records if r.ok]
    own = {image for r in done for image in r.data.truth_pixels}
    return max((len(set(r.split.train) - own) for r in done), default=0)


def _only(scores: Scores, seeds: tuple[int, ...]) -> Scores:
    """The complete seeds' part of a table, so that each image counts as often as any other; else all of it."""
    some = Scores.of([r for r in scores.records if r.cell.seed in seeds])
    return some or scores


def _each_once(name: str, records: Sequence[Record]) -> None:
    """Refuse an image that one seed predicted twice: a mean over such a table would be of nothing."""
    seen = Counter((case.id, r.cell.seed) for r in records for case in r.cases)
    twice = sorted(f"{image} (seed {seed})" for (image, seed), n in seen.items() if n > 1)
    if twice:
        images = ", ".join(twice[:10])
        raise LungsegError(f"{name}: scored more than once: {images}; remove the stale records")


def _row(name: str, scores: Scores, every: Scores, resamples: Resamples, key: Setting, complete: bool) -> Row:
    records = scores.records
    cases = [c for r in records for c in r.cases]
    n_patients = len(set(scores.patients))
    boundary = borders.boundary(cases)
    dice = scores.mean_over_seeds("dice")
    per_seed = resamples.values.mean(axis=1)
    everywhere = int((~np.isnan(scores.values["dice"])).all(axis=0).sum())
    memory = [r.peak_memory_bytes for r in records if r.peak_memory_bytes]
    return Row(
        name=name,
        architecture=records[0].cell.architecture,
        width=records[0].cell.width,
        variant=records[0].cell.variant,
        place=None,
        dice=resampling.interval(resamples.mean, resamples.means, resamples.acceleration, n_patients),
        sd_images=float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
        sd_seeds=float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None,
        images=scores.images,
        patients=scores.patients,
        image_dice=tuple(dice.tolist()),
        best_dice=tuple(np.nanmax(scores.values["dice"], axis=0).tolist()),
        image_hd95=borders.of_images(scores, boundary),
        means={k: float(scores.mean_over_seeds(k).mean()) for k in RATIOS},
        pooled=metrics.pooled(map(vars, cases)),
        boundary=boundary,
        plausible=float(np.mean([c.components == 2 and c.holes == 0 for c in cases])),
        n_empty=sum(c.tp + c.fp + c.fn == 0 for c in cases),
        n_patients=n_patients,
        seeds=scores.seeds,
        left_out=tuple(s for s in every.seeds if s not in scores.seeds),
        cells=(len(records), key.folds * len(scores.seeds)),
        coverage=(everywhere, max(r.data.n for r in records)),
        components=components(scores.values["dice"], scores.folds()) if complete else None,
        parameters=records[0].parameters,
        gmacs=float(records[0].gmacs),
        train_seconds=float(np.median([r.timing.train_seconds for r in records])),
        total_seconds=float(sum(r.timing.total_seconds for r in records)),
        peak_memory_bytes=max(memory) if memory else None,
        trainings=max(r.inputs.networks for r in records),
        views=max(len(r.inputs.views) or 1 for r in records),
        stored=borders.at_stored(scores),
        fixed_split=None if key.across else fixed_split.pooled_dice(key.scored_on, cases),
        calibration=calibration.pooled(records),
    )


def _folds(name: str, scores: Scores) -> list[FoldRow]:
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
                float(np.median([r.timing.train_seconds for r in records])),
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row.seeds, row.fold))
