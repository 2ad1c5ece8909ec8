"""Records -> rows: means, intervals, ranks and paired differences. Numpy only, and no printing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import resampling
from bench.resampling import Floats
from bench.rows import Boundary, FoldRow, Pair, Record, Row, Section, Setting
from bench.scores import RATIOS, Scores
from lungseg import metrics
from lungseg.errors import LungsegError

MIN_IMAGES = 20  # fewer are not ranked
MIN_SEEDS = 3  # fewer say something about these weights, not about the method
ALL_PAIRS = 16  # above this many rows only neighbours are compared


def sections(records: Iterable[Record]) -> list[Section]:
    """Sections in a fixed order, whatever the order of the records. Raises LungsegError if they conflict."""
    groups: defaultdict[Setting, list[Record]] = defaultdict(list)
    for record in sorted(records, key=cell_id):
        groups[setting(record)].append(record)
    return [_section(key, groups[key]) for key in sorted(groups)]


def cell_id(record: Record) -> str:
    """``unet.montgomery.f0.s0``: the name of the record's file."""
    cell = record["cell"]
    return f"{cell['architecture']}.{cell['scored_on']}.f{cell['fold']}.s{cell['seed']}"


def setting(record: Record) -> Setting:
    """The table that the record belongs to. A failed cell may have met no machine: its inputs tell as much."""
    cell, asked = record["cell"], record.get("inputs") or {}
    machine = record.get("machine") or {**asked, **(asked.get("recipe") or {})}
    height, width = cell["size"]
    return Setting(
        str(cell["suite"]), str(cell["scored_on"]), str(cell["trained_on"]), (int(height), int(width)),
        str(cell["recipe"]), int(cell["folds"]),
        *(str(machine.get(k) or "unknown") for k in ("backend", "device_kind", "precision")),
    )  # fmt: skip


def name_of(record: Record, widths: set[int]) -> str:
    """The architecture, with its width where a table holds several of them."""
    name = str(record["cell"]["architecture"])
    return name if len(widths) == 1 else f"{name} (width {record['cell']['width']})"


def _section(key: Setting, records: Sequence[Record]) -> Section:
    widths = {int(r["cell"]["width"]) for r in records}
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[name_of(record, widths)].append(record)
    for name, group in groups.items():
        _each_once(name, group)
    seeds = tuple(sorted({int(r["cell"]["seed"]) for r in records}))
    tables = {name: t for name, g in sorted(groups.items()) if (t := Scores.of([r for r in g if _ok(r)]))}
    weights = _weights(tables)
    rows = [_row(name, tables[name], weights[name], key, seeds) for name in tables]
    rows, pairs = _ranked(rows, tables, weights, seeds)
    return Section(
        key, tuple(rows), tuple(pairs),
        tuple(f for row in rows for f in _folds(row.name, tables[row.name])),
        tuple(r for r in records if not _ok(r)), tuple(records), seeds,
        resampling.detectable(float(np.median([p.sd for p in pairs])), rows[0].n_patients) if pairs else None,
    )  # fmt: skip


def _ok(record: Record) -> bool:
    return record["status"] == "ok" and bool(record["cases"])


def _each_once(name: str, records: Sequence[Record]) -> None:
    """Refuse an image that one seed predicted twice: a mean over such a table would be of nothing."""
    seen = Counter((case["id"], r["cell"]["seed"]) for r in records for case in r["cases"])
    twice = sorted(f"{image} (seed {seed})" for (image, seed), n in seen.items() if n > 1)
    if twice:
        images = ", ".join(twice[:10])
        raise LungsegError(f"{name}: scored more than once: {images}; remove the stale records")


@dataclass(frozen=True)
class Weights:
    """Resampling weights of one table, and where its images stand in them."""

    patient: npt.NDArray[np.intp]
    patients: Floats
    means: Floats  # (resamples,) of Dice


