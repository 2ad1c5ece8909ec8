"""README's figure, findings and example, made from the committed records: ``python tests/readme_findings.py`` renews
them in place.

The findings are a table with a row an experiment and a column a network, each row by the newest protocol that ranks two
of the networks, and under it what the table does not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.findings import title
from bench.markdown import NONE, counted, listed, paragraph, table
from bench.names import display
from bench.pages import leading, other_measures, report
from bench.records.record import PROTOCOL
from bench.records.results import Results
from bench.statistics import stats
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, UNKNOWN, WORSE
from bench.suites import THREE
from lungseg import recipes

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 120  # columns of README's lines
LIGHT = ("m2unet", "lwnet")
NETWORKS = (*THREE, "unetpp", *LIGHT)
EXPERIMENTS = (  # suites
    "montgomery-128", "montgomery", "montgomery-128-strong", "montgomery-to-shenzhen-128", "shenzhen-to-montgomery-128",
)  # fmt: skip
SIGNS = {EQUIVALENT: " =", UNKNOWN: " ?", WORSE: ""}  # a row's verdict against the best of its line
STRONG = "montgomery-128-strong"
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
    seeds = counted(min(len(row.seeds) for row in shown(leaderboard)), "seed")
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
        "Mean Dice over patients, out of fold; A to B: trained on A, tested on B. 95 % intervals (at most"
        f" {widest:.3f} to each side) are on the linked pages. **Bold**: best; =: equivalent to it; ?: not known; no"
        f" sign: worse.{marked}"
    )


def originals(result: Leaderboards, local: Leaderboards) -> str:
    """The pairs of the three original networks by each measure, and what longer training makes of them."""
    leaderboard = local[0]
    rows = [row for row in shown(leaderboard) if row.name in THREE]
    cells = [cell for row in rows for cell in leaderboard.cells_of(row)]
    said = other_measures.said_of(leaderboard, rows, name)
    return (
        f"**U-Net, ResUNet or R2U-Net**, first line ({sum(cell.rising for cell in cells)} of {len(cells)} trainings"
        f" still improving when they ended): {said[0].lower()}{said[1:]} {longer(result)}"
    )


def longer(result: Leaderboards) -> str:
    """The verdicts on the three by the newest section of ``strong`` that ranks all of them. LookupError where none
    does."""
    leaderboard = max(
        (s for s in result if s.conditions.suite == STRONG and set(THREE) <= {row.name for row in shown(s)}),
        key=lambda s: s.conditions.protocol, default=None,
    )  # fmt: skip
    if leaderboard is None:
        raise LookupError(f"no section of {STRONG} ranks {', '.join(THREE)}: README needs other findings")
    key = leaderboard.conditions
    rows = [row for row in shown(leaderboard) if row.name in THREE]
    last, before = rows[-1], rows[:-1]
    pairs = [leaderboard.pair(row.name, last.name) for row in before]
    if not all(pair and pair.verdict == BETTER for pair in pairs):
        raise LookupError(
            f"the last of the three in {STRONG} is not worse than both others: README needs other findings"
        )
    seeds = counted(min(len(row.seeds) for row in rows), "seed")
    older = f", protocol {key.protocol}" * (key.protocol < PROTOCOL)
    better = listed([name(row.name) for row in before])
    return f"With `{key.recipe}` ({seeds}{older}) {better} are better than {name(last.name)}."


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
    return (
        f"**The recipe matters more** than the choice among {listed([name(network) for network in before])}: by"
        f" `reference` ({epochs[0]} epochs, no augmentation) they are {apart:.3f} apart; `strong` ({epochs[1]} epochs,"
        f" augmentation) adds {added}."
    )


def light(local: Leaderboards) -> str:
    """How large the networks are, and how many filters their first layers have."""
    strong = next(s for s in local if s.conditions.suite == "montgomery-128-strong")
    sizes = {row.name: row.parameters / 1e6 for row in shown(strong)}
    parameters = listed([f"{name(network)} {sizes[network]:.2f}" for network in ("unet", *LIGHT)])
    filters = {s.conditions.size[0]: shown(s)[0].width for s in local}  # no light network leads
    (small, few), (large, many) = sorted(filters.items())
    return f"**Parameters** at {small} px, millions: {parameters}. First layer: {few} filters, {many} at {large} px."


def findings(result: Leaderboards) -> str:
    """The table, how it is read, and what it does not say."""
    local = [newest(result, suite) for suite in EXPERIMENTS]
    headers = ["Data and recipe", *(name(network).replace("-", UNBROKEN) for network in NETWORKS)]
    return "\n".join([
        table(headers, [line(leaderboard) for leaderboard in local]), "",
        paragraph(legend(local), width=WIDTH), "",
        *(paragraph(text, "- ", width=WIDTH) for text in (originals(result, local), recipe(local), light(local))),
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
