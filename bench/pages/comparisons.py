"""Comparisons of rows that differ in one thing: a variant of the recipe against the whole of it, the same trainings
with and without extra data, on another machine or in another precision."""

from __future__ import annotations

from collections.abc import Sequence

from bench import verdict_words
from bench.machine import FAST
from bench.markdown import (
    NONE,
    Namer,
    counted,
    escape,
    listed,
    p_value,
    paragraph,
    ratio,
    shown,
    table,
    unbroken,
    with_interval,
)
from bench.names import data
from bench.statistics.pairs import corrected
from bench.statistics.rows import Leaderboard, MatchedRow, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, MARGIN, UNKNOWN, WORSE, Pair
from bench.verdict_words import of_pair
from lungseg import recipes

MOST_NAMED = 4


def ablation_answer(leaderboard: Leaderboard, name: Namer = escape) -> list[tuple[str, str]]:
    """The first screen's question and answer; empty where the leaderboard holds no variant of its recipe."""
    result = [(row, pair) for row, _, pair in _against_the_whole(leaderboard) if pair]
    if not result:
        return []
    one = len({row.architecture for row, _ in result}) == 1
    named = [
        (name(row.variant if one else row.name), pair.difference.value, pair.verdict) for row, pair in result
    ]  # fmt: skip
    numbered = {verdict: [f"{what} {d:+.4f}" for what, d, v in named if v == verdict] for verdict in (BETTER, WORSE)}
    rest = {verdict: [what for what, _, v in named if v == verdict] for verdict in (EQUIVALENT, UNKNOWN)}
    numbered |= {v: some if len(some) <= MOST_NAMED else [f"{len(some)} others"] for v, some in rest.items()}
    text = "; ".join(f"{verdict}: {', '.join(some)}" for verdict, some in numbered.items() if some)
    explained = [f"{gloss[0].upper()}{gloss[1:]}." for gloss in recipes.glosses(row.variant for row, _ in result)]
    text = " ".join([f"By Dice, against the whole recipe, {text}.", *explained])
    return [("What does each ingredient contribute?", text)]


def ablation(leaderboard: Leaderboard, brief: bool = False) -> list[str]:
    """Blocks; empty where the leaderboard holds no variant of its recipe. brief: the table alone."""
    rows = [_variant_row(leaderboard, row, whole, pair) for row, whole, pair in _against_the_whole(leaderboard)]
    headers = ["Network", "Changed", "Against the whole", "p, Holm", "Verdict", "Validation"]
    note = (
        f"Recipe {escape(leaderboard.conditions.recipe)} with one thing changed, on the same folds and images; p is"
        " corrected for these comparisons. Validation: the difference on the images that chose the weights, and in how"
        " many trainings it is above 0: use it to choose, because the highest score on test images is biased upwards."
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


def _variant_row(leaderboard: Leaderboard, row: Row, whole: Row, pair: Pair | None) -> list[str]:
    start = [shown(row.architecture), escape(row.variant)]
    validation = _validation(leaderboard, row, whole)
    if pair is None:
        return [*start, NONE, NONE, "not ranked", validation]
    difference = unbroken(with_interval(pair.difference, sign=True))
    return [*start, difference, p_value(pair.p_of_verdict), of_pair(pair), validation]


def extra_data_effect(leaderboard: Leaderboard, name: Namer = escape) -> list[tuple[str, str]]:
    """The question what extra training data gain, and its answer; empty without a comparison."""
    result = leaderboard.extra_data_effects
    if not result:
        return []
    text = f"Against the same folds without them ({name(result[0].suite)}), {_each(result, name)} {_more(result)}"
    return [("What do the extra training images gain?", text)]


def _each(result: Sequence[MatchedRow], name: Namer) -> str:
    return verdict_words.each([(name(c.name), c.pair) for c in result])


def cross_precision_answers(leaderboard: Leaderboard, name: Namer = escape) -> list[tuple[str, str]]:
    """What the precision changes; empty without the same trainings in another."""
    key, result = leaderboard.conditions, []
    for machine in dict.fromkeys(c.machine for c in leaderboard.cross_precision):
        other = machine.removeprefix(f"{key.backend}-{key.device_kind}-").removesuffix(FAST)
        local = [c for c in leaderboard.cross_precision if c.machine == machine]
        answer = (
            f"Dice in {escape(key.precision)} minus Dice of the same seeds and folds in {escape(other)}, by verdict"
            f" within {MARGIN}: {_each(local, name)}"
        )
        result.append(("What does the precision change?", answer))
    return result


def extra_data_effects(leaderboard: Leaderboard) -> list[str]:
    """Blocks; empty where the suite has no extra training set."""
    if not leaderboard.conditions.extra_train:
        return []
    result, name = leaderboard.extra_data_effects, escape(data(leaderboard.conditions.extra_train))
    blocks = [f"### Gain from adding all of {name}"]
    if result:
        headers = ["Network", "Without", "With", "Difference in Dice [95 %]", "p, Holm", "Verdict"]
        note = f"Without: suite {escape(result[0].suite)} on the same machine, folds, recipe and test images the same."
        blocks += [table(headers, [_matched_row(c) for c in result], left=1), paragraph(f"{note} {_more(result)}")]
    lacking = [shown(r.name) for r in leaderboard.ranked if r.single and r.name not in {c.name for c in result}]
    if lacking:
        blocks.append(paragraph(f"Not compared, because the same trainings without it are missing: {listed(lacking)}."))
    return blocks


def _more(result: Sequence[MatchedRow]) -> str:
    return (
        f"A training sees {result[0].images:.1f} times the images and takes more steps, so the effect of more images"
        " is not separated from that of more steps."
    )


def cross_machine_answers(leaderboard: Leaderboard) -> list[tuple[str, str]]:
    """Whether the same trainings on another machine agree; empty where there are none."""
    result = leaderboard.cross_machine
    if not result:
        return []
    machines = listed([escape(machine) for machine in dict.fromkeys(c.machine for c in result)])
    furthest = max(result, key=lambda c: abs(c.pair.difference.value))
    mean = sum(abs(c.pair.difference.value) for c in result) / len(result)
    what = f"{counted(len(result), 'network')} also trained with the same seeds on {machines}"
    by = f"{shown(furthest.name)} {with_interval(furthest.pair.difference, sign=True)}"
    size = f"differs by {by} Dice" if len(result) == 1 else f"differ by {mean:.4f} Dice on average, most {by}"
    text = f"{what} {size}. A lead of few seeds that is no larger may come from the machine, not the network."
    return [("Does the same training elsewhere agree?", text)]


def _matched_row(c: MatchedRow) -> list[str]:
    values = [ratio(c.other_dice), ratio(c.dice), unbroken(with_interval(c.pair.difference, sign=True))]
    return [shown(c.name), *values, p_value(c.pair.p_of_verdict), of_pair(c.pair)]
