"""README's figure, findings and example, made from the committed records: ``python tests/readme_findings.py`` renews
them in place.

The findings are a table with a row an experiment and a column a network, each row by the newest protocol that ranks two
of the networks, its last rows their size, and under it what the table does not say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.markdown import NONE, counted, listed, paragraph, table
from bench.names import data, display
from bench.pages import leading, other_measures, report
from bench.records.record import PROTOCOL
from bench.records.results import Results
from bench.statistics import stats
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, UNKNOWN, WORSE
from bench.suites import THREE
from bench.verdict_words import title
from lungseg import recipes

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 120  # columns of README's lines
LIGHT = ("m2unet", "lwnet")
NETWORKS = (*THREE, "unetpp", *LIGHT)
EXPERIMENTS = (  # suites
    "montgomery-128", "montgomery", "montgomery-128-strong", "montgomery-to-shenzhen-128", "shenzhen-to-montgomery-128",
)  # fmt: skip
SIGNS = {EQUIVALENT: " =", UNKNOWN: " ?", WORSE: ""}  # a row's verdict against the best of its line
STRONG, RECIPE = "montgomery-128-strong", "strong"
OLDER = "¹"  # marks a line of an older protocol
UNBROKEN = "\u2011"  # a hyphen at which no browser breaks a line

Leaderboards = Sequence[Leaderboard]


def leaderboards() -> Leaderboards:
    """All sections of the committed records, the newest protocol of a suite first."""
    return stats.leaderboards(Results(ROOT / "results").all())


def name(row_name: object) -> str:
    """A network as its paper calls it."""
    return display(str(row_name).partition(" (")[0])


def shown(leaderboard: Leaderboard) -> list[Row]:
    """The ranked rows of the table's networks, the best first."""
    return [row for row in leaderboard.ranked if row.name in NETWORKS]


def newest(result: Leaderboards, suite: str) -> Leaderboard:
    """The section of a suite by the newest protocol that ranks two of the networks, and of those the one that ranks
    most. LookupError where none does."""
    local = [s for s in result if s.conditions.suite == suite and len(shown(s)) > 1]
    if not local:
        raise LookupError(f"no section of {suite} ranks two of {', '.join(NETWORKS)}: README needs other findings")
    return max(local, key=lambda s: (s.conditions.protocol, len(shown(s))))


def line(leaderboard: Leaderboard) -> list[str]:
    """What was trained and tested, with a link to its page, and each network's Dice."""
    key = leaderboard.conditions
    numbers = [len(row.seeds) for row in shown(leaderboard)]
    seeds = f"{min(numbers)} to " * (min(numbers) < max(numbers)) + counted(max(numbers), "seed")
    sets = " to ".join(dict.fromkeys((key.train_set.capitalize(), key.test_set.capitalize())))
    training = (
        f"[{sets}](results/{key.suite}.md), `{key.recipe}`, {key.size[0]} px, {seeds}"
        f"{OLDER * (key.protocol < PROTOCOL)}"
    )
    return [training, *(cell(leaderboard, network) for network in NETWORKS)]


def cell(leaderboard: Leaderboard, network: str) -> str:
    """Mean Dice in three digits (a maximum is flattered by more than a fourth) with the verdict against the best of the
    line, or how many folds are trained."""
    row = next((row for row in leaderboard.rows if row.name == network), None)
    if row is None:
        return NONE
    if not row.rank:
        return f"{row.cells[0]} of {row.cells[1]} folds"
    best = shown(leaderboard)[0]
    if row is best:
        return f"**{row.dice.value:.3f}**"
    pair = leaderboard.pair(row.name, best.name)
    if pair is None:
        raise LookupError(f"{row.name} and {best.name} are not compared: README needs other findings")
    return f"{row.dice.value:.3f}{SIGNS[pair.seen_from(row.name).verdict]}"


