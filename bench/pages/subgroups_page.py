"""The blocks on whom a network fails: groups of patients, the hardest images and what these gain from a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.markdown import code, escape, listed, paragraph, ratio, table, with_interval
from bench.names import display, fitting
from bench.pages.tables import DIGITS, describe, unbroken
from bench.statistics import hard_images, subgroups
from bench.statistics.rows import HardestGain, Leaderboard
from bench.statistics.subgroups import Subgroups
from bench.statistics.verdicts import BETTER, WORSE

SHOWN = 2  # architectures side by side
LINES = 5  # of a table; tables/<suite>/images.csv has all


def by_group(leaderboard: Leaderboard, known: Subgroups) -> list[str]:
    """Dice by tuberculosis from the images' names, by sex and age from what `python -m bench subgroups` stored."""
    requested = subgroups.named_by_disease(leaderboard)
    missing = (
        f"Sex and age were not aggregated for these records: "
        f"{code(f'python -m bench subgroups {leaderboard.conditions.suite}')}"
        " does so where the dataset is available and holds them."
    )
    if not any(known.values()):
        return [paragraph(missing)] if requested and leaderboard.rows else []
    names = fitting([r.name for r in leaderboard.rows][:SHOWN])
    names = [n for n in names if any(n in result["dice"] for groups in known.values() for result in groups.values())]
    rows = [
        [escape(attribute), escape(group), str(result["n"] or f"under {subgroups.MIN_GROUP}"),
         *(_dice(result["dice"][n]) if n in result["dice"] else "-" for n in names)]
        for attribute, groups in known.items() for group, result in groups.items()
    ]  # fmt: skip
    note = "Mean Dice with its 95 % interval over patients, seeds averaged. The CSV table has all rows and gaps."
    blocks = [table(["By", "Group", "Images", *(escape(display(n)) for n in names)], rows, left=2)]
    return [*blocks, paragraph(note), *([paragraph(missing)] if requested and not {"sex", "age"} & set(known) else [])]


def _dice(values: Sequence[float]) -> str:
    return unbroken(with_interval(subgroups.interval(values), DIGITS))


def hardest(leaderboard: Leaderboard) -> list[str]:
    """The images of lowest Dice."""
    result = hard_images.hardest(leaderboard)
    if not result:
        return ["Nothing was scored."]
    shown = fitting([name for name, _, _ in result[0][2]][:SHOWN])
    rows = [
        [escape(image), ratio(mean), *(ratio(dice) for name, dice, _ in each if name in shown)]
        for image, mean, each in result[:LINES]
    ]
    over = f"all {len(result[0][2])} architectures" if len(result[0][2]) > 1 else "the seeds"
    note = f"Mean Dice over {over}, then that of each shown."
    return [
        table(["Image", "Mean Dice", *(escape(display(name)) for name in shown)], rows),
        paragraph(note),
        *_alike(leaderboard),
    ]


def _alike(leaderboard: Leaderboard) -> list[str]:
    result = hard_images.alike(leaderboard)
    if result is None:
        return []
    low, median, high = result.rho
    which = "that share the first rank" if result.first else "that share these images"
    pairs = f"{median:.2f}" if result.rows == 2 else f"{low:.2f} to {high:.2f}, {median:.2f} in the middle"
    those = f"{'the two' if result.rows == 2 else f'any two of the {result.rows}'} {which}"
    how = "Largely" if median >= 0.8 else "In part" if median >= 0.4 else "Hardly"
    return [
        paragraph(
            f"**Do they miss the same images?** {how}: {those} order the images by Dice"
            f" with a rank correlation (Spearman) of {pairs}. Their mean Dice is {ratio(result.mean)}, and"
            f" {ratio(result.rest)} without the ten images that are hardest for them. Oracle best per image:"
            f" {ratio(result.best)}."
        )
    ]


def hardest_gain(leaderboard: Leaderboard, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """The question what the hardest images gain from each change, and its answer; empty without a comparison."""
    gains = leaderboard.hardest_gains
    if not gains:
        return []
    by_verdict = {v: [_named(one, name) for one in gains if one.pair.verdict == v] for v in (BETTER, WORSE)}
    shown = [f"{verdict}: {listed(some)}" for verdict, some in by_verdict.items() if some]
    least, most = min(gains, key=_value), max(gains, key=_value)
    rest = [_named(one, name) for one in (least, most)][len(gains) == 1 :]
    text = "; ".join(shown) or f"no change is shown to help or to harm: {' to '.join(rest)}"
    where = f"On the {gains[0].n} images that other networks segment worst"
    return [("What do the hardest images gain?", f"{where}, {text}.")]


def _value(gain: HardestGain) -> float:
    return gain.pair.difference.value


def _named(gain: HardestGain, name: Callable[[object], str]) -> str:
    row = name(gain.name)
    what = row if gain.change in row or "+tta" in row else f"{row} {escape(gain.change)}"
    return f"{what} {with_interval(gain.pair.difference, sign=True)}"


def hardest_gains(leaderboard: Leaderboard) -> list[str]:
    """The same as a table, with the other images beside them; empty without a comparison."""
    gains = leaderboard.hardest_gains
    headers = ["Network", "Change", "Without", "Difference, hardest [95 %]", "Verdict", "Others [95 %]"]
    rows = [
        [escape(display(one.name.partition(" (")[0].partition("+")[0])), escape(one.change), ratio(one.base_dice),
         unbroken(with_interval(one.pair.difference, sign=True)), describe(one.pair),
         unbroken(with_interval(one.rest, sign=True))]
        for one in gains
    ]  # fmt: skip
    note = (
        "Dice with the change minus without it. Hardest: the {n} images of lowest Dice, averaged over the architectures"
        " that take no part in the comparison, from all suites that were trained on this set alone; a network's own"
        " worst images would gain by regression to the mean. Verdicts are Holm-corrected over this table."
    )
    return [table(headers, rows, left=2), paragraph(note.format(n=gains[0].n))] if gains else []
