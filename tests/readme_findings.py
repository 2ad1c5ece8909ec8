"""README's figure, findings and example, made from the committed records: ``python tests/readme_findings.py`` renews
them in place.

Each finding is one line. It takes the newest protocol that has the rows it needs, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.findings import title
from bench.markdown import listed, paragraph, with_interval
from bench.names import display
from bench.pages import leading, other_measures, report
from bench.records.results import Results
from bench.statistics import stats
from bench.statistics.rows import Leaderboard, Pair, Row
from bench.statistics.verdicts import EQUIVALENT
from lungseg import recipes

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LIGHT = 1_000_000  # parameters, below which a network is called light
H200, CPU = "nvidia-h200", "cpu"
WIDTH = 120  # columns of README's lines

Leaderboards = Sequence[Leaderboard]


def leaderboards() -> Leaderboards:
    """All sections of the committed records, the newest protocol of a suite first."""
    return stats.leaderboards(Results(ROOT / "results").all())


def of(result: Leaderboards, suite: str, device: str, *rows: str) -> Leaderboard:
    """The newest section of a suite on a device that ranks these rows. LookupError where none does."""
    for leaderboard in result:
        key = leaderboard.conditions
        if (key.suite, key.device_kind) == (suite, device) and set(rows) <= {
            r.name for r in leaderboard.rows if r.rank
        }:
            return leaderboard
    raise LookupError(f"no section of {suite} on {device} ranks {', '.join(rows)}: the line needs other words")


def together(result: Leaderboards, *wanted: tuple[str, ...]) -> list[Leaderboard]:
    """As ``of``, for several (suite, device, *rows) by one protocol: the newest that has them all."""
    for protocol in sorted({s.conditions.protocol for s in result}, reverse=True):
        local = [s for s in result if s.conditions.protocol == protocol]
        try:
            return [of(local, *each) for each in wanted]
        except LookupError:
            continue
    raise LookupError(f"no protocol has all of {wanted}: the line needs other words")


def row(leaderboard: Leaderboard, name: str) -> Row:
    """A row by its name."""
    return next(r for r in leaderboard.rows if r.name == name)


def pair(leaderboard: Leaderboard, first: str, second: str) -> Pair:
    """The comparison of two rows."""
    result = leaderboard.pair(first, second)
    if result is None:
        raise LookupError(f"{first} and {second} are not compared: the line needs other words")
    return result


def name(row_name: object) -> str:
    """A network as its paper calls it."""
    return display(str(row_name).partition(" (")[0])


def page(leaderboard: Leaderboard) -> str:
    """A link to the section's page, with the protocol."""
    suite = leaderboard.conditions.suite
    return f"[{suite}](results/{suite}.md), protocol {leaderboard.conditions.protocol}"


def three(of_row: Row) -> str:
    """Mean Dice with its interval in three digits: a maximum is flattered by more than a fourth."""
    return with_interval(of_row.dice, digits=3)


def equivalent(leaderboard: Leaderboard) -> tuple[Row, ...]:
    """The rows at the top of which any two are equivalent, by the table's own verdicts."""
    together: list[Row] = []
    for one in sorted((r for r in leaderboard.rows if r.rank), key=lambda r: -r.dice.value):
        if not all(pair(leaderboard, other.name, one.name).verdict == EQUIVALENT for other in together):
            break
        together.append(one)
    return tuple(together)


def founding(result: Leaderboards) -> str:
    """The founding question by today's protocol, as far as two cores carried it."""
    leaderboard = of(result, "montgomery-128", "cpu", "unet", "resunet", "r2unet")
    rows = sorted((row(leaderboard, one) for one in ("unet", "resunet", "r2unet")), key=lambda r: -r.dice.value)
    seeds = {len(r.seeds) for r in rows}
    if len(seeds) > 1:
        raise LookupError("the three have not the same number of seeds: the line needs other words")
    scores = listed([f"{name(r.name)} {three(r)}" for r in rows])
    said = other_measures.said_of(leaderboard, rows, name)
    return (
        f"**U-Net, ResUNet or R2U-Net**, recipe `reference` at {leaderboard.conditions.size[0]} px,"
        f" width {rows[0].width}, {WORDS[seeds.pop()]} seeds ({page(leaderboard)}): {scores}."
        f" {said}{full_size(result)}"
    )


