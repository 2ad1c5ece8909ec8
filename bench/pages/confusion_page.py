"""Pixels as a classifier's: how many lung and background pixels were told right."""

from __future__ import annotations

from bench.markdown import escape, percent, ratio, table
from bench.statistics.rows import Row, Section
from lungseg import metrics


def confusion(section: Section) -> list[str]:
    """Blocks: counts with their shares, then precision, recall and F1 a class."""
    return [_counts(section), _report(section)]


def _counts(section: Section) -> str:
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
