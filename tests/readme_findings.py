"""README's figure, findings and example, made from the committed records: ``python tests/readme_findings.py`` renews
them in place.

Each finding is one line. It takes the newest protocol that has the rows it needs, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.markdown import listed, paragraph, with_interval
from bench.pages import leading, report
from bench.pages.findings import title
from bench.pages.names import display
from bench.records.results import Results
from bench.statistics import stats
from bench.statistics.rows import Pair, Row, Section
from bench.statistics.verdicts import EQUIVALENT, MARGIN

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
STRONG = ("attention_unet", "lwnet", "m2unet", "r2unet", "resunet", "unet", "unet3plus", "unetpp")
LONG = " (thorough)"
H200, CPU = "nvidia-h200", "cpu"
WIDTH = 120  # columns of README's lines

Sections = Sequence[Section]


def sections() -> Sections:
    """All sections of the committed records, the newest protocol of a suite first."""
    return stats.sections(Results(ROOT / "results").all())


def of(found: Sections, suite: str, device: str, *rows: str) -> Section:
    """The newest section of a suite on a device that ranks these rows. LookupError where none does."""
    for section in found:
        key = section.setting
        if (key.suite, key.device_kind) == (suite, device) and set(rows) <= {r.name for r in section.rows if r.rank}:
            return section
    raise LookupError(f"no section of {suite} on {device} ranks {', '.join(rows)}: the line needs other words")


def together(found: Sections, *wanted: tuple[str, ...]) -> list[Section]:
    """As ``of``, for several (suite, device, *rows) by one protocol: the newest that has them all."""
    for protocol in sorted({s.setting.protocol for s in found}, reverse=True):
        own = [s for s in found if s.setting.protocol == protocol]
        try:
            return [of(own, *each) for each in wanted]
        except LookupError:
            continue
    raise LookupError(f"no protocol has all of {wanted}: the line needs other words")


def row(section: Section, name: str) -> Row:
    """A row by its name."""
    return next(r for r in section.rows if r.name == name)


def pair(section: Section, first: str, second: str) -> Pair:
    """The comparison of two rows."""
    found = section.pair(first, second)
    if found is None:
        raise LookupError(f"{first} and {second} are not compared: the line needs other words")
    return found


def name(row_name: str) -> str:
    """A network as its paper calls it."""
    return display(row_name.partition(" (")[0])


def page(section: Section) -> str:
    """A link to the section's page, with the protocol."""
    suite = section.setting.suite
    return f"[{suite}](results/{suite}.md), protocol {section.setting.protocol}"


def three(of_row: Row) -> str:
    """Mean Dice with its interval in three digits: a maximum is flattered by more than a fourth."""
    return with_interval(of_row.dice, digits=3)


def equivalent(section: Section) -> tuple[Row, ...]:
    """The rows at the top of which any two are equivalent, by the table's own verdicts."""
    together: list[Row] = []
    for one in sorted((r for r in section.rows if r.rank), key=lambda r: -r.dice.value):
        if not all(pair(section, other.name, one.name).verdict == EQUIVALENT for other in together):
            break
        together.append(one)
    return tuple(together)


def founding(found: Sections) -> str:
    """The founding question by today's protocol, as far as two cores carried it."""
    section = of(found, "montgomery-64", "cpu", "unet", "resunet", "r2unet")
    rows = sorted((row(section, one) for one in ("unet", "resunet", "r2unet")), key=lambda r: -r.dice.value)
    words = [
        f"{name(a.name)} against {name(b.name)} {pair(section, a.name, b.name).seen_from(a.name).verdict}"
        for i, a in enumerate(rows) for b in rows[i + 1 :]
    ]  # fmt: skip
    seeds = {len(r.seeds) for r in rows}
    if len(seeds) > 1:
        raise LookupError("the three have not the same number of seeds: the line needs other words")
    scores = listed([f"{name(r.name)} {three(r)}" for r in rows])
    return (
        f"**U-Net, ResUNet or R2U-Net**, by the source protocol at {section.setting.size[0]} px, width {rows[0].width},"
        f" {WORDS[seeds.pop()]} seeds ({page(section)}): {scores}; {', '.join(words)}."
    )


