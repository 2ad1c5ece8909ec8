"""A suite -> its page: answer, leaderboard, figures; the rest folded or in CSV. Every number comes from a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from bench.markdown import code, escape, listed, paragraph
from bench.pages import (
    ablation_page,
    answers,
    counterparts_page,
    csv_tables,
    gaps,
    images_page,
    kinds_page,
    names,
    pairs_file,
    protocol_page,
    reruns_page,
    strata_page,
    tables,
    troubles_page,
)
from bench.pages.provenance import provenance
from bench.records.reruns import Reruns
from bench.speed.speeds import Speeds
from bench.statistics import borders
from bench.statistics.rows import Section
from bench.statistics.strata import Strata
from bench.suites import SUITES

Figures = Mapping[str, str]  # kind -> path relative to the page
GENERATED = "<!-- Written by `python -m bench report` from the records under runs/; edits are lost. -->"

CAPTIONS = {
    "leaderboard": "Mean Dice of each network with its 95 % interval, and its paired difference to the best",
    "pairwise": "Verdict of each pair of networks",
    "distribution": "Dice of each image by network: quartiles, outliers and mean",
    "curves": "Median soft validation Dice over epochs by network",
    "confusion": "Confusion matrices of pixels, normalised by the true class",
    "speed": "Images per second against mean Dice by network",
    "gallery": "Best, median and worst images with outlines of ground truth and prediction",
}
MOST_ROWS = 10  # of a section whose overlap and costs are shown in a table too; CSV has them all
FOLDED = ("distribution", "curves", "confusion", "speed", "gallery")


def suite_page(
    suite: str,
    sections: Sequence[Section],
    measured: Sequence[Speeds],
    figures: Sequence[Figures],
    groups: Sequence[Strata],
    unreadable: Mapping[str, str] = MappingProxyType({}),
    repeated: Sequence[Reruns] = (),
    csv: Collection[str] = (),
) -> str:
    """The Markdown of one suite.

    figures: of each section, kind -> path relative to the page. groups: of each section, its groups of patients.
    unreadable: file -> why it is not in the tables.
    repeated: equal runs of its cells. csv: kinds of its CSV tables.
    """
    blocks = [GENERATED, f"# {escape(suite)}"]
    if suite in SUITES:
        title = SUITES[suite].title
        blocks.append(paragraph(f"{title[0].upper()}{title[1:]}."))
    links = "[Leaderboard](README.md) | [Methods](METHODS.md) | [Speed](SPEED.md) | [Sortable table](index.html)"
    apart = f" | {len(sections)} sections, not comparable with each other" if len(sections) > 1 else ""
    blocks.append(f"{links}{apart}")
    blocks += unread(unreadable)
    newest = max((s.setting.protocol for s in sections), default=0)
    for i, (section, paths, known) in enumerate(zip(sections, figures, groups, strict=True)):
        if section.setting.protocol < newest:
            blocks += superseded(section, paths)
        else:
            blocks += section_blocks(section, paths, known, measured, brief=i > 0)
            blocks += reruns_page.repeated(section, repeated)
        edited = [c.name for c in section.cells if not c.sealed]
        if edited:
            cells = ", ".join(map(escape, edited))
            blocks.append(paragraph(f"**Unverified**: these records differ from their own hash: {cells}."))
        if section.mixed:
            mixed = escape("; ".join(section.mixed))
            blocks.append(paragraph(f"**Mixed**: not one comparison: {mixed}. Run the suite again."))
    blocks += ["## Tables", _csv(suite, csv)]
    return "\n\n".join(blocks) + "\n"


def unread(files: Mapping[str, str]) -> list[str]:
    """Blocks that name files which are in no table; empty where all could be read."""
    if not files:
        return []
    lines = [paragraph(f"{escape(path)}: {escape(why)}", "- ") for path, why in files.items()]
    text = "**Unreadable.** These files are in no table; delete them and run their suite again:"
    return ["\n\n".join([paragraph(text), "\n".join(lines)])]


def section_blocks(
    section: Section,
    figures: Figures,
    groups: Strata = MappingProxyType({}),
    measured: Sequence[Speeds] = (),
    brief: bool = False,
) -> list[str]:
    """Blocks of one section; a block is a paragraph, a table or a heading. groups: of patients.

    brief: without groups, hardest images and further questions, of which the CSV tables and the page's first section
    have enough.
    """
    return [
        _heading(section),
        paragraph(_conditions(section)),
        *_units(section),
        *_answers(section),
        *_leaderboard(section, measured, brief),
        *_image("leaderboard", figures),
        *ablation_page.ablation(section, brief),
        *counterparts_page.gains(section),
        *_image("pairwise", figures),
        *kinds_page.kinds(section),
        *_folded("More figures: every image, training curves, confusion, speed",
                 _together([block for kind in FOLDED for block in _image(kind, figures)])),
        *(_details(section, groups) if not brief else []),
        *troubles_page.failures(section),
        *troubles_page.doubtful(section),
        *provenance(section),
    ]  # fmt: skip


def _details(section: Section, groups: Strata) -> list[str]:
    return [
        *_folded("More questions: seeds, choice, convergence, cost, machines", _further(section)),
        *_folded("Groups of patients", strata_page.by_group(section, groups)),
        *_folded("Hardest images", images_page.hardest(section)),
    ]


def superseded(section: Section, figures: Figures) -> list[str]:
    """Blocks of a section of an older protocol than its suite's newest: the answer and the table, kept for history."""
    return [
        _heading(section),
        paragraph(_conditions(section)),
        paragraph(f"**Which was best?** {answers.best(section, shown)}"),
        *([tables.accuracy(section, section.rows)] if section.rows else []),
        *_image("leaderboard", figures),
    ]