def legend(local: Leaderboards) -> str:
    """How the table is read."""
    rows = [row for leaderboard in local for row in shown(leaderboard)]
    widest = max(abs(bound - row.dice.value) for row in rows for bound in (row.dice.low, row.dice.high))
    older = sorted({s.conditions.protocol for s in local} - {PROTOCOL})
    marked = f" {OLDER} By protocol {listed([str(p) for p in older])}." if older else ""
    return (
        "Mean Dice over patients that the network never saw; A to B: trained on A, tested on B. 95 % intervals (at most"
        f" {widest:.3f} to each side) are on the linked pages. **Bold**: best; =: equivalent; ?: not known; no sign:"
        f" worse.{marked} {not_converged(local)}{of_one_seed(local)}"
    )


def originals(result: Leaderboards, local: Leaderboards) -> str:
    """The pairs of the three original networks in the first line, and what longer training makes of them, within a
    hospital and across."""
    first = local[0]
    own = "as a table of their own, " * (len(first.ranked) > len(THREE))
    return (
        f"**{other_measures.QUESTION}**, first line: {own}{other_measures.by_dice(first, name)}{among_all(first)}."
        f" {longer(result)}"
    )


def among_all(leaderboard: Leaderboard) -> str:
    """How many of the three verdicts the table's other rows leave unknown; empty where none."""
    pairs = leaderboard.originals["dice"]
    known = [pair for pair in pairs if pair.verdict != UNKNOWN]
    lost = [p for p in known if (whole := leaderboard.pair(p.first, p.second)) and whole.verdict == UNKNOWN]
    if not lost:
        return ""
    return (
        f" (among all {len(leaderboard.ranked)} rows, corrected for {len(leaderboard.pairs)} pairs, {len(lost)} of"
        f" these {len(pairs)} verdicts are not known)"
    )


def longer(result: Leaderboards) -> str:
    """Which one of the three is better than both others, or worse, by recipe ``strong``, each suite by its newest
    section that ranks them. LookupError where no single one is, or the sections are not alike."""
    sections = {}
    for suite in EXPERIMENTS:
        local = [s for s in result if s.conditions.suite == suite and s.conditions.recipe == RECIPE and s.originals]
        if local:
            sections[suite] = max(local, key=lambda s: s.conditions.protocol)
    alike = {(s.conditions.protocol, min(len(r.seeds) for r in s.ranked)) for s in sections.values()}
    apart = [network for network in THREE if all(against_both(s, network) for s in sections.values())]
    if STRONG not in sections or len(alike) > 1 or len(apart) != 1:
        raise LookupError(f"{', '.join(sections)} do not agree on one of the three: README needs other findings")
    ((protocol, seeds),) = alike
    older = f", protocol {protocol}" * (protocol < PROTOCOL)
    by_verdict = defaultdict[str, list[str]](list)
    for section in sections.values():
        by_verdict[against_both(section, apart[0])].append(where(section))
    each = [f"{verdict} than both others {listed([*dict.fromkeys(at)])}" for verdict, at in by_verdict.items()]
    return f"With `{RECIPE}` ({counted(seeds, 'seed')}{older}) {name(apart[0])} is {listed(each)}."


def against_both(leaderboard: Leaderboard, network: str) -> str:
    """``better`` or ``worse`` where the network is so against both others of the three; else empty."""
    pairs = [p.seen_from(network) for p in leaderboard.originals["dice"] if network in (p.first, p.second)]
    words = {pair.verdict for pair in pairs}
    return words.pop() if words in ({BETTER}, {WORSE}) else ""


def where(leaderboard: Leaderboard) -> str:
    """``within Montgomery``, or ``across hospitals``."""
    key = leaderboard.conditions
    return "across hospitals" if key.cross_dataset else f"within {data(key.test_set)}"


def not_converged(local: Leaderboards) -> str:
    """How many trainings of the first line more epochs might have helped."""
    cells = [cell for row in local[0].ranked for cell in local[0].cells_of(row)]
    rising = sum(cell.rising for cell in cells)
    return f"First line: {rising} of {len(cells)} trainings were still improving."


