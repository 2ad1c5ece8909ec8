"""The page of a suite: answers, leaderboard, figures; the rest is folded or in CSV. Every number comes from a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from bench import names
from bench.markdown import Namer, code, counted, escape, generated, listed, paragraph, shown, table
from bench.pages import answers, comparisons, completeness, csv_tables, hard_cases, other_measures, provenance, tables
from bench.records.record import PROTOCOL
from bench.running.reruns import Reruns
from bench.speed.throughput_table import ThroughputTable
from bench.statistics.rows import Leaderboard, Row
from bench.statistics.scores import MIXED, common_unit
from bench.statistics.subgroups import Subgroups
from bench.suites import SUITES

Figures = Mapping[str, str]  # kind -> path relative to the page

CAPTIONS = {
    "leaderboard": "Mean Dice of each network with its 95 % interval, and its paired difference to the best",
    "pairwise": "Verdict of each pair of networks",
    "distribution": "Dice of each image by network: quartiles, outliers and mean",
    "curves": "Median validation Dice over epochs by network",
    "confusion": "Confusion matrices of pixels, normalised by the true class",
    "speed": "Images per second against mean Dice by network",
    "gallery": "Best, median and worst images with outlines of ground truth and prediction",
}
MOST_ROWS = 12  # networks of a leaderboard whose costs and other measures are shown in a table too; CSV has them all
FOLDED = ("distribution", "curves", "confusion", "speed", "gallery")


def suite_page(
    suite: str,
    leaderboards: Sequence[Leaderboard],
    measured: Sequence[ThroughputTable],
    figures: Sequence[Figures],
    groups: Sequence[Subgroups],
    unreadable: Mapping[str, str] = MappingProxyType({}),
    repeated: Sequence[Reruns] = (),
    csv: Collection[str] = (),
) -> str:
    """The Markdown of one suite.

    figures: of each leaderboard, kind -> path relative to the page. groups: of each leaderboard, its patient groups.
    unreadable: file -> why it is not in the tables.
    repeated: equal runs of its cells. csv: kinds of its CSV tables.
    """
    blocks = [generated(), f"# {escape(suite)}"]
    if suite in SUITES:
        title = SUITES[suite].title
        blocks.append(paragraph(f"{title[0].upper()}{title[1:]}."))
    links = "[Leaderboard](README.md) | [Methods](METHODS.md) | [Speed](SPEED.md) | [Sortable table](index.html)"
    if any(leaderboard.hardest_gains for leaderboard in leaderboards):
        links += " | [Hardest images](HARDEST.md)"
    apart = f" | {len(leaderboards)} tables, not comparable with each other" if len(leaderboards) > 1 else ""
    blocks.append(f"{links}{apart}")
    blocks += unread(unreadable)
    newest = max((s.conditions.protocol for s in leaderboards), default=0)
    for i, (leaderboard, paths, known) in enumerate(zip(leaderboards, figures, groups, strict=True)):
        if leaderboard.conditions.protocol < newest:
            blocks += superseded(leaderboard, paths)
        else:
            blocks += leaderboard_blocks(leaderboard, paths, known, measured, brief=i > 0)
            blocks += provenance.repeated(leaderboard, repeated)
        edited = [c.name for c in leaderboard.cells if not c.sealed]
        if edited:
            cells = ", ".join(map(escape, edited))
            blocks.append(paragraph(f"**Unverified**: these records differ from their own hash: {cells}."))
        if leaderboard.mixed:
            mixed = escape("; ".join(leaderboard.mixed))
            blocks.append(paragraph(f"**Mixed**: these records are not comparable: {mixed}. Run the suite again."))
    if links_to_csv := _csv(suite, csv, leaderboards):
        blocks += ["## Tables", *links_to_csv]
    return "\n\n".join(blocks) + "\n"


def unread(files: Mapping[str, str]) -> list[str]:
    """Blocks that name files which are in no table; empty where all could be read."""
    text = "**Unreadable.** These files are in no table; delete them and run their suite again:"
    lines = _items(f"{escape(path)}: {escape(why)}" for path, why in files.items())
    return [paragraph(text), *lines] if lines else []


def leaderboard_blocks(
    leaderboard: Leaderboard,
    figures: Figures,
    groups: Subgroups = MappingProxyType({}),
    measured: Sequence[ThroughputTable] = (),
    brief: bool = False,
) -> list[str]:
    """Blocks of one leaderboard; a block is a paragraph, a table or a heading. groups: of patients.

    brief: without other measures, groups, hardest images, further questions and the recipe's settings, which the CSV
    tables and the page's first leaderboard show.
    """
    return [
        _heading(leaderboard),
        paragraph(_conditions(leaderboard, brief)),
        *_units(leaderboard),
        *_answers(leaderboard, brief),
        *_leaderboard(leaderboard, measured, brief),
        *_image("leaderboard", figures),
        *comparisons.ablation(leaderboard, brief),
        *comparisons.extra_data_effects(leaderboard),
        *_image("pairwise", figures),
        *provenance.kinds(leaderboard),
        *_folded("More figures: every image, training curves, confusion, speed",
                 _joined(block for kind in FOLDED for block in _image(kind, figures))),
        *(_details(leaderboard, groups) if not brief else []),
        *failures(leaderboard),
        *flagged(leaderboard),
        *provenance.provenance(leaderboard),
    ]  # fmt: skip


def _details(leaderboard: Leaderboard, groups: Subgroups) -> list[str]:
    return [
        *_folded(
            "Other measures: precision, recall, accuracy, at the stored size",
            other_measures.block(leaderboard) if _few(leaderboard) else [],
        ),
        *_folded("More questions: seeds, choice, convergence, cost, machines", _further(leaderboard)),
        *_folded("Groups of patients", hard_cases.by_group(leaderboard, groups)),
        *_folded("Hardest images", hard_cases.hardest(leaderboard)),
    ]


def superseded(leaderboard: Leaderboard, figures: Figures) -> list[str]:
    """Blocks of a leaderboard with an older protocol than its suite's newest: answer and table, kept for history."""
    return [
        _heading(leaderboard),
        paragraph(_conditions(leaderboard, brief=True)),
        paragraph(f"**Which was best?** {answers.best(leaderboard, shown)}"),
        *([tables.accuracy(leaderboard, leaderboard.rows, seeds=True)] if leaderboard.rows else []),
        *map(paragraph, tables.footnotes(leaderboard, leaderboard.rows)),
        *_image("leaderboard", figures),
    ]


