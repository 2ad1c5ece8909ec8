"""The ablation: variants of a recipe against the whole recipe, image by image."""

from __future__ import annotations

from collections.abc import Callable

from bench.markdown import NONE, escape, p_value, paragraph, table, with_interval
from bench.names import display
from bench.pages.tables import describe, unbroken
from bench.statistics.pairs import corrected
from bench.statistics.rows import Leaderboard, Pair, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, UNKNOWN, WORSE
from lungseg import recipes

MOST_NAMED = 4


def answer(leaderboard: Leaderboard, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """The first screen's question and answer; empty where the leaderboard holds no variant of its recipe."""
    result = [(row, pair) for row, _, pair in _against_the_whole(leaderboard) if pair]
    if not result:
        return []
    one = len({row.architecture for row, _ in result}) == 1
    named = [
        (name(row.variant if one else row.name), seen.difference.value, seen.verdict)
        for row, pair in result
        for seen in [pair.seen_from(row.name)]
    ]
    numbered = {verdict: [f"{what} {d:+.4f}" for what, d, v in named if v == verdict] for verdict in (BETTER, WORSE)}
    rest = {verdict: [what for what, _, v in named if v == verdict] for verdict in (EQUIVALENT, UNKNOWN)}
    numbered |= {v: some if len(some) <= MOST_NAMED else [f"{len(some)} others"] for v, some in rest.items()}
    text = "; ".join(f"{verdict}: {', '.join(some)}" for verdict, some in numbered.items() if some)
    explained = [f"{gloss[0].upper()}{gloss[1:]}." for gloss in recipes.glosses(row.variant for row, _ in result)]
    return [
        ("What does each ingredient contribute?", " ".join([f"By Dice, against the whole recipe, {text}.", *explained]))
    ]


def ablation(leaderboard: Leaderboard, brief: bool = False) -> list[str]:
    """Blocks; empty where the leaderboard holds no variant of its recipe. brief: the table alone."""
    rows = [_row(leaderboard, row, whole, pair) for row, whole, pair in _against_the_whole(leaderboard)]
    headers = ["Network", "Changed", "Against the whole", "p, Holm", "Verdict", "Validation"]
    note = (
        f"Recipe {escape(leaderboard.conditions.recipe)} with one thing changed, on the same folds and images; p is "
        f"corrected"
        " for these comparisons. Validation: the difference on the images that chose the weights, and in how many"
        " trainings it is above 0: use it to choose, because the highest score on test images is biased upwards."
    )
    changes = (f"{name}: {what}" for name, what in recipes.meanings(row.variant for row in leaderboard.rows).items())
    meanings = paragraph(f"What each changes: {'; '.join(changes)}.")
    notes = [] if brief else [paragraph(note), meanings]
    return ["### What each ingredient contributes", table(headers, rows, left=2), *notes] if rows else []


def _validation(leaderboard: Leaderboard, row: Row, whole: Row) -> str:
    """``+0.0026, 5 of 5``: of the trainings of the same fold and seed that both rows have."""
    kept = [
        {(c.fold, c.seed): c.kept_dice for c in leaderboard.cells_of(of) if c.kept_dice is not None}
        for of in (row, whole)
    ]  # fmt: skip
    result = [kept[0][key] - kept[1][key] for key in kept[0].keys() & kept[1].keys()]
    return f"{sum(result) / len(result):+.4f},\u00a0{sum(d > 0 for d in result)}/{len(result)}" if result else NONE


def _against_the_whole(leaderboard: Leaderboard) -> list[tuple[Row, Row, Pair | None]]:
    """Each variant, the whole recipe of its network and their comparison, corrected for these comparisons alone; None
    where either has no rank."""
    requested = [
        (row, whole)
        for whole in leaderboard.rows
        for row in leaderboard.rows
        if row.variant and not whole.variant and (row.architecture, row.width) == (whole.architecture, whole.width)
    ]
    pairs = [leaderboard.pair(row.name, whole.name) for row, whole in requested]
    alone = iter(corrected([pair for pair in pairs if pair]))
    return [(row, whole, pair and next(alone)) for (row, whole), pair in zip(requested, pairs, strict=True)]


def _row(leaderboard: Leaderboard, row: Row, whole: Row, pair: Pair | None) -> list[str]:
    start = [escape(display(row.architecture)), escape(row.variant)]
    validation = _validation(leaderboard, row, whole)
    if pair is None:
        return [*start, NONE, NONE, "not ranked", validation]
    seen = pair.seen_from(row.name)
    return [
        *start,
        unbroken(with_interval(seen.difference, sign=True)),
        p_value(pair.p_holm),
        describe(seen),
        validation,
    ]
