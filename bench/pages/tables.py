"""The two tables of every leaderboard, accuracy and cost. Numbers never wrap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from bench import verdict_words
from bench.markdown import (
    NONE,
    distance,
    duration,
    escape,
    listed,
    millions,
    ratio,
    shown,
    table,
    unbroken,
    with_interval,
)
from bench.names import display
from bench.speed.throughput_table import ThroughputTable, number, unreliable
from bench.statistics.rows import TARGETS, Leaderboard, Row
from bench.statistics.scores import common_unit
from bench.statistics.verdicts import MARGIN
from bench.verdict_words import FEW, FEW_MEANS
from lungseg.metrics import METRICS
from lungseg.metrics.table import Metric

DIGITS = 3  # of Dice: the half-width of its interval is about 0.003
NAME = 24  # letters of a network's name that leave room for all columns
FINE = 4  # of differences, which are paired and ten times as sure
NEVER = "never"
ROUGH = "~"  # before a rate that was not steady
ELSEWHERE = "†"  # after a time that another processor took


def difference(leaderboard: Leaderboard, row: Row) -> str:
    """Dice minus the best's on the same patients, with the interval of the pair."""
    pair = leaderboard.pair_with_best(row)
    return unbroken(with_interval(pair.difference, FINE, sign=True)) if pair else NONE


def accuracy(leaderboard: Leaderboard, rows: Sequence[Row], seeds: bool = False) -> str:
    """Mean Dice with its interval, the verdict against the best, borders at the stored size where any row was scored
    there, and two lungs. seeds: whether their number is shown, too."""
    stored = any(r.stored for r in rows)
    short = max((len(display(r.name)) for r in rows), default=0) <= NAME
    unit = common_unit(leaderboard.rows)
    headers = ["Network", *(["Seeds"] if seeds else []), "Dice [95 %]", "Verdict", "Difference [95 %]",
               *([m.column.format(unit=unit) for m in _columns()] if stored else []),
               *(["Two lungs"] if short else [])]  # fmt: skip
    body = [
        [
            shown(r.name),
            *([str(len(r.seeds))] if seeds else []),
            unbroken(with_interval(r.dice, DIGITS)),
            unbroken(verdict_words.of_row(leaderboard, r)),
            difference(leaderboard, r),
            *(_border(r) if stored else []),
            *([unbroken(f"{100 * r.two_component_rate:.0f} %")] if short else []),
        ]
        for r in rows
    ]
    return table([unbroken(h) for h in headers], body, left=1)


def _border(row: Row) -> list[str]:
    if row.stored is None:
        return [NONE for _ in _columns()]
    values = ((m, row.stored.columns[m.name]) for m in _columns())
    return [distance(value) if m.unit == "mm" else ratio(value, DIGITS) for m, value in values]


def _columns() -> list[Metric]:
    """The metrics that have a column, at the stored size of each mask."""
    return [metric for metric in METRICS.values() if metric.column]


def _size(leaderboard: Leaderboard, row: Row) -> list[str]:
    mark = ELSEWHERE * (row.name in _elsewhere(leaderboard))
    return [unbroken(millions(row.parameters)), unbroken(duration(row.train_seconds)) + mark]


def costs(leaderboard: Leaderboard, rows: Sequence[Row], measured: Sequence[ThroughputTable]) -> str:
    """Overlap in other measures beside what a row costs."""
    level, timed = TARGETS[0], any(r.seconds_to for r in rows)
    headers = ["Network", "Seeds", "IoU", "Precision", "Recall", "Accuracy", "Params", "Training",
               *([f"To {level}"] if timed else []), "Images/s"]  # fmt: skip
    body = [
        [shown(r.name), str(len(r.seeds)),
         *(ratio(r.means[k], DIGITS) for k in ("iou", "precision", "recall", "accuracy")), *_size(leaderboard, r),
         *([unbroken(time_to(r.seconds_to.get(level)))] if timed else []), rate(leaderboard, r, measured)]
        for r in rows
    ]  # fmt: skip
    return table([unbroken(h) for h in headers], body, left=1)


def time_to(seconds: float | None) -> str:
    """The time of training to a level of validation Dice: ``never`` where half of the trainings or more did not reach
    it."""
    if seconds is None:
        return NONE
    return duration(seconds) if math.isfinite(seconds) else NEVER