def _heading(leaderboard: Leaderboard) -> str:
    key = leaderboard.conditions
    machine = escape(names.machine(key.backend, key.device_kind))
    return f"## {machine}, {escape(key.precision)}, protocol {key.protocol}{', fast' * key.fast}"


def own_questions(leaderboard: Leaderboard, name: Namer = shown) -> list[tuple[str, str]]:
    """The questions that the suite was designed for, with answers: ablation and extra data; empty for most suites."""
    return [*comparisons.ablation_answer(leaderboard, name), *comparisons.extra_data_effect(leaderboard, name)]


def _folded(summary: str, blocks: Sequence[str]) -> list[str]:
    """The blocks behind a line that a reader opens; nothing where there are none."""
    return [f"<details><summary>{summary}</summary>", *blocks, "</details>"] if blocks else []


def _conditions(leaderboard: Leaderboard, brief: bool) -> str:
    key = leaderboard.conditions
    recipe = key.recipe if brief else names.recipe(key.recipe)
    seeds = ", ".join(map(str, leaderboard.seeds))
    local = provenance.stated(leaderboard).replace("\n", " ")
    scored = any(c.scored for c in leaderboard.cells)
    added = f" ({leaderboard.extra_images} images)" if key.extra_train and scored else ""
    return (
        f"{escape(names.data(key.test_set))} at {key.size[0]} x {key.size[1]} px, {_width(leaderboard)}, recipe"
        f" {escape(recipe)}, {escape(key.split)}{added},"
        f" seed{'s' if len(leaderboard.seeds) > 1 else ''} {seeds}. {local}"
    )


def _image(kind: str, figures: Figures) -> list[str]:
    return [f"![{CAPTIONS[kind]}]({figures[kind]})"] if kind in figures else []


def _answers(leaderboard: Leaderboard, brief: bool) -> list[str]:
    first = [*own_questions(leaderboard), ("Which is best?", answers.best(leaderboard, shown)),
             (answers.SIGNIFICANT, answers.significance(leaderboard, shown))]  # fmt: skip
    few = _few(leaderboard) and not brief
    measured = other_measures.answer(leaderboard, name=shown) if few else None
    first += [("Do other measures agree?", measured)] if measured else []
    three = other_measures.originals(leaderboard, name=shown) if few else None
    first += [(f"{other_measures.QUESTION}?", three)] if three else []
    lacking = completeness.missing(leaderboard, shown)
    first += [("What is missing?", f"{'; '.join(lacking)}.")] if lacking else []
    return _items(f"**{question}** {answer}" for question, answer in first)


def _further(leaderboard: Leaderboard) -> list[str]:
    """The answers that the first screen leaves out."""
    result = [
        *answers.further(leaderboard, shown),
        *comparisons.cross_machine_answers(leaderboard),
        *comparisons.cross_precision_answers(leaderboard, shown),
    ]
    return _items(f"**{question}** {answer}" for question, answer in result)


def _items(lines: Iterable[str]) -> list[str]:
    """A block of one list; empty without a line."""
    return _joined(paragraph(line, "- ") for line in lines)


def _joined(blocks: Iterable[str]) -> list[str]:
    """One block of all of them, if there are any."""
    text = "\n".join(blocks)
    return [text] if text else []


