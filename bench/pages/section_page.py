"""A section -> the Markdown blocks of its page. Every number comes from a row, none is typed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from bench.markdown import (
    NONE,
    distance,
    duration,
    escape,
    millions,
    paragraph,
    percent,
    ratio,
    span,
    table,
    with_interval,
)
from bench.pages import (
    ablation_page,
    answers,
    budget,
    confusion_page,
    counterparts_page,
    gaps,
    images_page,
    kinds_page,
    literature,
    misses_page,
    protocol_page,
    ranking_page,
    strata_page,
    troubles_page,
)
from bench.pages.provenance import provenance
from bench.statistics import borders, fixed_split
from bench.statistics.rows import MIN_SEEDS, Row, Section
from bench.statistics.strata import Strata
from lungseg.metrics import METRICS

Figures = Mapping[str, str]  # kind -> path relative to the page

SEEDS = (
    "With fewer than {needed} seeds a row, ranks and intervals are of these weights, not of methods: an interval"
    " of one seed covers patients only."
)

FINE = 200  # pixels a side of which each is narrower than 2 mm on a film of 40 cm

CAPTIONS = {
    "leaderboard": "Mean Dice over patients with its 95 % interval; hollow: pooled over all pixels",
    "pairwise": "Differences between rows, and which is better",
    "stability": "Places over resamples and by verdicts, and ranks against eroded and dilated truth",
    "distribution": "Dice of every image, predicted by networks that its fold held out of training",
    "curves": "Training curves, axes stretched towards the best: a thin line a cell, thick their median",
    "confusion": "Confusion matrices over all pixels, shares of a row",
    "speed": "Speed against accuracy; a larger dot has more parameters",
    "gallery": "Best, median and worst images",
}


def section_page(section: Section, figures: Figures, stored: Strata | None = None) -> list[str]:
    """Blocks of one section; a block is a paragraph, a table or a heading. stored: aggregates by sex and age."""
    key = section.setting
    seeds = ", ".join(map(str, section.seeds))
    blocks = [
        f"## {escape(key.backend)} on {escape(key.device_kind)}, {escape(key.precision)}, protocol {key.protocol}"
        f"{', fast' * key.fast}",
        paragraph(
            f"Data {escape(key.scored_on)} at {key.size[0]} x {key.size[1]} px, {_width(section)}, recipe"
            f" {escape(key.recipe)}, {escape(key.split)}{_besides(section)},"
            f" seed{'s' if len(section.seeds) > 1 else ''} {seeds}. Scores are at that resolution unless a column says"
            " otherwise."
        ),
        protocol_page.stated(section),
        *_units(section),
        *_answers(section),
        "### Leaderboard", _leaderboard(section), *_image("leaderboard", figures),
        *ablation_page.ablation(section),
        *counterparts_page.gains(section),
        "### Differences", *kinds_page.kinds(section), *ranking_page.differences(section), *_image("pairwise", figures),
        "### How stable the order is", *ranking_page.stability(section), *_image("stability", figures),
        *counterparts_page.retrained(section),
        "### Per image and pooled", _ratios(section), *_image("distribution", figures),
        "### Borders and anatomy", _borders(section),
        *misses_page.failing(section),
        *strata_page.by_group(section, stored),
        "### Cost", _cost(section), *_image("speed", figures),
        *budget.budget(section),
        *literature.published(section),
        *ranking_page.variance(section),
        "### Folds", _folds(section), *_image("curves", figures),
        "### Confusion of pixels", *confusion_page.confusion(section), *_image("confusion", figures),
        "### Hardest images", *images_page.hardest(section), *_image("gallery", figures),
        *images_page.disagreements(section),
        *troubles_page.failures(section),
        *troubles_page.doubtful(section),
        "### Where the numbers come from", *provenance(section),
    ]  # fmt: skip
    return blocks


def _besides(section: Section) -> str:
    """How many images of another set every fold trains on besides."""
    some = section.setting.besides and any(c.scored for c in section.cells)
    return f" ({section.extra_images} images)" if some else ""


def _image(kind: str, figures: Figures) -> list[str]:
    return [f"![{CAPTIONS[kind]}]({figures[kind]})"] if kind in figures else []


def first_screen(section: Section) -> list[tuple[str, str]]:
    """Questions with their answers, what the suite was made to ask before the rest."""
    return [*own_questions(section), *answers.answers(section), *counterparts_page.again(section)]


def own_questions(section: Section, name: Callable[[object], str] = escape) -> list[tuple[str, str]]:
    """What the suite was made to ask, with the answers; most ask which network is best and nothing else."""
    return [*ablation_page.answer(section, name), *counterparts_page.gain(section, name)]


def _answers(section: Section) -> list[str]:
    lines = [f"**{question}** {answer}" for question, answer in first_screen(section)]
    blocks = [paragraph(line) for line in lines]
    if lacking := gaps.missing(section):
        what = "\n".join(paragraph(line, "- ") for line in lacking)
        blocks.append(f"**Incomplete.** Not every image was predicted by every seed:\n\n{what}")
    return blocks


def _leaderboard(section: Section) -> str:
    headers = ["Rank", "Tie", "Architecture", "Dice [95 % interval]", "Seeds", "Pooled", *_fixed_split(section),
               *_stored(section), "Two lungs", "Weights", "Training"]  # fmt: skip
    rows = [
        [span(r.place.rank, r.place.last) if r.place else NONE, r.place.group if r.place else NONE, escape(r.name),
         with_interval(r.dice),
         str(len(r.seeds)) if r.rank or r.complete else NONE, ratio(r.pooled["dice"]),
         *_fixed_split(section, r), *_stored(section, r), percent(r.plausible), millions(r.parameters),
         duration(r.train_seconds)]
        for r in section.rows
    ]  # fmt: skip
    scored = {r.name for r in section.rows}
    for name in sorted({c.row for c in section.cells} - scored):
        rows.append([NONE, NONE, escape(name), "failed", *[NONE] * (len(headers) - 4)])
    out = table(headers, rows, left=3)
    notes = [
        f"{escape(r.name)}: not ranked ({gaps.unranked(section, r)}).{gaps.beside(section, r)}"
        for r in section.rows if not r.rank
    ]  # fmt: skip
    if any(r.rank and len(r.seeds) < MIN_SEEDS and r.trainings == 1 for r in section.rows):
        notes.insert(0, SEEDS.format(needed=MIN_SEEDS))
    if made := [r for r in section.rows if not r.single]:
        notes.insert(0, _entries(made))
    if absent := gaps.never_run(section):
        notes.append(f"Registered, but not run here (`--arch` runs them): {', '.join(map(escape, absent))}.")
    if absent := gaps.variants_never_run(section):
        notes.append(f"Variants of the suite that were not run here: {', '.join(map(escape, absent))}.")
    return "\n\n".join([out, *(paragraph(n) for n in notes)])


def _fixed_split(section: Section, row: Row | None = None) -> list[str]:
    """The heading, or a row's cell, of the published split's images; nothing on other data."""
    if section.setting.scored_on != fixed_split.DATA or section.setting.across:
        return []
    if row is None:
        return [f"deepdraw's {len(fixed_split.IMAGES)}, pooled"]
    return [NONE if row.fixed_split is None else ratio(row.fixed_split)]


def _stored(section: Section, row: Row | None = None) -> list[str]:
    """Headings, or a row's cells, of the metrics that have a column: at the stored size of each mask."""
    shown = [metric for metric in METRICS.values() if metric.column]
    if row is None:
        unit = borders.unit(section.rows)
        return [metric.column.format(unit=unit) for metric in shown]
    if row.stored is None:
        return [NONE] * len(shown)
    return [(distance if m.unit == "mm" else ratio)(row.stored.columns[m.name]) for m in shown]


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
    """``width 16 (m2unet: 64)``: of the first level, the commonest and who has another."""
    widths = section.widths
    common = Counter(width for some in widths.values() for width in sorted(some)).most_common(1)[0][0]
    others = [f"{escape(name)}: {' and '.join(map(str, sorted(some)))}" for name, some in sorted(widths.items())
              if some != {common}]  # fmt: skip
    return f"width {common}" + (f" ({', '.join(others)})" if others else "")