def full_size(result: Leaderboards) -> str:
    """How far the source protocol itself has come; empty before its first two networks are finished."""
    begun = [s for s in result if s.conditions.suite == "montgomery" and sum(bool(r.rank) for r in s.rows) > 1]
    if not begun:
        return ""
    leaderboard = begun[0]
    rows = sorted((r for r in leaderboard.rows if r.rank), key=lambda r: -r.dice.value)
    least = min(len(r.seeds) for r in rows)
    behind = [f"{name(r.name)} has {r.cells[0]} of {r.cells[1]} folds" for r in leaderboard.rows if not r.rank]
    scores = listed([f"{name(r.name)} {r.dice.value:.3f}" for r in rows])
    return (
        f" At {leaderboard.conditions.size[0]} px, width {rows[0].width}, {WORDS[least]}"
        f" {'seed' if least == 1 else 'seeds'} ([montgomery](results/montgomery.md)):"
        f" {'; '.join([scores, other_measures.verdicts(leaderboard.pairs, rows, name), *behind])}."
    )


def strong(result: Leaderboards) -> str:
    """What augmentation and more epochs give, by the newest protocol, and the light networks beside U-Net."""
    suite = "montgomery-128-strong"
    leaderboard = of(result, suite, CPU, "unet", "resunet", "lwnet", "m2unet")
    rows = [r for r in sorted(leaderboard.rows, key=lambda r: -r.dice.value) if r.rank and r.single]
    large, small = ([r for r in rows if (r.parameters < LIGHT) == light] for light in (False, True))
    (seeds,) = {len(r.seeds) for r in rows}
    epochs = recipes.recipe(leaderboard.conditions.recipe).epochs
    said = other_measures.verdicts(leaderboard.pairs, rows, name)
    return (
        f"**With augmentation and {epochs} epochs** (recipe `strong`, {WORDS[seeds]} seed{'s' * (seeds > 1)};"
        f" {page(leaderboard)}): {listed([f'{name(r.name)} {three(r)}' for r in large])}; light networks"
        f" {listed([f'{name(r.name)} ({r.parameters:,} parameters) {three(r)}' for r in small])}. {said[0].upper()}"
        f"{said[1:]}.{before(result, leaderboard)}"
    )


def before(result: Leaderboards, now: Leaderboard) -> str:
    """Networks of the same suite that only an older protocol has, as far as they are equivalent; empty where none."""
    old = [s for s in result if s.conditions.suite == now.conditions.suite and s.conditions.protocol < 2]
    for leaderboard in old:
        top, known = equivalent(leaderboard), {r.name for r in now.rows}
        more = [name(r.name) for r in top if r.name not in known]
        if more:
            beside = [name(r.name) for r in top if r.name in known]
            return (
                f" By protocol {leaderboard.conditions.protocol}, with leakage in {leaderboard.beside_siblings} of"
                f" {len(top[0].images)} images, {listed([*beside, *more])} are equivalent."
            )
    return ""


def elsewhere(result: Leaderboards) -> str:
    """What trainings of one set reach on another."""
    suites = "montgomery-to-shenzhen-128", "shenzhen-to-montgomery-128"
    own = of(result, "montgomery-128-strong", H200, "unet", "r2unet")
    to, back = together(result, *((suite, H200, "unet", "r2unet") for suite in suites))
    spans = []
    for leaderboard in (to, back):
        values = sorted(r.dice.value for r in leaderboard.rows if r.rank)
        spans.append(f"{values[0]:.3f} to {values[-1]:.3f}")
    at_home = sorted(row(own, r.name).dice.value for r in back.rows if r.rank)
    inside = f"{at_home[0]:.3f} to {at_home[-1]:.3f}"
    return (
        f"**Across hospitals** (one seed, protocol {to.conditions.protocol}): trained on Montgomery {spans[0]} [on"
        f" Shenzhen](results/{to.conditions.suite}.md); trained on Shenzhen {spans[1]} [on"
        f" Montgomery](results/{back.conditions.suite}.md), whose own folds give {inside}. Annotators differ, too."
    )


FINDINGS: tuple[Callable[[Leaderboards], str], ...] = (founding, strong, elsewhere)


def lines(result: Leaderboards | None = None) -> list[str]:
    """Every finding, filled to README's width."""
    result = leaderboards() if result is None else result
    return [paragraph(one(result), "- ", width=WIDTH) for one in FINDINGS]


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
    parts = {"figure": figure(result), "findings": "\n".join(lines(result)), "quick": example(result)}
    for mark, text in parts.items():
        before, _, rest = readme.partition(f"<!-- {mark} -->")
        readme = f"{before}<!-- {mark} -->\n{text}\n<!-- /{mark} -->{rest.partition(f'<!-- /{mark} -->')[2]}"
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
