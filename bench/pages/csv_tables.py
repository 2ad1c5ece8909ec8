"""The long tables of a suite as CSV, for further analysis; pages hold what a person reads. `KINDS` names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.names import file_slug
from bench.pages import answers, completeness, provenance
from bench.records import store
from bench.records.results import Results
from bench.statistics import hard_images, subgroups
from bench.statistics.resampling import Interval
from bench.statistics.rows import TARGETS, Boundary, Leaderboard, Row
from bench.statistics.subgroups import Subgroups
from bench.suites import THREE
from lungseg import csv_file

Line = dict[str, str]


def name(suite: str, kind: str) -> str:
    """Where a table lies, from the results folder: ``tables/quick/rows.csv``, ``pairs/quick.csv``."""
    return f"pairs/{file_slug(suite)}.csv" if kind == "pairs" else f"tables/{file_slug(suite)}/{kind}.csv"


def lines(leaderboards: Sequence[Leaderboard], known: Sequence[Subgroups]) -> dict[str, list[Line]]:
    """The tables that have a line, by kind. known: of each leaderboard, its groups of patients."""
    result: dict[str, list[Line]] = {}
    for kind, (_, of) in KINDS.items():
        for leaderboard, groups in zip(leaderboards, known, strict=True):
            key = leaderboard.conditions
            where = {
                "protocol": str(key.protocol), "machine": key.machine, "size": f"{key.size[0]}x{key.size[1]}",
                "recipe": key.recipe,
            }  # fmt: skip
            for line in of(leaderboard, groups):
                result.setdefault(kind, []).append(where | line)
    return result


def write(results: Results, suite: str, result: Mapping[str, list[Line]]) -> list[Path]:
    """Write the tables of `lines`, remove those that have no line any more; return the paths of the former."""
    written = []
    for kind in KINDS:
        path = results.root / name(suite, kind)
        if kind not in result:
            path.unlink(missing_ok=True)
            continue
        columns = list(dict.fromkeys(column for line in result[kind] for column in line))
        store.write_text(path, csv_file.text(columns, result[kind]))
        written.append(path)
    return written


def _number(value: float | None, digits: int = 6) -> str:
    """A number a spreadsheet reads; empty where there is none."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.{digits}g}" if math.isfinite(value) else "inf"


def _interval(prefix: str, result: Interval) -> Line:
    return {prefix: _number(result.value), f"{prefix}_low": _number(result.low), f"{prefix}_high": _number(result.high)}


def _rows(leaderboard: Leaderboard) -> Iterable[Line]:
    rising = {row.name: f"{rose} of {cells}" for row, rose, cells in answers.rising(leaderboard)}
    for row in leaderboard.rows:
        place = row.rank_stats
        line = {
            "name": row.name,
            "architecture": row.architecture,
            "width": str(row.width),
            "variant": row.variant,
            "seeds": " ".join(map(str, row.seeds)),
            "cells": str(row.cells[0]),
            "cells_wanted": str(row.cells[1]),
            "images": str(len(row.images)),
            "patients": str(row.n_patients),
            "rank": str(place.rank) if place else "",
            "rank_last": str(place.last) if place else "",
            "ties": place.group if place else "",
            "p_best": _number(place.best) if place else "",
            **_interval("dice", row.dice),
            "first_dice_on_these_images": _number(completeness.of_the_first(leaderboard, row)),
            "sd_images": _number(row.sd_images),
            "sd_seeds": _number(row.sd_seeds),
        }
        line |= {f"mean_{key}": _number(value) for key, value in row.means.items()}
        line |= {f"pooled_{key}": _number(value, 12) for key, value in row.pooled.items()}
        line |= _boundary("", row.boundary)
        if row.stored:
            line |= {"stored_dice": _number(row.stored.dice), **_boundary("stored_", row.stored.boundary)}
        line |= {
            "two_components": _number(row.two_component_rate),
            "both_empty": str(row.n_empty),
            "fixed_split_dice": _number(row.fixed_split),
            **_failures(row),
            "parameters": str(row.parameters),
            "gmacs": _number(row.gmacs),
            "train_seconds": _number(row.train_seconds),
            "timed_by": "processor" if leaderboard.processor_time else "clock",
            **{f"seconds_to_{dice}": _number(row.seconds_to[dice]) if row.seconds_to else "" for dice in TARGETS},
            "total_seconds": _number(row.total_seconds),
            "peak_memory_bytes": str(row.peak_memory_bytes or ""),
            "not_converged": rising.get(row.name, ""),
        }
        if c := row.variance_components:
            parts = {"image": c.image, "fold": c.fold, "seed": c.seed, "rest": c.residual}
            line |= {f"sd_{source}": _number(value) for source, value in parts.items()}
        if place and place.schemes:
            line |= {f"rank_{scheme.replace('-', '_')}": _number(rank) for scheme, rank in place.schemes.items()}
            line |= {f"dice_target_{px:+d}px": _number(dice) for px, dice in row.tolerance_dice.items() if px}
        yield line


def _boundary(prefix: str, b: Boundary) -> Line:
    values = {
        f"hd95_median_{b.unit}": b.hd95_median,
        f"hd95_mean_{b.unit}": b.hd95_mean,
        f"assd_median_{b.unit}": b.assd_median,
        f"assd_mean_{b.unit}": b.assd_mean,
        "nsd_mean": b.nsd_mean,
        "infinite": b.n_inf,
    }
    return {f"{prefix}{key}": _number(value) for key, value in values.items()}