def of_one_seed(local: Leaderboards) -> str:
    """How much seeds vary in a line that has one seed of other networks; empty where no line tells it."""
    lines = [s for s in local if min(len(row.seeds) for row in shown(s)) == 1]
    known = [(row.sd_seeds, name(row.name), s) for s in lines for row in shown(s) if row.sd_seeds]
    if not known:
        return ""
    sd, network, leaderboard = max(known, key=lambda one: one[0])
    of = f"{network} on {data(leaderboard.conditions.test_set)}"
    return f" 1 seed: these weights; SD of seeds of {of}: {sd:.3f}."


def recipe(local: Leaderboards) -> str:
    """What the recipes are, and what the second adds. LookupError where it does not add more than the choice among the
    networks that are not light."""
    first, strong = (next(s for s in local if s.conditions.suite == f"montgomery-128{end}") for end in ("", "-strong"))
    before = {row.name: round(row.dice.value, 3) for row in shown(first) if row.name not in LIGHT}
    gains = {row.name: round(row.dice.value, 3) - before[row.name] for row in shown(strong) if row.name in before}
    apart = max(before.values()) - min(before.values())
    if min(gains.values()) <= apart:
        raise LookupError("the recipe no longer adds more than the best network does: README needs other findings")
    added = listed([f"{gain:.3f} to {name(row)}" for row, gain in gains.items()])
    epochs = [recipes.recipe(s.conditions.recipe).epochs for s in (first, strong)]
    seeds = counted(min(len(row.seeds) for row in shown(strong)), "seed")
    return (
        f"**The recipe matters more** than the network: by `reference` ({epochs[0]} epochs, no augmentation)"
        f" the {len(before)} larger ones are {apart:.3f} apart; `strong` ({epochs[1]} epochs,"
        f" augmentation, cosine schedule) adds {added} ({seeds})."
    )


def sizes(local: Leaderboards) -> list[list[str]]:
    """Lines of the table: parameters and multiply-adds of each network at the size of the first line."""
    rows = {row.name: row for row in local[0].rows}
    at = f"{local[0].conditions.size[0]} px"
    return [
        [f"Parameters at {at}, millions", *(f"{rows[n].parameters / 1e6:.2f}" for n in NETWORKS)],
        [f"Multiply-adds at {at}, billions", *(f"{rows[n].gmacs:.2f}" for n in NETWORKS)],
    ]


def findings(result: Leaderboards) -> str:
    """The table, how it is read, and what it does not say."""
    local = [newest(result, suite) for suite in EXPERIMENTS]
    headers = ["Data and recipe", *(name(network).replace("-", UNBROKEN) for network in NETWORKS)]
    return "\n".join([
        table(headers, [*(line(leaderboard) for leaderboard in local), *sizes(local)]), "",
        paragraph(legend(local), width=WIDTH), "",
        *(paragraph(text, "- ", width=WIDTH) for text in (originals(result, local), recipe(local))),
    ])  # fmt: skip


def figure(result: Leaderboards) -> str:
    """The leading section's figure, with what it says for who cannot see it."""
    leaderboard = leading.leader(result)
    if leaderboard is None:
        raise LookupError("no section leads the leaderboard: README needs another figure")
    local = [s for s in result if s.conditions.suite == leaderboard.conditions.suite]
    stem = report.stems(local)[local.index(leaderboard)]
    said = f"{title(leaderboard)}; mean Dice over {len(leaderboard.rows[0].images)} radiographs with intervals"
    return f"![{said}](results/figures/{stem}-leaderboard.svg)"


def example(result: Leaderboards) -> str:
    """What `make bench` prints last: the leaderboard of the newest section of suite quick."""
    leaderboard = next(s for s in result if s.conditions.suite == "quick")
    return f"```text\n{report.terminal_leaderboard(leaderboard, 80)}\n```"


def renewed(readme: str, result: Leaderboards | None = None) -> str:
    """README with its figure, findings and example made anew."""
    result = leaderboards() if result is None else result
    parts = {"figure": figure(result), "findings": findings(result), "quick": example(result)}
    for mark, text in parts.items():
        before, _, rest = readme.partition(f"<!-- {mark} -->")
        readme = f"{before}<!-- {mark} -->\n{text}\n<!-- /{mark} -->{rest.partition(f'<!-- /{mark} -->')[2]}"
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
