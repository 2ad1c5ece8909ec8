"""A suite's rows beside the same trainings elsewhere: without further images, or on another machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.markdown import counted, escape, listed, p_value, paragraph, ratio, table, with_interval
from bench.pages.names import display
from bench.pages.tables import told, unbroken
from bench.statistics.rows import Counterpart, Section
from bench.statistics.verdicts import BETTER, EQUIVALENT, UNKNOWN, WORSE


def gain(section: Section, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """The question of a suite that trains on another set besides, and its answer; empty without a comparison."""
    found = section.gains
    if not found:
        return []
    parts = [
        f"{verdict}: {listed([f'{name(c.name)} {with_interval(c.pair.difference, sign=True)}' for c in some])}"
        for verdict in (BETTER, WORSE, EQUIVALENT, UNKNOWN)
        if (some := [c for c in found if c.pair.verdict == verdict])
    ]
    seeds = "" if all(c.pair.of_methods for c in found) else " These are differences of weights, not of methods."
    return [
        (
            "What do the further images buy?",
            f"Against the same folds without them ({name(found[0].suite)}), {'; '.join(parts)}.{seeds} {_more(found)}",
        )
    ]


def gains(section: Section) -> list[str]:
    """Blocks; empty where no other set is trained on besides."""
    if not section.setting.besides:
        return []
    found, name = section.gains, escape(section.setting.besides.capitalize())
    blocks = [f"### What all of {name} buys"]
    if found:
        headers = ["Network", "Without", "With", "Difference in Dice [95 %]", "p, Holm", "Verdict"]
        note = f"Without: suite {escape(found[0].suite)} on the same machine, folds, recipe and test images the same."
        blocks += [table(headers, [_row(c) for c in found], left=1), paragraph(f"{note} {_more(found)}")]
    lacking = [
        escape(display(r.name)) for r in section.rows if r.rank and r.single and r.name not in {c.name for c in found}
    ]
    if lacking:
        blocks.append(paragraph(f"Not compared, as the same trainings without it are not at hand: {listed(lacking)}."))
    return blocks


def _more(found: Sequence[Counterpart]) -> str:
    return (
        f"A training sees {found[0].images:.1f} times the images and takes more steps for it, so what more images and"
        " what more steps buy is not told apart."
    )


def again(section: Section) -> list[tuple[str, str]]:
    """Whether the same trainings on another machine agree; empty where there are none."""
    found = section.retrained
    if not found:
        return []
    machines = listed([escape(machine) for machine in dict.fromkeys(c.machine for c in found)])
    furthest = max(found, key=lambda c: abs(c.pair.difference.value))
    mean = sum(abs(c.pair.difference.value) for c in found) / len(found)
    what = f"{counted(len(found), 'network')} trained with the same seeds on {machines} too"
    by = f"{escape(display(furthest.name))} {with_interval(furthest.pair.difference, sign=True)}"
    size = f"differs by {by} Dice" if len(found) == 1 else f"differ by {mean:.4f} Dice on average, most {by}"
    return [
        (
            "Does the same training elsewhere agree?",
            f"{what} {size}. A lead of few seeds that is no larger may be the machine's and not the network's.",
        )
    ]


def _row(c: Counterpart) -> list[str]:
    values = [ratio(c.theirs), ratio(c.dice), unbroken(with_interval(c.pair.difference, sign=True))]
    return [escape(display(c.name)), *values, p_value(c.pair.p_holm), told(c.pair)]