def alike(found: Sections) -> str:
    """Whether the networks differ by the strong recipe."""
    section = of(found, "montgomery-128-strong", H200, *STRONG)
    top = equivalent(section)
    behind = next(r for r in sorted(section.rows, key=lambda r: -r.dice.value) if r not in top)
    values = [r.dice.value for r in top]
    low, high = (f"{value:.3f}" for value in (min(values), max(values)))
    width = low if low == high else f"{low} to {high}"
    return (
        f"**{WORDS[len(top)].capitalize()} networks are equivalent within {MARGIN} Dice** by recipe `strong`, one seed"
        f" on an H200 ({page(section)}): {listed([name(r.name) for r in top])} have {width}; then follows"
        f" {name(behind.name)} with {three(behind)}."
    )


def light(found: Sections) -> str:
    """What the two light networks reach."""
    section = of(found, "ablation-128", CPU, f"lwnet{LONG}", f"m2unet{LONG}")
    little, mobile = (row(section, f"{network}{LONG}") for network in ("lwnet", "m2unet"))
    return (
        f"**Light networks are close**: with recipe `strong:thorough` LW-Net, of {little.parameters:,} weights, has"
        f" {three(little)} and M2U-Net, of {mobile.parameters:,}, {three(mobile)} ({page(section)})."
    )


def elsewhere(found: Sections) -> str:
    """What another set costs."""
    suites = "montgomery-to-shenzhen-128", "shenzhen-to-montgomery-128"
    to, back = together(found, *((suite, H200, "unet", "r2unet") for suite in suites))
    spans = []
    for section in (to, back):
        values = sorted(r.dice.value for r in section.rows if r.rank)
        spans.append(f"{values[0]:.3f} to {values[-1]:.3f}")
    return (
        f"**Another hospital costs more than the choice of a network**: from Montgomery to Shenzhen {spans[0]}"
        f" ({page(to)}), back {spans[1]} ({page(back)})."
    )


def leak(found: Sections) -> str:
    """What protocol 1 did not know."""
    old = of([s for s in found if s.setting.protocol == 1], "montgomery-128-strong", H200, *STRONG)
    top = row(old, "unet")
    return (
        f"**Protocol 1 is history**: its folds put {old.beside_siblings} of {len(top.images)} images beside"
        " another image of the same patient in training."
    )


FINDINGS: tuple[Callable[[Sections], str], ...] = (founding, alike, light, elsewhere, leak)


def lines(found: Sections | None = None) -> list[str]:
    """Every finding, filled to README's width."""
    found = sections() if found is None else found
    return [paragraph(one(found), "- ", width=WIDTH) for one in FINDINGS]


def figure(found: Sections) -> str:
    """The leading section's figure, with what it says for who cannot see it."""
    section = leading.leader(found)
    if section is None:
        raise LookupError("no section leads the leaderboard: README needs another figure")
    own = [s for s in found if s.setting.suite == section.setting.suite]
    stem = report.stems(own)[own.index(section)]
    said = f"{title(section)}; mean Dice over {len(section.rows[0].images)} radiographs with intervals"
    return f"![{said}](results/figures/{stem}-leaderboard.svg)"


def example(found: Sections) -> str:
    """What `make bench` prints last: the leaderboard of the newest section of suite quick."""
    section = next(s for s in found if s.setting.suite == "quick")
    return f"```text\n{report.leaderboard(section, 80)}\n```"


def renewed(readme: str, found: Sections | None = None) -> str:
    """README with its figure, findings and example made anew."""
    found = sections() if found is None else found
    parts = {"figure": figure(found), "findings": "\n".join(lines(found)), "quick": example(found)}
    for mark, text in parts.items():
        before, _, rest = readme.partition(f"<!-- {mark} -->")
        readme = f"{before}<!-- {mark} -->\n{text}\n<!-- /{mark} -->{rest.partition(f'<!-- /{mark} -->')[2]}"
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
