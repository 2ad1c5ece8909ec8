"""On whom networks fail: groups of patients, the hardest images, and ``results/HARDEST.md``, what these gain from each
change of training or prediction, of all suites."""

from __future__ import annotations

from collections.abc import Sequence

from bench import names
from bench.markdown import (
    NONE,
    code,
    counted,
    escape,
    generated,
    listed,
    p_value,
    paragraph,
    ratio,
    shown,
    table,
    unbroken,
    with_interval,
)
from bench.names import fitting
from bench.pages.tables import DIGITS
from bench.statistics import hard_images, subgroups
from bench.statistics.rows import HardestGain, Leaderboard
from bench.statistics.subgroups import Subgroups, stored_interval
from bench.statistics.verdicts import MARGIN
from bench.verdict_words import FEW, FEW_MEANS, by_verdict, of_pair

SHOWN = 2  # architectures side by side
LINES = 5  # of a table; tables/<suite>/images.csv has all
HEADERS = ("Network", "Change", "Without", "Hardest [95 %]", "p, Holm", "Verdict", "Others [95 %]")


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
    scored = {name for groups in known.values() for result in groups.values() for name in result["dice"]}
    columns = fitting([r.name for r in leaderboard.rows if r.name in scored][:SHOWN])  # ensembles have no such scores
    rows = [
        [escape(attribute), escape(group), str(result["n"] or f"under {subgroups.MIN_GROUP}"),
         *(unbroken(with_interval(stored_interval(result["dice"][n]), DIGITS)) if n in result["dice"] else NONE
           for n in columns)]
        for attribute, groups in known.items() for group, result in groups.items()
    ]  # fmt: skip
    note = "Mean Dice with its 95 % interval over patients, seeds averaged. The CSV table has all rows and gaps."
    blocks = [table(["By", "Group", "Images", *map(shown, columns)], rows, left=2)]
    return [*blocks, paragraph(note), *([paragraph(missing)] if requested and not {"sex", "age"} & set(known) else [])]


def hardest(leaderboard: Leaderboard) -> list[str]:
    """The images of lowest Dice."""
    result = hard_images.hardest(leaderboard)
    if not result:
        return ["Nothing was scored."]
    columns = fitting([name for name, _, _ in result[0][2]][:SHOWN])
    rows = [
        [escape(image), ratio(mean), *(ratio(dice) for name, dice, _ in each if name in columns)]
        for image, mean, each in result[:LINES]
    ]
    over = f"all {len(result[0][2])} architectures" if len(result[0][2]) > 1 else "the seeds"
    note = f"Mean Dice over {over}, then that of each shown."
    return [
        table(["Image", "Mean Dice", *map(shown, columns)], rows),
        paragraph(note),
        *_agreement(leaderboard),
    ]


def _agreement(leaderboard: Leaderboard) -> list[str]:
    result = hard_images.agreement(leaderboard)
    if result is None:
        return []
    low, median, high = result.rho
    which = "that share the first rank" if result.first else "that share these images"
    pairs = f"{median:.2f}" if result.rows == 2 else f"{low:.2f} to {high:.2f}, median {median:.2f}"
    those = f"{'the two' if result.rows == 2 else f'any two of the {result.rows}'} {which}"
    how = "Largely" if median >= 0.8 else "In part" if median >= 0.4 else "Hardly"
    return [
        paragraph(
            f"**Do they miss the same images?** {how}: {those} order the images by Dice"
            f" with a rank correlation (Spearman) of {pairs}. Their mean Dice is {ratio(result.mean)}, and"
            f" {ratio(result.rest)} without the ten images that are hardest for them. The best prediction of"
            f" each image, of any network and seed: {ratio(result.best)}."
        )
    ]


def hardest_page(leaderboards: Sequence[Leaderboard]) -> str | None:
    """The Markdown of the page; None where nothing is compared."""
    compared = [leaderboard for leaderboard in leaderboards if leaderboard.hardest_gains]
    if not compared:
        return None
    gains = [gain for leaderboard in compared for gain in leaderboard.hardest_gains]
    few = f" {FEW_MEANS}" * any(FEW in of_pair(gain.pair) for gain in gains)
    blocks = [
        generated(),
        "# Gains on the hardest images",
        paragraph(f"**{_answer(gains)}**"),
        paragraph(
            f"The tables show Dice with a change minus Dice without it, on the {gains[0].n} images of lowest Dice and"
            " on all others. The hardest images are those of lowest mean Dice over the architectures outside the"
            " comparison, in all suites trained on this set alone. A network's own worst images would improve by"
            " regression to the mean. Without: Dice on the hardest before the change. Verdict: on the hardest, with"
            f" margin {MARGIN}. p and verdict are Holm-corrected per table; intervals are not.{few}"
        ),
    ]
    for leaderboard in compared:
        key = leaderboard.conditions
        machine = escape(names.machine(key.backend, key.device_kind))
        blocks += [
            f"## {escape(key.suite)}, {machine}, {escape(key.precision)}, protocol {key.protocol}{', fast' * key.fast}",
            table(HEADERS, [_gain_row(gain) for gain in leaderboard.hardest_gains], left=2),
        ]
    return "\n\n".join(blocks) + "\n"


def _answer(gains: Sequence[HardestGain]) -> str:
    judged = (
        (gain.pair.verdict, f"{escape(gain.change)} ({shown(gain.base)},"
         f" {with_interval(gain.pair.difference, sign=True)})")
        for gain in gains if gain.pair.significant
    )  # fmt: skip
    said = [f"{verdict} with: {listed(some)}" for verdict, some in by_verdict(judged).items()]
    if said:
        return f"Of {counted(len(gains), 'change')}, {'; '.join(said)}."
    half = sorted(gain.pair.difference.half_width for gain in gains)
    return (
        f"None of {counted(len(gains), 'change')} is shown to improve or worsen Dice on the hardest images."
        f" {counted(gains[0].n, 'image')} are few: the intervals' median half-width is {half[len(half) // 2]:.3f}."
    )


def _gain_row(gain: HardestGain) -> list[str]:
    return [
        shown(gain.base),
        escape(gain.change),
        ratio(gain.base_dice, DIGITS),
        unbroken(with_interval(gain.pair.difference, sign=True)),
        p_value(gain.pair.p_of_verdict),
        unbroken(of_pair(gain.pair)),
        unbroken(with_interval(gain.rest, sign=True)),
    ]
