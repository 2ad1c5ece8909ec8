"""Comparisons of matched rows: the same trainings with and without extra data, on another machine or in another
precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.machine import FAST
from bench.markdown import counted, escape, listed, p_value, paragraph, ratio, table, with_interval
from bench.names import display
from bench.pages.tables import describe, unbroken
from bench.statistics.rows import Leaderboard, MatchedRow
from bench.statistics.verdicts import BETTER, EQUIVALENT, MARGIN, UNKNOWN, WORSE


def extra_data_effect(leaderboard: Leaderboard, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """The question what extra training data gain, and its answer; empty without a comparison."""
    result = leaderboard.extra_data_effects
    if not result:
        return []
    return [
        (
            "What do the extra training images gain?",
            f"Against the same folds without them ({name(result[0].suite)}), {_by_verdict(result, name)} "
            f"{_more(result)}",
        )
    ]


def _by_verdict(result: Sequence[MatchedRow], name: Callable[[object], str]) -> str:
    """Verdicts, each with its rows and their differences, and whether they are of weights alone."""
    parts = [
        f"{verdict}: {listed([f'{name(c.name)} {with_interval(c.pair.difference, sign=True)}' for c in some])}"
        for verdict in (BETTER, WORSE, EQUIVALENT, UNKNOWN)
        if (some := [c for c in result if c.pair.verdict == verdict])
    ]
    few = not all(c.pair.generalises_over_seeds for c in result)
    return f"{'; '.join(parts)}.{' These are differences of weights, not of methods.' if few else ''}"


def cross_precision_answers(leaderboard: Leaderboard, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """What the precision changes; empty without the same trainings in another."""
    key, result = leaderboard.conditions, []
    for machine in dict.fromkeys(c.machine for c in leaderboard.cross_precision):
        other = machine.removeprefix(f"{key.backend}-{key.device_kind}-").removesuffix(FAST)
        local = [c for c in leaderboard.cross_precision if c.machine == machine]
        answer = (
            f"Dice in {escape(key.precision)} minus Dice of the same seeds and folds in {escape(other)}, by verdict"
            f" within {MARGIN}: {_by_verdict(local, name)}"
        )
        result.append(("What does the precision change?", answer))
    return result


def extra_data_effects(leaderboard: Leaderboard) -> list[str]:
    """Blocks; empty where the suite has no extra training set."""
    if not leaderboard.conditions.extra_train:
        return []
    result, name = leaderboard.extra_data_effects, escape(leaderboard.conditions.extra_train.capitalize())
    blocks = [f"### Gain from adding all of {name}"]
    if result:
        headers = ["Network", "Without", "With", "Difference in Dice [95 %]", "p, Holm", "Verdict"]
        note = f"Without: suite {escape(result[0].suite)} on the same machine, folds, recipe and test images the same."
        blocks += [table(headers, [_row(c) for c in result], left=1), paragraph(f"{note} {_more(result)}")]
    lacking = [
        escape(display(r.name))
        for r in leaderboard.rows
        if r.rank and r.single and r.name not in {c.name for c in result}
    ]
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
    by = f"{escape(display(furthest.name))} {with_interval(furthest.pair.difference, sign=True)}"
    size = f"differs by {by} Dice" if len(result) == 1 else f"differ by {mean:.4f} Dice on average, most {by}"
    return [
        (
            "Does the same training elsewhere agree?",
            f"{what} {size}. A lead of few seeds that is no larger may come from the machine, not the network.",
        )
    ]


def _row(c: MatchedRow) -> list[str]:
    values = [ratio(c.other_dice), ratio(c.dice), unbroken(with_interval(c.pair.difference, sign=True))]
    return [escape(display(c.name)), *values, p_value(c.pair.p_holm), describe(c.pair)]
