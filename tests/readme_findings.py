"""README's findings, made from the committed records: ``python tests/readme_findings.py`` renews them in place.

Each function gives one line. It takes the newest protocol that has the rows it needs, and says which.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.markdown import counted, listed, paragraph, with_interval
from bench.pages.literature import PUBLISHED
from bench.records.results import Results
from bench.statistics import stats
from bench.statistics.fixed_split import IMAGES
from bench.statistics.rows import Pair, Row, Section
from bench.statistics.verdicts import EQUIVALENT, MARGIN
from lungseg import recipes

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- findings -->", "<!-- /findings -->"
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NAMES = {
    "attention_unet": "Attention U-Net", "lwnet": "the little W-Net", "m2unet": "M2U-Net", "r2unet": "R2U-Net",
    "resunet": "ResUNet", "unet": "U-Net", "unet3plus": "U-Net 3+", "unetpp": "UNet++",
}  # fmt: skip
BEST, LONG = " (thorough+weight-average)", " (thorough)"
STEPS = {(True, True): "both", (True, False): "the first", (False, True): "the second", (False, False): "neither"}
H200, CPU = "nvidia-h200", "cpu"

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
    return NAMES[row_name.partition(" (")[0]]


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
        f"{name(a.name)} against {name(b.name)} {seen.difference.value:+.4f} [{seen.difference.low:+.4f},"
        f" {seen.difference.high:+.4f}], {seen.verdict}"
        for i, a in enumerate(rows) for b in rows[i + 1 :]
        for seen in [pair(section, a.name, b.name).seen_from(a.name)]
    ]  # fmt: skip
    seeds = {len(r.seeds) for r in rows}
    if len(seeds) > 1:
        raise LookupError("the three have not the same number of seeds: the line needs other words")
    scores = listed([f"{name(r.name)} {three(r)}" for r in rows])
    return (
        f"**U-Net, ResUNet or R2U-Net**, by the source protocol at {section.setting.size[0]} px, width {rows[0].width},"
        f" {WORDS[seeds.pop()]} seeds on a CPU ({page(section)}): {scores}. {'; '.join(words)}. At 256 px and width 64"
        " it has not been run."
    )


def alike(found: Sections) -> str:
    """Whether the networks differ by the strong recipe."""
    section = of(found, "montgomery-128-strong", H200, *NAMES)
    top = equivalent(section)
    behind = next(r for r in sorted(section.rows, key=lambda r: -r.dice.value) if r not in top)
    values = [r.dice.value for r in top]
    low, high = (f"{value:.3f}" for value in (min(values), max(values)))
    width = low if low == high else f"{low} to {high}"
    return (
        f"**{WORDS[len(top)].capitalize()} networks are equivalent within {MARGIN} Dice** by recipe `strong`, one seed"
        f" on an H200 ({page(section)}): {listed([name(r.name) for r in top])} have {width} over"
        f" {counted(len(top[0].images), 'image')} of {counted(top[0].n_patients, 'patient')}; then follows"
        f" {name(behind.name)} with {three(behind)}."
    )


def highest(found: Sections) -> str:
    """The highest of all rows on Montgomery, and how many were tried."""
    rows = [f"{network}{BEST}" for network in ("unet3plus", "attention_unet", "unet")]
    section = of(found, "ablation-128", H200, *rows)
    every = [r for s in found if s.setting.scored_on == "montgomery" for r in s.rows]
    first = max((r for r in section.rows if r.rank), key=lambda r: r.dice.value)
    if any(r.rank and r.dice.value > first.dice.value for r in every):
        raise LookupError(f"{first.name} is the highest no more: the line needs other words")
    tied = [r for r in rows if r != first.name and not pair(section, first.name, r).real]
    apart = f"; {listed([name(r) for r in tied])} trained alike are not shown to be behind it" if tied else ""
    recipe = recipes.recipe("strong:small-batches+twice-epochs+elastic+weight-average")
    return (
        f"**More of everything takes {name(first.name)} to {first.dice.value:.3f}** (batches of {recipe.batch_size},"
        f" {recipe.epochs} epochs, an elastic deformation and averaged weights, {page(section)}), the highest of"
        f" {section.scored} sets of predictions on Montgomery and flattered by being so: {three(first)}{apart}."
    )


def light(found: Sections) -> str:
    """What the two light networks reach."""
    section = of(found, "ablation-128", CPU, f"lwnet{LONG}", f"m2unet{LONG}")
    little, mobile = (row(section, f"{network}{LONG}") for network in ("lwnet", "m2unet"))
    return (
        "**Light networks are close**: by `strong:thorough` on a CPU the little W-Net, of"
        f" {little.parameters:,} weights, has {three(little)} and M2U-Net, of {mobile.parameters:,},"
        f" {three(mobile)} ({page(section)})."
    )


def published(found: Sections) -> str:
    """The one column that is like published ones."""
    wanted = (H200, f"unet3plus{BEST}"), (CPU, f"lwnet{LONG}", f"m2unet{LONG}")
    card, core = together(found, *(("ablation-128", *each) for each in wanted))
    ours = [row(card, f"unet3plus{BEST}"), row(core, f"lwnet{LONG}"), row(core, f"m2unet{LONG}")]
    theirs = [
        next(p.dice for p in PUBLISHED if p.source.startswith(f"deepdraw {n}") and p.scored_on == "montgomery")
        for n in ("U-Net", "LW-Net", "M2U-Net")
    ]
    numbers = [f"{r.fixed_split:.3f}" for r in ours if r.fixed_split is not None]
    return (
        f"**Beside published numbers**: pooled over the {len(IMAGES)} test images of deepdraw's split U-Net 3+, the"
        f" little W-Net and M2U-Net have {listed(numbers)}; deepdraw's U-Net, LW-Net and M2U-Net have {listed(theirs)},"
        " at 256 px and trained on 96 other images."
    )


def machines(found: Sections) -> str:
    """Whether an order that one machine shows is another's, too."""
    trio = ("r2unet", "unet", "resunet")
    both = together(found, *(("montgomery-128", device, *trio) for device in (CPU, H200)))
    means = []
    for network in trio:
        rows = [row(s, network) for s in both]
        means.append(float(np.average([r.dice.value for r in rows], weights=[len(r.seeds) for r in rows])))
    if sorted(means, reverse=True) != means:
        raise LookupError(f"{trio} are not in this order: the line needs other words")
    words = [STEPS[tuple(pair(s, a, b).real for a, b in itertools.pairwise(trio))] for s in both]
    n = sum(len(row(s, "unet").seeds) for s in both)
    return (
        f"**An order of {MARGIN} is a machine's as much as a network's**: after 50 epochs without augmentation"
        f" ({page(both[0])}) R2U-Net leads U-Net and U-Net leads ResUNet; of these two steps a CPU shows {words[0]}, an"
        f" H200 {words[1]}. Over the {WORDS[n]} trainings of each they are {means[0] - means[1]:.4f} and"
        f" {means[1] - means[2]:.4f}."
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
        f"**Another set costs more than the choice of a network**: trained on Montgomery they have {spans[0]} on"
        f" Shenzhen ({page(to)}), the other way {spans[1]} ({page(back)})."
    )