def _leaderboard(leaderboard: Leaderboard, measured: Sequence[ThroughputTable], brief: bool) -> list[str]:
    few = _few(leaderboard) and not brief
    notes = [tables.notes(leaderboard, leaderboard.rows, few)] if leaderboard.rows else ["Nothing was scored."]
    if out := [r for r in leaderboard.rows if not r.rank]:
        why = ", ".join(f"{shown(r.name)} ({completeness.unranked(leaderboard, r)})" for r in out)
        notes.append(f"Not ranked: {why}.")
    lost = sorted({c.row for c in leaderboard.cells} - {r.name for r in leaderboard.rows})
    notes += [f"Failed in every cell: {', '.join(map(shown, lost))}."] if lost else []
    if made := [r for r in leaderboard.rows if not r.single]:
        notes.append(_not_trained(made))
    if absent := completeness.never_run(leaderboard):
        notes.append(f"{counted(len(absent), 'more architecture')} can be run in this table: `python -m bench list`.")
    if absent := completeness.variants_never_run(leaderboard):
        notes.append(f"Variants of the suite that were not run here: {', '.join(map(escape, absent))}.")
    said = [paragraph(note) for note in notes]
    if not leaderboard.rows:
        return said
    costs = [tables.costs(leaderboard, _trained(leaderboard), measured)] if few else []
    return [tables.accuracy(leaderboard, leaderboard.rows), *costs, *said]


def _trained(leaderboard: Leaderboard) -> list[Row]:
    """The rows that are networks; all where none is."""
    return [row for row in leaderboard.rows if row.single] or [*leaderboard.rows]


def _few(leaderboard: Leaderboard) -> bool:
    return len(_trained(leaderboard)) <= MOST_ROWS


def _not_trained(ensembles: Sequence[Row]) -> str:
    """What rows that are no network's own are, by the ends of their names, and what their predictions cost."""
    ends: dict[str, dict[str, None]] = {}
    for row in ensembles:
        made = row.name.partition(" (")[0]  # without the variant, whose name may hold a plus, as UNet++ does
        end = names.display(made).removeprefix(names.display(made.partition("+")[0])).strip()
        ends.setdefault(answers.made_of(row), {})[escape(end)] = None
    each = [f"{listed([*some])} is {what}" for what, some in ends.items()]
    times = sorted({row.transforms for row in ensembles if row.transforms > 1})
    costs = f" Prediction with TTA costs {listed([str(n) for n in times])} times as much." if times else ""
    return f"Made of trained networks: {'; '.join(each)}.{costs}"


def _units(leaderboard: Leaderboard) -> list[str]:
    """What to do about distances that have no common unit; empty where they have one."""
    if common_unit(leaderboard.rows) != MIXED:
        return []
    return [
        paragraph(
            "**Units differ.** Some images of this table have distances in mm and others in px, as only some were"
            " given a spacing, and no mean or median of both is shown. Give every image a spacing or none, and run the"
            " suite again."
        )
    ]


def _width(leaderboard: Leaderboard) -> str:
    """``width 16 (M2U-Net: 64)``: of the first level, the commonest and who has another; of two as common ones, that of
    the higher mean. Ensembles have those of their members."""
    made = {row.architecture for row in leaderboard.rows if not row.single}
    order = [row.architecture for row in leaderboard.rows]
    known = sorted(leaderboard.widths.items(), key=lambda one: order.index(one[0]) if one[0] in order else len(order))
    widths = {name: some for name, some in known if name not in made} or dict(known)
    common = Counter(width for some in widths.values() for width in sorted(some)).most_common(1)[0][0]
    others = [f"{shown(name)}: {' and '.join(map(str, sorted(some)))}" for name, some in sorted(widths.items())
              if some != {common}]  # fmt: skip
    return f"width {common}" + (f" ({', '.join(others)})" if others else "")


def _csv(suite: str, kinds: Collection[str], leaderboards: Sequence[Leaderboard]) -> list[str]:
    """A list of the suite's CSV tables, and the commands that make the records of its first leaderboard."""
    result = [f"[{kind}]({csv_tables.name(suite, kind)}): {what}" for kind, (what, _) in csv_tables.KINDS.items()
              if kind in kinds]  # fmt: skip
    needed = provenance.commands(SUITES[suite], leaderboards[0]) if suite in SUITES and leaderboards else []
    old = bool(needed) and leaderboards[0].conditions.protocol < PROTOCOL  # made so at the commits of cells.csv
    made = [f"{'once ' * old}made by {', then '.join(map(code, needed))}"] if needed else []
    return _items([*result, *made])


def failures(leaderboard: Leaderboard) -> list[str]:
    """Blocks: cells that have no score, and why; empty where all have."""
    if not leaderboard.failed:
        return []
    rows = [
        [escape(c.name), escape(c.status), escape(c.error[0]), escape(c.error[1], 160)] for c in leaderboard.failed
    ]  # fmt: skip
    return ["### Failed cells", table(["Cell", "Status", "Error", "Message"], rows, left=4)]


def flagged(leaderboard: Leaderboard) -> list[str]:
    """Blocks: warnings about trainings whose scores stand but should be looked at. The CSV table names them."""
    result = Counter(warning for c in leaderboard.cells for warning in c.warnings)
    return _items(f"Warning in {n} of {len(leaderboard.cells)} cells: {escape(text)}." for text, n in result.items())
