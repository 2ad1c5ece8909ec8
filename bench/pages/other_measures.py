"""Whether a table's verdicts hang on Dice at the network's size: the same pairs by precision, recall, accuracy, and at
the stored size of each mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from bench import verdict_words
from bench.markdown import Namer, escape, listed, paragraph, shown, table, unbroken
from bench.names import display
from bench.pages.tables import FINE
from bench.statistics.pairs import MEASURES, WORDS
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import MARGIN, MeasuredPair, between
from bench.suites import THREE

QUESTION = " or ".join(", ".join(display(name) for name in THREE).rsplit(", ", 1))
MOST = 3  # pairs that a table shows side by side, and rows of which all pairs are shown


def answer(leaderboard: Leaderboard, name: Namer = escape) -> str | None:
    """By which measures the first row's verdicts against those behind it are the same as by Dice, and what the others
    say; None where nothing is compared by another measure.

    The first MOST rows are compared; of more, the first two.
    """
    ranked = leaderboard.ranked
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
        f"by {listed(some)} {name(first.name)} is"
        f" {verdict_words.against(zip(verdicts, (name(o.name) for o in others), strict=True))}"
        for verdicts, some in apart.items()
    ]
    return f"{head}: {'; '.join(same + rest)}."


def originals(leaderboard: Leaderboard, name: Namer = escape) -> str | None:
    """What the three original networks came to as a table of their own by each measure, and where the table's other
    rows change the verdict by Dice, that too; None where one of the three is not ranked."""
    rows = _originals(leaderboard)
    if not rows:
        return None
    said = said_of(leaderboard.originals, rows, name)
    if len(leaderboard.ranked) > len(rows):
        said = f"As a table of their own: {said[0].lower()}{said[1:]}"
    return f"{said}{among_all(leaderboard, name)}"


def by_dice(leaderboard: Leaderboard, name: Namer = escape) -> str:
    """What the three original networks, all ranked, came to as a table of their own by Dice."""
    return verdict_words.among(leaderboard.originals["dice"], _originals(leaderboard), name)


def among_all(leaderboard: Leaderboard, name: Namer = escape) -> str:
    """A sentence on the three original networks among all rows of the table, by Dice; empty where it says the same, or
    where only neighbours are compared."""
    rows = _originals(leaderboard)
    if any(leaderboard.pair(a.name, b.name) is None for a, b in combinations(rows, 2)):
        return ""
    among = verdict_words.among(leaderboard.pairs, rows, name)
    if among == by_dice(leaderboard, name):
        return ""
    return f" Among all {len(leaderboard.ranked)} rows, corrected for {len(leaderboard.pairs)} pairs, {among}."


def said_of(by_measure: Mapping[str, Sequence[MeasuredPair]], rows: Sequence[Row], name: Namer) -> str:
    """What the pairs of these ranked rows came to by each measure, measures that say the same together:
    ``By Dice and IoU A is better than B. By recall no difference is shown.``"""
    by_text = defaultdict[str, list[str]](list)
    for measure, pairs in by_measure.items():
        by_text[verdict_words.among(pairs, rows, name)].append(WORDS[measure])
    return " ".join(f"By {listed(words)} {text}." for text, words in by_text.items())


def block(leaderboard: Leaderboard) -> list[str]:
    """A table of differences by measure, a column a pair; empty where nothing is compared by another measure."""
    couples = _couples(leaderboard)
    if not leaderboard.by_measure or not couples:
        return []
    by_measure = {"dice": leaderboard.pairs, **leaderboard.by_measure}
    lines = [
        [f"{WORDS[measure][0].upper()}{WORDS[measure][1:]}",
         *(_cell(_of_couple(leaderboard, measure, pairs, *couple)) for couple in couples)]
        for measure, pairs in by_measure.items()
    ]  # fmt: skip
    headers = ["Measure", *(f"{shown(a)} minus {shown(b)}" for a, b in couples)]
    others = [f"{m.words} {m.margin:g}" for m in MEASURES if m.name in leaderboard.by_measure and m.margin != MARGIN]
    margins = f"{MARGIN}; {', '.join(others)}"
    apart = f"; {listed([display(name) for name in THREE])} among themselves are a table of their own" * bool(
        _originals(leaderboard) and len(leaderboard.ranked) > MOST
    )
    note = (
        "Means over patients, first network minus second, with the verdict on the first (equivalent: within"
        f" {margins}), Holm-corrected over all pairs for each measure{apart}. F1 is Dice. The CSV table has intervals"
        " and all pairs."
    )
    return [table(headers, lines, left=1), paragraph(note)]


def _couples(leaderboard: Leaderboard) -> list[tuple[str, str]]:
    """The pairs that the table shows: all of MOST rows; of more, the first and the next, then those of the three
    original networks, or the first and those behind it where not all three are ranked."""
    ranked = leaderboard.ranked
    rows = ranked if len(ranked) <= MOST else _originals(leaderboard)
    among = [(a.name, b.name) for a, b in combinations(rows, 2)]
    if len(ranked) <= MOST:
        return among
    names = [row.name for row in ranked]
    if not among:
        return [(names[0], other) for other in names[1 : MOST + 1]]
    return [*dict.fromkeys([(names[0], names[1]), *among])]


def _of_couple(
    leaderboard: Leaderboard, measure: str, pairs: Sequence[MeasuredPair], first: str, second: str
) -> MeasuredPair:
    """The pair as the table shows it: of two of the three original networks, that of their own table."""
    own = leaderboard.originals.get(measure, ()) if {first, second} <= {*THREE} else ()
    return _pair(own or pairs, first, second)


def _originals(leaderboard: Leaderboard) -> list[Row]:
    """The three original networks, the best first; empty where one of them is not ranked."""
    return [row for row in leaderboard.ranked if row.name in THREE] if leaderboard.originals else []


def _cell(pair: MeasuredPair) -> str:
    value = round(pair.difference.value, FINE) + 0.0  # not -0.0
    return unbroken(f"{value:+.{FINE}f} {pair.verdict}")


def _pair(pairs: Sequence[MeasuredPair], first: str, second: str) -> MeasuredPair:
    pair = between(pairs, first, second)
    assert pair is not None
    return pair