def _weights(tables: Mapping[str, Scores]) -> dict[str, Weights]:
    drawn: dict[int, Floats] = {}
    result = {}
    for name, scores in tables.items():
        # sorted, so that rows with the same patients share their resamples whatever the order of images
        names, patient = np.unique(np.array(scores.patients), return_inverse=True)
        patients = drawn.setdefault(len(names), resampling.patient_weights(len(names)))
        # an incomplete table has no rectangle of seeds to draw from: patients only, and the page says so
        values = scores.values["dice"] if scores.full() else scores.mean_over_seeds("dice")[None]
        seeds = resampling.seed_weights(name, len(values))
        means = resampling.resampled_means(values, patient, patients, seeds)
        result[name] = Weights(patient, patients, means)
    return result


def _row(name: str, scores: Scores, weights: Weights, key: Setting, seeds: tuple[int, ...]) -> Row:
    records = scores.records
    cases = [c for r in records for c in r["cases"]]
    for case in cases:
        metrics.check_identities(case)  # raises: a table of inconsistent numbers is worse than none
    dice = scores.mean_over_seeds("dice")
    per_seed = np.nanmean(scores.values["dice"], axis=1)
    everywhere = int((~np.isnan(scores.values["dice"])).all(axis=0).sum()) if scores.seeds == seeds else 0
    memory = [r["peak_memory_bytes"] for r in records if r.get("peak_memory_bytes")]
    return Row(
        name=name,
        architecture=str(records[0]["cell"]["architecture"]),
        width=int(records[0]["cell"]["width"]),
        rank=None,
        dice=resampling.interval(float(dice.mean()), weights.means),
        sd_images=float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
        sd_seeds=float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None,
        images=scores.images,
        image_dice=tuple(dice.tolist()),
        image_hd95=tuple(scores.mean_over_seeds("hd95_mm").tolist()),
        means={k: float(scores.mean_over_seeds(k).mean()) for k in RATIOS},
        pooled=metrics.pooled(cases),
        boundary=_boundary(cases),
        plausible=float(np.mean([c["components"] == 2 and c["holes"] == 0 for c in cases])),
        n_empty=sum(c["tp"] + c["fp"] + c["fn"] == 0 for c in cases),
        n_patients=len(set(scores.patients)),
        seeds=scores.seeds,
        cells=(len(records), key.folds * len(seeds)),
        coverage=(everywhere, max(int(r["data"]["n"]) for r in records)),
        parameters=int(records[0]["parameters"]),
        gmacs=float(records[0]["gmacs"]),
        train_seconds=float(np.median([r["timing"]["train_seconds"] for r in records])),
        total_seconds=float(sum(r["timing"]["total_seconds"] for r in records)),
        peak_memory_bytes=max(memory) if memory else None,
    )


def _boundary(cases: Sequence[Mapping[str, Any]]) -> Boundary:
    units = sorted({str(c["distance_unit"]) for c in cases})
    if len(units) > 1:
        raise LungsegError("distances in mm and px cannot share a mean: give every image a spacing, or none")
    hd95 = [c["hd95_mm"] for c in cases if c["hd95_mm"] is not None]
    assd = [c["assd_mm"] for c in cases if c["assd_mm"] is not None]
    return Boundary(
        unit=units[0],
        hd95_mean=float(np.mean(hd95)) if hd95 else float("nan"),
        hd95_median=float(np.median(hd95)) if hd95 else float("nan"),
        assd_mean=float(np.mean(assd)) if assd else float("nan"),
        nsd_mean=float(np.mean([c["nsd_2mm"] for c in cases])),
        n=len(cases),
        n_inf=len(cases) - len(hd95),
    )


