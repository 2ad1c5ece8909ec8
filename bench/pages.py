"""A section -> the Markdown blocks of its page. Every number comes from a row, none is typed in."""

from __future__ import annotations

from collections.abc import Mapping

from bench import answers, stats
from bench.markdown import (
    NONE,
    distance,
    duration,
    escape,
    millions,
    p_value,
    paragraph,
    percent,
    ratio,
    table,
    with_interval,
)
from bench.provenance import provenance
from bench.rows import Row, Section
from lungseg import metrics

Figures = Mapping[str, str]  # kind -> path relative to the page
MOST_PAIRS = 30

CAPTIONS = {
    "leaderboard": "Mean Dice over images with its 95 % interval; hollow: pooled over all pixels",
    "distribution": "Dice of every image, predicted out of fold",
    "curves": "Training curves, axes stretched towards the best: a thin line a cell, thick their median",
    "confusion": "Confusion matrices over all pixels, shares of a row",
    "speed": "Speed against accuracy; a larger dot has more parameters",
    "gallery": "Best, median and worst images",
}


def section_page(section: Section, figures: Figures) -> list[str]:
    """Blocks of one section; a block is a paragraph, a table or a heading."""
    key = section.setting
    trained = "" if key.trained_on == key.scored_on else f" (trained on {escape(key.trained_on)})"
    seeds = ", ".join(map(str, section.seeds))
    blocks = [
        f"## {escape(key.backend)} on {escape(key.device_kind)}, {escape(key.precision)}",
        paragraph(
            f"Data {escape(key.scored_on)}{trained} at {key.size[0]} x {key.size[1]} px, recipe"
            f" {escape(key.recipe)}, {key.folds} folds grouped by patient,"
            f" seed{'s' if len(section.seeds) > 1 else ''} {seeds}. Scores are at that resolution."
        ),
        *_answers(section),
        "### Leaderboard", _leaderboard(section), *_image("leaderboard", figures),
        "### Differences", *_differences(section),
        "### Per image and pooled", _ratios(section), *_image("distribution", figures),
        "### Borders and anatomy", _borders(section),
        "### Cost", _cost(section), *_image("speed", figures),
        "### Folds", _folds(section), *_image("curves", figures),
        "### Confusion of pixels", _confusion(section), _report(section), *_image("confusion", figures),
        "### Hardest images", *_hardest(section), *_image("gallery", figures),
        *_failures(section),
        "### Where the numbers come from", *provenance(section),
    ]  # fmt: skip
    return blocks


def _image(kind: str, figures: Figures) -> list[str]:
    return [f"![{CAPTIONS[kind]}]({figures[kind]})"] if kind in figures else []


def _answers(section: Section) -> list[str]:
    lines = [
        paragraph(f"**Which is best?** {answers.best(section)}"),
        paragraph(f"**Is the difference real?** {answers.real(section)}"),
        paragraph(f"**What does it cost?** {answers.cost(section)}"),
    ]
    if gaps := answers.missing(section):
        what = "\n".join(paragraph(line, "- ") for line in gaps)
        lines.append(f"**Incomplete.** Not every image was predicted by every seed:\n\n{what}")
    return lines


def _leaderboard(section: Section) -> str:
    unit = section.rows[0].boundary.unit if section.rows else "mm"
    headers = ["Rank", "Architecture", "Dice [95 % interval]", "Pooled", f"HD95 {unit}", "Two lungs",
               "Weights", "Training"]  # fmt: skip
    rows = [
        [str(r.rank or NONE), escape(r.name), with_interval(r.dice), ratio(r.pooled["dice"]),
         distance(r.boundary.hd95_median), percent(r.plausible), millions(r.parameters),
         duration(r.train_seconds)]
        for r in section.rows
    ]  # fmt: skip
    scored = {r.name for r in section.rows}
    widths = {int(r["cell"]["width"]) for r in section.records}
    for name in sorted({stats.name_of(r, widths) for r in section.records} - scored):
        rows.append([NONE, escape(name), "failed", *[NONE] * 5])
    out = table(headers, rows, left=2)
    notes = [f"{escape(r.name)}: not ranked ({answers.unranked(section, r)})." for r in section.rows if not r.rank]
    return "\n\n".join([out, *(paragraph(n) for n in notes)])


