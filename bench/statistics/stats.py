"""Records -> rows: means, intervals, ranks and paired differences. Numpy only, and no printing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.cell import network, variant_of
from bench.records import costs, members, store
from bench.records.protocols import protocol
from bench.statistics import borders, calibration, counterparts, fixed_split, resampling
from bench.statistics.choice import nested
from bench.statistics.pairs import compared
from bench.statistics.power import power, scored, variances
from bench.statistics.ranking import places, ranking
from bench.statistics.resamples import Resamples, drawn
from bench.statistics.rows import FoldRow, Record, Row, Section, Setting
from bench.statistics.scores import RATIOS, Scores
from bench.statistics.variance import components
from lungseg import metrics
from lungseg.errors import LungsegError

MIN_IMAGES = 20  # fewer are not ranked


def sections(records: Iterable[Record]) -> list[Section]:
    """Sections in a fixed order, whatever the order of the records. Raises LungsegError if they conflict."""
    groups: defaultdict[Setting, list[Record]] = defaultdict(list)
    for record in sorted(records, key=store.cell_name):
        groups[setting(record)].append(record)
    found = [_section(key, groups[key]) for key in sorted(groups, key=lambda k: (k.suite, -k.protocol, k))]
    return [
        replace(
            s,
            gains=counterparts.gains(s, found),
            retrained=counterparts.retrained(s, found),
            beside=_beside(s, found),
            power=power(s, found),
            scored=scored(s, found),
        )
        for s in found
    ]


def _beside(section: Section, sections: Sequence[Section]) -> int:
    own = [r for r in section.records if _ok(r)]
    machines = {_machine(r) for r in own}
    others = {_training(r): r for s in sections for r in s.records if _ok(r) and _machine(r) in machines}
    for record in own:
        others.pop(_training(record), None)  # it may stand in another suite, too
    return costs.at_once(own, list(others.values()))


def _training(record: Record) -> tuple[object, ...]:
    return record.get("weights_sha256"), record.get("finished"), store.cell_name(record)


def _machine(record: Record) -> tuple[object, ...]:
    return tuple(record["machine"].get(key) for key in ("device", "cpu", "cores", "memory_bytes"))


def setting(record: Record) -> Setting:
    """The table that the record belongs to. A failed cell may have met no machine: its inputs tell as much."""
    cell, asked = record["cell"], record.get("inputs") or {}
    machine = record.get("machine") or {**asked, **(asked.get("recipe") or {})}
    height, width = cell["size"]
    backend, device_kind, precision = (
        str(machine.get(k) or "unknown") for k in ("backend", "device_kind", "precision")
    )
    return Setting(
        str(cell["suite"]), str(cell["scored_on"]), str(cell["trained_on"]), (int(height), int(width)),
        str(cell["recipe"]).partition(":")[0], int(cell["folds"]), backend, device_kind, precision, protocol(record),
        asked.get("deterministic") is False,
    )  # fmt: skip


def widths_of(records: Iterable[Record]) -> dict[str, set[int]]:
    """The widths of each architecture."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for record in records:
        found[str(record["cell"]["architecture"])].add(int(record["cell"]["width"]))
    return found


def name_of(record: Record, widths: Mapping[str, set[int]]) -> str:
    """The architecture, with its width where a table holds several of it, and the variant of its recipe."""
    cell = record["cell"]
    return network(cell, f"width {cell['width']}" if len(widths[cell["architecture"]]) > 1 else "")


def _section(key: Setting, records: Sequence[Record]) -> Section:
    widths = widths_of(records)
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[name_of(record, widths)].append(record)
    for name, group in groups.items():
        _each_once(name, group)
    every = {name: t for name, g in sorted(groups.items()) if (t := Scores.of([r for r in g if _ok(r)]))}
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
    return Section(
        key, (*ranked, *rest), pairs,
        tuple(f for r in [*ranked, *rest] for f in _folds(r.name, tables[r.name])),
        tuple(r for r in records if not _ok(r)), tuple(records),
        tuple(sorted({int(r["cell"]["seed"]) for r in records})), ranking(names, found, tables),
        nested(names, tables), variances([r.name for r in able if r.single], tables, resamples),
    )  # fmt: skip


