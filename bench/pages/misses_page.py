"""The block on failures: images hardly found, borders far off, the worst twentieth, and probabilities that mislead."""

from __future__ import annotations

from bench.markdown import NONE, escape, paragraph, ratio, table
from bench.statistics import misses
from bench.statistics.rows import Section


def failing(section: Section) -> list[str]:
    """A table of all rows; empty where nothing was scored."""
    if not section.rows:
        return []
    rows = []
    for row in section.rows:
        found, probabilities = misses.misses(row), row.calibration
        trust = [ratio(probabilities.ece), ratio(probabilities.brier)] if probabilities else [NONE, NONE]
        far = NONE if found.far is None else f"{found.far} of {found.n}"
        rows.append([escape(row.name), f"{found.low} of {found.n}", far, ratio(found.worst), *trust])
    headers = ["Architecture", f"Dice under {misses.LOW}", f"HD95 over {misses.FAR_MM:.0f} mm",
               f"Worst {100 * misses.WORST:.0f} %", "ECE", "Brier"]  # fmt: skip
    note = (
        "Images by their mean over seeds. HD95 at the stored resolution, an infinite one among those over the limit;"
        f" Worst {100 * misses.WORST:.0f} %: mean Dice of the images of lowest Dice. ECE (expected calibration error,"
        " 15 bins of equal width) and Brier score are over all pixels of the probability maps at the network's size: 0"
        f" is perfect, and most pixels are easy. {NONE}: not recorded by the protocol."
    )
    return ["### Where it fails", table(headers, rows), paragraph(note)]