def _heading(section: Section) -> str:
    key = section.setting
    backend, device = escape(names.backend(key.backend)), escape(names.device(key.device_kind))
    return f"## {backend} on {device}, {escape(key.precision)}, protocol {key.protocol}{', fast' * key.fast}"


def shown(name: object) -> str:
    """A row's name as pages show it: as its paper writes it, escaped."""
    return escape(names.display(name))


def own_questions(section: Section, name: Callable[[object], str] = shown) -> list[tuple[str, str]]:
    """What the suite was made to ask, with the answers; most ask which network is best and nothing else."""
    return [*ablation_page.answer(section, name), *counterparts_page.gain(section, name)]


def first_screen(section: Section) -> list[tuple[str, str]]:
    """Questions with their answers, what the suite was made to ask before the rest."""
    return [*own_questions(section), *answers.answers(section, shown), *counterparts_page.again(section)]


def _together(blocks: Sequence[str]) -> list[str]:
    """One paragraph of all of them, if there are any."""
    return ["\n".join(blocks)] if blocks else []


def _folded(summary: str, blocks: Sequence[str]) -> list[str]:
    """The blocks behind a line that a reader opens; nothing where there are none."""
    return [f"<details><summary>{summary}</summary>", *blocks, "</details>"] if blocks else []


def _conditions(section: Section) -> str:
    key = section.setting
    seeds = ", ".join(map(str, section.seeds))
    own = protocol_page.stated(section).replace("\n", " ")
    return (
        f"{escape(names.data(key.scored_on))} at {key.size[0]} x {key.size[1]} px, {_width(section)}, recipe"
        f" {escape(key.recipe)}, {escape(key.split)}{_further_images(section)},"
        f" seed{'s' if len(section.seeds) > 1 else ''} {seeds}. {own}"
    )


def _further_images(section: Section) -> str:
    """How many images of another set every fold trains on besides."""
    some = section.setting.besides and any(c.scored for c in section.cells)
    return f" ({section.extra_images} images)" if some else ""


def _image(kind: str, figures: Figures) -> list[str]:
    return [f"![{CAPTIONS[kind]}]({figures[kind]})"] if kind in figures else []


def _answers(section: Section) -> list[str]:
    first = [*own_questions(section), ("Which is best?", answers.best(section, shown)),
             (answers.REAL, answers.real(section, shown))]  # fmt: skip
    lacking = gaps.missing(section, shown)
    first += [("What is missing?", f"{'; '.join(lacking)}.")] if lacking else []
    return ["\n".join(paragraph(f"**{question}** {answer}", "- ") for question, answer in first)]


def _further(section: Section) -> list[str]:
    """The answers that the first screen leaves out."""
    first = {"Which is best?", answers.REAL, *(question for question, _ in own_questions(section))}
    found = [(question, answer) for question, answer in first_screen(section) if question not in first]
    return ["\n".join(paragraph(f"**{question}** {answer}", "- ") for question, answer in found)] if found else []


def _leaderboard(section: Section, measured: Sequence[Speeds], brief: bool) -> list[str]:
    notes = [tables.notes(section, section.rows)] if section.rows else ["Nothing was scored."]
    if out := [r for r in section.rows if not r.rank]:
        why = ", ".join(f"{shown(r.name)} ({gaps.unranked(section, r)})" for r in out)
        notes.append(f"Not ranked: {why}.")
    lost = sorted({c.row for c in section.cells} - {r.name for r in section.rows})
    notes += [f"Failed in every cell: {', '.join(map(shown, lost))}."] if lost else []
    if made := [r for r in section.rows if not r.single]:
        each = listed([f"{shown(r.name)} is {answers.made_of(r)}" for r in made])
        notes.append(f"Ensembles, for which nothing was trained: {each}. Costs are sums over the members.")
    if absent := gaps.never_run(section):
        notes.append(f"Registered, but not run here (`--arch` runs them): {', '.join(map(shown, absent))}.")
    if absent := gaps.variants_never_run(section):
        notes.append(f"Variants of the suite that were not run here: {', '.join(map(escape, absent))}.")
    said = [paragraph(note) for note in notes]
    if not section.rows:
        return said
    few = len(section.rows) <= MOST_ROWS and not brief
    costs = [tables.costs(section, section.rows, measured)] if few else []
    return [tables.accuracy(section, section.rows), *costs, *said]


def _units(section: Section) -> list[str]:
    """What to do about distances that have no common unit; empty where they have one."""
    if borders.unit(section.rows) != borders.MIXED:
        return []
    return [
        paragraph(
            "**Units differ.** Some images of this section have distances in mm and others in px, as only some were"
            " given a spacing, and no mean or median of both is shown. Give every image a spacing or none, and run the"
            " suite again."
        )
    ]


def _width(section: Section) -> str:
    """``width 16 (M2U-Net: 64)``: of the first level, the commonest and who has another."""
    widths = section.widths
    common = Counter(width for some in widths.values() for width in sorted(some)).most_common(1)[0][0]
    others = [f"{shown(name)}: {' and '.join(map(str, sorted(some)))}" for name, some in sorted(widths.items())
              if some != {common}]  # fmt: skip
    return f"width {common}" + (f" ({', '.join(others)})" if others else "")


def _csv(suite: str, kinds: Collection[str]) -> str:
    """A list of the suite's CSV tables, and the command that makes its records."""
    known = {kind: csv_tables.name(suite, kind) for kind in kinds}
    known |= {"pairs": pairs_file.name(suite)} if "pairs" in kinds else {}
    found = [f"[{kind}]({known[kind]}): {what}" for kind, what in csv_tables.MEANT.items() if kind in known]
    made = [f"made by {code(f'make bench SUITE={suite}')}"] if suite in SUITES else []
    return "\n".join(paragraph(line, "- ") for line in [*found, *made])