def _differences(section: Section) -> list[str]:
    if not section.pairs:
        return ["No two architectures were ranked, so none are compared."]
    rows = [
        [f"{escape(p.first)} - {escape(p.second)}", with_interval(p.difference, sign=True),
         with_interval(p.superiority, 2), p_value(p.p_value), p_value(p.p_holm), "yes" if p.real else "no"]
        for p in section.pairs[:MOST_PAIRS]
    ]  # fmt: skip
    headers = ["Pair", "Difference in Dice [95 %]", "P(first > second) [95 %]", "p", "p, Holm", "Told apart"]
    n = section.rows[0].n_patients
    note = (
        f"Paired over the same {n} patients. Told apart: the interval excludes 0 and the corrected p is"
        f" below 0.05. {answers.about(section)} A difference of {ratio(section.detectable or 0)} would be"
        " found with 80 % power, given this number of patients and the median spread of the differences."
    )
    more = len(section.pairs) - MOST_PAIRS
    return [table(headers, rows), *([f"And {more} more pairs."] if more > 0 else []), paragraph(note)]


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
    unit = section.rows[0].boundary.unit if section.rows else "mm"
    rows = [
        [escape(r.name), distance(b.hd95_median), distance(b.hd95_mean), distance(b.assd_mean),
         ratio(b.nsd_mean), f"{b.n_inf} of {b.n}", str(r.n_empty), percent(r.plausible)]
        for r in section.rows for b in [r.boundary]
    ]  # fmt: skip
    headers = ["Architecture", f"HD95 {unit}, median", "mean", f"ASSD {unit}", f"NSD at 2 {unit}", "Infinite",
               "Both empty", "Two lungs"]  # fmt: skip
    return table(headers, rows)


def _cost(section: Section) -> str:
    rows = [
        [escape(r.name), str(r.width), millions(r.parameters), f"{r.gmacs:.2f}", duration(r.train_seconds),
         duration(r.total_seconds), f"{r.peak_memory_bytes / 2**20:.0f}" if r.peak_memory_bytes else NONE,
         f"{r.cells[0]} of {r.cells[1]}"]
        for r in section.rows
    ]  # fmt: skip
    headers = ["Architecture", "Width", "Parameters", "GMACs", "Training a cell", "All cells", "Peak MiB",
               "Cells"]  # fmt: skip
    return table(headers, rows)


def _folds(section: Section) -> str:
    rows = [
        [escape(f.name), str(f.fold), str(f.n), ratio(f.dice), ratio(f.sd_images),
         ", ".join(str(e + 1) for e in f.best_epochs), ", ".join(map(str, f.epochs)),
         duration(f.train_seconds)]
        for f in section.folds
    ]  # fmt: skip
    headers = ["Architecture", "Fold", "Images", "Mean Dice", "SD images", "Best epoch", "Epochs run",
               "Training"]  # fmt: skip
    return table(headers, rows)


def _confusion(section: Section) -> str:
    rows = [
        [escape(r.name), *(f"{int(c):,} ({percent(c / max(total, 1))})" for c, total in _shares(r))]
        for r in section.rows
    ]
    return table(["Architecture", "Lung found (TP)", "Lung missed (FN)", "Invented (FP)", "Left alone (TN)"], rows)


def _shares(row: Row) -> list[tuple[int, int]]:
    c = row.counts
    lung, background = c.tp + c.fn, c.fp + c.tn
    return [(c.tp, lung), (c.fn, lung), (c.fp, background), (c.tn, background)]


def _report(section: Section) -> str:
    rows = []
    for r in section.rows:
        report = metrics.classification_report(r.counts)
        for name in ("background", "lung", "macro avg", "weighted avg"):
            line = report[name]
            rows.append([escape(r.name), name, *(ratio(line[k]) for k in ("precision", "recall", "f1")),
                         f"{line['support']:,}"])  # fmt: skip
    return table(["Architecture", "Class", "Precision", "Recall", "F1", "Support, px"], rows, left=2)


def _hardest(section: Section) -> list[str]:
    found = stats.hardest(section)
    if not found:
        return ["Nothing was scored."]
    shown = [name for name, _, _ in found[0][2]][:4]
    rows = [
        [escape(image), ratio(mean), *(f"{ratio(d)} / {distance(h)}" for name, d, h in each if name in shown)]
        for image, mean, each in found
    ]
    unit = section.rows[0].boundary.unit
    over = f"all {len(found[0][2])} architectures" if len(found[0][2]) > 1 else "the seeds"
    note = f"Mean Dice over {over} that share these images, then Dice / HD95 ({unit}) of each shown."
    return [table(["Image", "Mean Dice", *map(escape, shown)], rows), paragraph(note)]


def _failures(section: Section) -> list[str]:
    if not section.failed:
        return []
    rows = [
        [escape(stats.cell_id(r)), escape(r["status"]), escape(error.get("type", "")),
         escape(error.get("message", ""), 160)]
        for r in section.failed for error in [r.get("error") or {}]
    ]  # fmt: skip
    return ["### Failed cells", table(["Cell", "Status", "Error", "Message"], rows, left=4)]
