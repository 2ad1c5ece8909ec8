"""Whether a table's verdicts hang on Dice at the network's size: the same pairs by precision, recall, accuracy, and at
the stored size of each mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.markdown import escape, listed, paragraph, table
from bench.names import display
from bench.pages.tables import FINE, unbroken
from bench.statistics.measures import MEASURES, WORDS
from bench.statistics.rows import Leaderboard, MeasuredPair, Pair, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, MARGIN, UNKNOWN, WORSE

MOST = 3  # pairs that a table shows side by side, and rows of which all pairs are shown
AGAINST = {
    BETTER: "better than", EQUIVALENT: "equivalent to", WORSE: "worse than", UNKNOWN: "not shown to differ from",
}  # fmt: skip


def answer(leaderboard: Leaderboard, name: Callable[[object], str] = escape) -> str | None:
    """By which measures the first row's verdicts against those behind it are the same as by Dice, and what the others
    say; None where nothing is compared by another measure.

    The first MOST rows are compared; of more, the first two.
    """
    ranked = [row for row in leaderboard.rows if row.rank]
    chosen = ranked if len(ranked) <= MOST else ranked[:2]
    if len(chosen) < 2 or not leaderboard.by_measure:
        return None
    first, others = chosen[0], chosen[1:]
    pattern = {
        measure: tuple(_pair(pairs, first.name, o.name).verdict for o in others)
        for measure, pairs in leaderboard.by_measure.items()
    }
    dice = tuple(pair.seen_from(first.name).verdict for o in others if (pair := leaderboard.pair(first.name, o.name)))
    alike = [WORDS[measure] for measure, verdicts in pattern.items() if verdicts == dice]
    apart = defaultdict[tuple[str, ...], list[str]](list)
    for measure, verdicts in pattern.items():
        if verdicts != dice:
            apart[verdicts].append(WORDS[measure])
    what = "verdicts" if len(others) > 1 else "verdict"
    head = "Yes" if not apart else "In part" if alike else "No"
    head += f", against {name(others[0].name)}, the next" * (len(ranked) > MOST)
    same = [f"the same {what} by {listed(alike)}"] if alike else []
    rest = [
        f"by {listed(some)} {name(first.name)} is {_phrase(verdicts, others, name)}" for verdicts, some in apart.items()
    ]
    return f"{head}: {'; '.join(same + rest)}."


def agreeing(leaderboard: Leaderboard, rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The measures, in words, by which every pair of these ranked rows has the verdict that it has by Dice, and the
    others."""
    chosen = [(a.name, b.name) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    dice = [_pair(leaderboard.pairs, a, b).verdict for a, b in chosen]
    same = {
        measure: [_pair(pairs, a, b).verdict for a, b in chosen] == dice
        for measure, pairs in leaderboard.by_measure.items()
    }
    yes, no = ([WORDS[measure] for measure, value in same.items() if value is wanted] for wanted in (True, False))
    return yes, no


def _phrase(verdicts: Sequence[str], others: Sequence[Row], name: Callable[[object], str]) -> str:
    """``better than A and not shown to differ from B``."""
    by_word: dict[str, list[str]] = {}
    for verdict, other in zip(verdicts, others, strict=True):
        by_word.setdefault(verdict, []).append(name(other.name))
    return listed([
        f"{words} {listed(some)}"
        for word, words in AGAINST.items() if (some := by_word.get(word))
    ])  # fmt: skip


def block(leaderboard: Leaderboard) -> list[str]:
    """A table of differences by measure, a column a pair; empty where nothing is compared by another measure."""
    ranked = [row.name for row in leaderboard.rows if row.rank]
    couples = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :]]
    if len(ranked) > MOST:
        couples = [(ranked[0], other) for other in ranked[1 : MOST + 1]]
    if not leaderboard.by_measure or not couples:
        return []
    by_measure: dict[str, Sequence[MeasuredPair | Pair]] = {"Dice": leaderboard.pairs}
    by_measure |= {WORDS[measure]: pairs for measure, pairs in leaderboard.by_measure.items()}
    lines = [
        [f"{words[0].upper()}{words[1:]}", *(_cell(_pair(pairs, first, second)) for first, second in couples)]
        for words, pairs in by_measure.items()
    ]
    headers = ["Measure", *(f"{escape(display(a))} minus {escape(display(b))}" for a, b in couples)]
    others = [f"{m.words} {m.margin:g}" for m in MEASURES if m.name in leaderboard.by_measure and m.margin != MARGIN]
    margins = f"{MARGIN}; {', '.join(others)}"
    note = (
        "Means over patients, first network minus second, with the verdict on the first (equivalent: within"
        f" {margins}), Holm-corrected over the pairs of the table by each measure on its own. F1 is Dice. The CSV table"
        " has intervals and all pairs."
    )
    return [table(headers, lines, left=1), paragraph(note)]


def _cell(pair: MeasuredPair | Pair) -> str:
    value = round(pair.difference.value, FINE) + 0.0  # not -0.0
    return unbroken(f"{value:+.{FINE}f} {pair.verdict}")


def _pair(pairs: Sequence[MeasuredPair | Pair], first: str, second: str) -> MeasuredPair | Pair:
    return next(p for p in pairs if {p.first, p.second} == {first, second}).seen_from(first)