def _only(scores: Scores, seeds: tuple[int, ...]) -> Scores:
    """The complete seeds' part of a table, so that each image counts as often as any other; else all of it."""
    some = Scores.of([r for r in scores.records if int(r["cell"]["seed"]) in seeds])
    return some or scores


def _ok(record: Record) -> bool:
    return record["status"] == "ok" and bool(record["cases"])


def _each_once(name: str, records: Sequence[Record]) -> None:
    """Refuse an image that one seed predicted twice: a mean over such a table would be of nothing."""
    seen = Counter((case["id"], r["cell"]["seed"]) for r in records for case in r["cases"])
    twice = sorted(f"{image} (seed {seed})" for (image, seed), n in seen.items() if n > 1)
    if twice:
        images = ", ".join(twice[:10])
        raise LungsegError(f"{name}: scored more than once: {images}; remove the stale records")


def _row(name: str, scores: Scores, every: Scores, resamples: Resamples, key: Setting, complete: bool) -> Row:
    records = scores.records
    cases = [c for r in records for c in r["cases"]]
    for case in cases:
        metrics.check_identities(case)  # raises: a table of inconsistent numbers is worse than none
    n_patients = len(set(scores.patients))
    boundary = borders.boundary(cases)
    dice = scores.mean_over_seeds("dice")
    per_seed = resamples.values.mean(axis=1)
    everywhere = int((~np.isnan(scores.values["dice"])).all(axis=0).sum())
    memory = [r["peak_memory_bytes"] for r in records if r.get("peak_memory_bytes")]
    return Row(
        name=name,
        architecture=str(records[0]["cell"]["architecture"]),
        width=int(records[0]["cell"]["width"]),
        variant=variant_of(records[0]["cell"]),
        place=None,
        dice=resampling.interval(resamples.mean, resamples.means, resamples.acceleration, n_patients),
        sd_images=float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
        sd_seeds=float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None,
        images=scores.images,
        patients=scores.patients,
        image_dice=tuple(dice.tolist()),
        image_hd95=borders.of_images(scores, boundary),
        means={k: float(scores.mean_over_seeds(k).mean()) for k in RATIOS},
        pooled=metrics.pooled(cases),
        boundary=boundary,
        plausible=float(np.mean([c["components"] == 2 and c["holes"] == 0 for c in cases])),
        n_empty=sum(c["tp"] + c["fp"] + c["fn"] == 0 for c in cases),
        n_patients=n_patients,
        seeds=scores.seeds,
        left_out=tuple(s for s in every.seeds if s not in scores.seeds),
        cells=(len(records), key.folds * len(scores.seeds)),
        coverage=(everywhere, max(int(r["data"]["n"]) for r in records)),
        components=components(scores.values["dice"], scores.folds()) if complete else None,
        parameters=int(records[0]["parameters"]),
        gmacs=float(records[0]["gmacs"]),
        train_seconds=float(np.median([r["timing"]["train_seconds"] for r in records])),
        total_seconds=float(sum(r["timing"]["total_seconds"] for r in records)),
        peak_memory_bytes=max(memory) if memory else None,
        trainings=max(members.networks(r) for r in records),
        views=max(members.views(r) for r in records),
        stored=borders.at_stored(scores),
        fixed_split=None if key.across else fixed_split.pooled_dice(key.scored_on, cases),
        calibration=calibration.pooled(records),
    )


def _folds(name: str, scores: Scores) -> list[FoldRow]:
    groups: defaultdict[tuple[int, frozenset[str]], list[Record]] = defaultdict(list)
    for r in scores.records:  # seeds that split alike share a line
        groups[int(r["cell"]["fold"]), frozenset(c["id"] for c in r["cases"])].append(r)
    rows = []
    for (fold, images), records in groups.items():
        dice = np.array([c["dice"] for r in records for c in r["cases"]])
        rows.append(
            FoldRow(
                name, fold, tuple(sorted({int(r["cell"]["seed"]) for r in records})), len(images), float(dice.mean()),
                float(dice.std(ddof=1)) if len(dice) > 1 else 0.0,
                tuple(int(r["best_epoch"]) for r in members.trainings(records)),
                tuple(len(r["history"]["loss"]) for r in members.trainings(records)),
                float(np.median([r["timing"]["train_seconds"] for r in records])),
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row.seeds, row.fold))