def besides(found: Sections) -> str:
    """What further images buy."""
    section = of(found, "montgomery-with-shenzhen-128", H200, "unet", "lwnet")
    gain = {c.name: with_interval(c.pair.difference, sign=True) for c in section.gains}
    images = {len(s.rows[0].images) for s in found if s.setting.scored_on == "shenzhen"}
    return (
        f"**All {max(images)} images of Shenzhen besides** change the little W-Net by {gain['lwnet']} and U-Net by"
        f" {gain['unet']} ({page(section)}); more images were more steps, too."
    )


def leak(found: Sections) -> str:
    """What protocol 1 did not know."""
    old = of([s for s in found if s.setting.protocol == 1], "montgomery-128-strong", H200, *NAMES)
    top = row(old, "unet")
    return (
        f"**Protocol 1 is history**: its folds put {old.beside_siblings} of {len(top.images)} images beside a"
        " sibling, another image of the same patient, in training. Its intervals are over the patients known today."
    )


FINDINGS: tuple[Callable[[Sections], str], ...] = (
    founding, alike, highest, light, published, machines, elsewhere, besides, leak,
)  # fmt: skip


def lines(found: Sections | None = None) -> list[str]:
    """Every finding, filled to README's width."""
    found = sections() if found is None else found
    return [paragraph(one(found), "- ", width=120) for one in FINDINGS]


def renewed(readme: str, found: Sections | None = None) -> str:
    """README with its findings made anew."""
    before, after = readme.partition(BEGIN)[0], readme.partition(END)[2]
    return "\n".join([f"{before}{BEGIN}", *lines(found), f"{END}{after}"])


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