def rate(leaderboard: Leaderboard, row: Row, measured: Sequence[ThroughputTable]) -> str:
    """Images per second of inference under the leaderboard's conditions, where that was measured; ``~118`` where the
    rate was not steady or the machine had other work."""
    key = leaderboard.conditions
    for m in measured:
        if m.is_of(key):
            result = m.of(row.architecture, row.width) if row.single else None
            value = number(result, "inference_images_per_second") if result else math.nan
            if result and value > 0:
                return ROUGH * bool(unreliable(result)) + (f"{value:.3g}" if value < 1000 else f"{value:.0f}")
    return NONE


def _costs_explained(leaderboard: Leaderboard, rows: Sequence[Row]) -> str:
    """What the times and rates of the table of costs are."""
    times = [row.seconds_to[TARGETS[0]] for row in rows if row.seconds_to]
    never = f" ({NEVER}: half of the trainings or more did not)" * any(math.isinf(time) for time in times)
    level = f", and until the validation Dice reached {TARGETS[0]}{never}" * bool(times)
    clock = "processor time" if leaderboard.processor_time else "time"
    one = "fold and seed" if leaderboard.conditions.folds > 1 else "training"
    return (
        f" Training: {clock} of one {one}{level}{_trained_on(leaderboard, rows)}. Images/s: inference, on the"
        f" device that SPEED.md names, {ROUGH} where it was not steady."
    )


def _trained_on(leaderboard: Leaderboard, rows: Sequence[Row]) -> str:
    """The processor whose time the table gives, and of what rows that of others cannot be compared with it."""
    if not leaderboard.processor_time:
        return ""
    others = _elsewhere(leaderboard)
    local = {_processor(leaderboard, row) for row in rows if row.name not in others}
    marked = sorted({others[row.name] for row in rows if row.name in others})
    apart = f" ({ELSEWHERE} on {escape(listed(marked))}: not comparable)" if marked else ""
    return f"; on {escape(listed(sorted(local)))}{apart}" if local else apart


def _elsewhere(leaderboard: Leaderboard) -> dict[str, str]:
    """The rows that were not trained on the processor of most rows, with theirs; none where times are the clock's."""
    if not leaderboard.processor_time:
        return {}
    of_row = {row.name: _processor(leaderboard, row) for row in leaderboard.rows}
    (most, _), *_ = Counter(of_row.values()).most_common(1)
    return {name: processor for name, processor in of_row.items() if processor != most}


def _processor(leaderboard: Leaderboard, row: Row) -> str:
    return listed(sorted({cell.made_with["processor"] for cell in leaderboard.cells_of(row)}) or ["unknown"])


def notes(leaderboard: Leaderboard, rows: Sequence[Row], with_costs: bool = True) -> str:
    """Explanation of the columns of the tables, and their footnotes. with_costs: whether the second is shown, too."""
    px = f"{leaderboard.conditions.size[0]} px"
    at = f"Means over patients at {px}"
    if any(r.stored for r in rows):
        unit = common_unit(leaderboard.rows)
        at += f"; HD95 (median over predictions) and NSD (within 2 {unit}) at each mask's original size"
    several = ", intervals are not" * (len(leaderboard.pairs) > 1)
    costs = _costs_explained(leaderboard, rows) * with_costs
    parts = [
        f"{at}. Verdict and difference: against the best, equivalent within {MARGIN} Dice; verdicts are corrected for"
        f" all pairs{several}. Two lungs: share of predictions of two components without a hole.{costs} {NONE}: not"
        " measured, or the best itself. [Definitions](METHODS.md)."
    ]
    return " ".join([*parts, *footnotes(leaderboard, rows)])


def footnotes(leaderboard: Leaderboard, rows: Sequence[Row]) -> list[str]:
    """What the footnote of the table of accuracy means, where a row carries it, and which rows' seeds vary more."""
    few = [FEW_MEANS] * any(FEW in verdict_words.of_row(leaderboard, row) for row in rows)
    return [*few, *(_varies(leaderboard, row) for row in rows if row.name in leaderboard.outlying_seeds)]


def _varies(leaderboard: Leaderboard, row: Row) -> str:
    others = [r.sd_seeds for r in leaderboard.ranked if r.sd_seeds and r.name not in leaderboard.outlying_seeds]
    largest = f", against {max(others):.4f} at most" if others else ""
    return (
        f"Seeds of {shown(row.name)} vary more than those of the other rows (SD {row.sd_seeds:.4f}{largest}):"
        " its differences are tested by its own variance, those of the others without it."
    )