def _entries(made: list[Row]) -> str:
    """What the rows are that train nothing, and what each costs."""
    each = [f"{escape(r.name)} is {answers.made_of(r)}" for r in made]
    drawn_apart = (
        " Seeds of a row of views are those of its network, but are drawn apart from them like any row's, so that the"
        " difference of these two has a wider interval than it need have."
    )
    shares_seeds = any(r.trainings == 1 and len(r.seeds) > 1 for r in made)
    return (
        "Not architectures but means of trained networks' probabilities, for which nothing was trained:"
        f" {', '.join(each)}. Each member predicts only images that its own fold held out, so these rows are out of"
        " fold too. A mean of several trainings costs all of them, as its columns say (training, weights and GMACs are"
        " sums), and is one set of weights: it counts as one seed, and its interval covers patients only."
        f"{drawn_apart * shares_seeds}"
    )


def _ratios(section: Section) -> str:
    names = ["dice", "iou", "precision", "recall", "specificity", "accuracy"]
    rows = []
    for r in section.rows:
        spread = [ratio(r.sd_images), ratio(r.sd_seeds) if r.sd_seeds is not None else NONE]
        rows.append([escape(r.name), "mean of images", *(ratio(r.means[k]) for k in names), *spread])
        rows.append([escape(r.name), "pooled", *(ratio(r.pooled[k]) for k in names), NONE, NONE])
    headers = ["Architecture", "Aggregate", "Dice = F1", "IoU", "Precision", "Recall", "Specificity",
               "Accuracy", "SD images", "SD seeds"]  # fmt: skip
    return table(headers, rows, left=2)