def _failures(row: Row) -> Line:
    result, probabilities = hard_images.failures(row), row.calibration
    return {
        f"images_dice_below_{hard_images.LOW}": str(result.low),
        f"images_hd95_above_{hard_images.FAR_MM:.0f}mm": "" if result.far is None else str(result.far),
        "dice_worst_5_percent": _number(result.worst),
        "ece": _number(probabilities.ece) if probabilities else "",
        "brier": _number(probabilities.brier) if probabilities else "",
    }


def _pairs(leaderboard: Leaderboard) -> Iterable[Line]:
    """difference: of mean Dice, first minus second, with its 95 % interval; probability_of_improvement: P(first >
    second) on an image; p_apart_holm: of a difference of the margin or more; verdict: of the first against the
    second."""
    for pair in leaderboard.pairs:
        d = pair.difference
        yield {
            "first": pair.first,
            "second": pair.second,
            "difference": f"{d.value:.6f}",
            "low": f"{d.low:.6f}",
            "high": f"{d.high:.6f}",
            "probability_of_improvement": f"{pair.probability_of_improvement:.4f}",
            "p": f"{pair.p_value:.3g}",
            "p_holm": f"{pair.p_holm:.3g}",
            "p_apart_holm": f"{pair.p_apart_holm:.3g}",
            "wilcoxon": f"{pair.wilcoxon:.3g}",
            "verdict": pair.verdict,
            "generalises_over_seeds": "yes" if pair.generalises_over_seeds else "no",
        }


def _measures(leaderboard: Leaderboard) -> Iterable[Line]:
    """table: ``all`` rows, or the three ``original`` networks as a table of their own, where others were ranked too."""
    own = leaderboard.originals if len(leaderboard.ranked) > len(THREE) else {}
    tables = [("all", *item) for item in leaderboard.by_measure.items()]
    tables += [("original", *item) for item in own.items()]
    for of, measure, pairs in tables:
        for p in pairs:
            yield {
                "table": of, "measure": measure, "first": p.first, "second": p.second,
                **_interval("difference", p.difference),
                "p_holm": _number(p.p_holm, 3), "p_apart_holm": _number(p.p_apart_holm, 3), "verdict": p.verdict,
            }  # fmt: skip


def _folds(leaderboard: Leaderboard) -> Iterable[Line]:
    for f in leaderboard.folds:
        yield {
            "name": f.name,
            "fold": str(f.fold),
            "seeds": " ".join(map(str, f.seeds)),
            "images": str(f.n),
            "dice": _number(f.dice),
            "sd_images": _number(f.sd_images),
            "best_epochs": " ".join(str(e + 1) for e in f.best_epochs),
            "epochs": " ".join(map(str, f.epochs)),
            "train_seconds": _number(f.train_seconds),
        }


def _images(leaderboard: Leaderboard) -> Iterable[Line]:
    """A line an image: the Dice of each row, then its HD95; empty where a row lacks the image."""
    of_row = {r.name: dict(zip(r.images, zip(r.image_dice, r.image_hd95, strict=True), strict=True))
              for r in leaderboard.rows}  # fmt: skip
    for image in sorted({image for r in leaderboard.rows for image in r.images}):
        line = {"image": image}
        for at, what in enumerate(("dice", "hd95")):
            for row, result in of_row.items():
                line[f"{what} {row}"] = _number(result[image][at], 5) if image in result else ""
        yield line


def _machines(leaderboard: Leaderboard) -> Iterable[Line]:
    for c in leaderboard.cross_machine:
        yield {
            "name": c.name, "other_suite": c.suite, "other_machine": c.machine, "dice": _number(c.dice),
            "other_dice": _number(c.other_dice), **_interval("difference", c.pair.difference),
            "p_holm": _number(c.pair.p_holm, 3), "verdict": c.pair.verdict,
        }  # fmt: skip


def _groups(_: Leaderboard, known: Subgroups) -> Iterable[Line]:
    for attribute, groups in known.items():
        for group, result in groups.items():
            for row in result["dice"]:
                gap = result["gap"].get(row)
                yield {
                    "by": attribute,
                    "group": group,
                    "images": str(result["n"]),
                    "name": row,
                    **_interval("dice", subgroups.stored_interval(result["dice"][row])),
                    **(_interval("gap_to_first", subgroups.stored_interval(gap)) if gap else {}),
                }


KINDS: Mapping[str, tuple[str, Callable[[Leaderboard, Subgroups], Iterable[Line]]]] = {
    "rows": ("every number of every row", lambda leaderboard, _: _rows(leaderboard)),
    "pairs": ("every pair with its tests", lambda leaderboard, _: _pairs(leaderboard)),
    "measures": ("the same pairs by other measures", lambda leaderboard, _: _measures(leaderboard)),
    "folds": ("a line a fold", lambda leaderboard, _: _folds(leaderboard)),
    "images": ("a line an image", lambda leaderboard, _: _images(leaderboard)),
    "groups": ("groups of patients, with gaps", _groups),
    "machines": ("the same trainings on another machine", lambda leaderboard, _: _machines(leaderboard)),
    "cells": ("every record, with hashes, machine and source", lambda leaderboard, _: provenance.lines(leaderboard)),
}