def _ranked(
    rows: Sequence[Row],
    tables: Mapping[str, Scores],
    weights: Mapping[str, Weights],
    seeds: tuple[int, ...],
) -> tuple[list[Row], list[Pair]]:
    """Rows by rank, equal means sharing one, then rows on other images than the rest; and the pairs."""
    union = {image for row in rows for image in row.images}
    able = [
        r
        for r in rows
        if len(union) >= MIN_IMAGES and set(r.images) == union and r.seeds == seeds and tables[r.name].full()
    ]
    able.sort(key=lambda r: (-round(r.dice.value, 12), r.name))
    values = [round(r.dice.value, 12) for r in able]
    ranked = [replace(r, rank=values.index(v) + 1) for r, v in zip(able, values, strict=True)]
    names = [r.name for r in ranked]
    ahead = len(names) if len(names) <= ALL_PAIRS else 2
    couples = [(a, b) for i, a in enumerate(names) for b in names[i + 1 : i + ahead]]
    pairs = _compared(couples, tables, weights) if couples else []
    corrected = resampling.holm([p.p_value for p in pairs])
    rest = sorted((r for r in rows if r.name not in names), key=lambda r: r.name)
    return [*ranked, *rest], [replace(p, p_holm=q) for p, q in zip(pairs, corrected, strict=True)]


def _compared(
    couples: Sequence[tuple[str, str]], tables: Mapping[str, Scores], weights: Mapping[str, Weights]
) -> list[Pair]:
    """The pairs of rows that share their images, so also the patients' order and resamples."""
    one = weights[couples[0][0]]
    n = one.patients.shape[1]
    if n < 2:
        return []  # one patient's images say nothing of another's
    sizes = np.bincount(one.patient, minlength=n)
    wins = np.array([_wins(tables[a].values["dice"], tables[b].values["dice"]) for a, b in couples])
    resampled = resampling.resampled_rows(wins, one.patient, one.patients)
    pairs = []
    for (first, second), won, again in zip(couples, wins, resampled, strict=True):
        difference = tables[first].mean_over_seeds("dice") - tables[second].mean_over_seeds("dice")
        per_patient = resampling.by_patient(difference, one.patient, n) / sizes
        p = resampling.wilcoxon(per_patient)
        between = resampling.interval(float(difference.mean()), weights[first].means - weights[second].means)
        superiority = resampling.interval(float(won.mean()), again)
        pairs.append(Pair(first, second, between, superiority, float(per_patient.std(ddof=1)), p, p))
    return pairs


def _wins(a: Floats, b: Floats) -> Floats:
    """(images,) chance that any seed of (seeds, images) `a` beats any seed of `b`, ties half."""
    left, right = a[:, None], b[None]
    return np.asarray(((left > right) + 0.5 * (left == right)).mean(axis=(0, 1)))


def _folds(name: str, scores: Scores) -> list[FoldRow]:
    rows = []
    for fold in sorted({int(r["cell"]["fold"]) for r in scores.records}):
        records = [r for r in scores.records if r["cell"]["fold"] == fold]
        dice = np.array([c["dice"] for r in records for c in r["cases"]])
        rows.append(
            FoldRow(
                name, fold, len({c["id"] for r in records for c in r["cases"]}), float(dice.mean()),
                float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
                tuple(int(r["best_epoch"]) for r in records),
                tuple(len(r["history"]["loss"]) for r in records),
                float(np.median([r["timing"]["train_seconds"] for r in records])),
            )
        )  # fmt: skip
    return rows


def hardest(section: Section, n: int = 10) -> list[tuple[str, float, list[tuple[str, float, float]]]]:
    """Images of lowest Dice, averaged over the rows that share them: (image, mean, [(row, Dice, HD95)])."""
    rows = [r for r in section.rows if r.images == section.rows[0].images]
    if not rows:
        return []
    images = rows[0].images
    mean = np.mean([r.image_dice for r in rows], axis=0)
    order = sorted(range(len(mean)), key=lambda i: (round(float(mean[i]), 12), images[i]))[:n]
    return [(images[i], float(mean[i]), [(r.name, r.image_dice[i], r.image_hd95[i]) for r in rows]) for i in order]