def _borders(section: Section) -> str:
    unit = borders.unit(section.rows)
    rows = [
        [escape(r.name), distance(b.hd95_median), distance(b.hd95_mean), distance(b.assd_mean),
         ratio(b.nsd_mean), f"{b.n_inf} of {b.n}", str(r.n_empty), percent(r.plausible)]
        for r in section.rows for b in [r.boundary]
    ]  # fmt: skip
    headers = ["Architecture", f"HD95 {unit}, median", "mean", f"ASSD {unit}", f"NSD at 2 {unit}", "Infinite",
               "Both empty", "Two lungs"]  # fmt: skip
    coarse = (
        f"Where a pixel is wider than 2 mm (a film of 40 cm at fewer than {FINE} px), NSD at 2 mm counts only border"
        " pixels that coincide, so it is low for every network and compares none with published ones."
    )
    told = unit == "mm" and min(section.setting.size) < FINE
    return "\n\n".join([table(headers, rows), *([paragraph(coarse)] if told else [])])


def _cost(section: Section) -> str:
    rows = [
        [escape(r.name), str(r.width), millions(r.parameters), f"{r.gmacs:.2f}",
         f"{r.peak_memory_bytes / 2**20:.0f}" if r.peak_memory_bytes else NONE,
         f"{r.cells[0]} of {r.cells[1]}"]
        for r in section.rows
    ]  # fmt: skip
    headers = ["Architecture", "Width", "Parameters", "GMACs", "Peak MiB of host memory", "Cells"]  # fmt: skip
    return table(headers, rows)


def _folds(section: Section) -> str:
    rows = [
        [escape(f.name), str(f.fold), ", ".join(map(str, f.seeds)), str(f.n), ratio(f.dice), ratio(f.sd_images),
         ", ".join(str(e + 1) for e in f.best_epochs) or NONE, ", ".join(map(str, f.epochs)) or NONE,
         duration(f.train_seconds)]
        for f in section.folds
    ]  # fmt: skip
    headers = ["Architecture", "Fold", "Seeds", "Images", "Mean Dice", "SD images", "Best epoch", "Epochs run",
               "Training"]  # fmt: skip
    return table(headers, rows)
