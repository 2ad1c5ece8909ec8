"""Mean Dice of every row with its interval, beside its paired difference to the best and the equivalence band."""

from __future__ import annotations

from matplotlib.ticker import MaxNLocator

from bench.figures import style
from bench.figures.style import Axes, Figure, canvas, first_of, heading, labels, stretched, text_inches, unstretched
from bench.findings import BEST, against_best, single_seed, title
from bench.names import display
from bench.statistics.rows import MIN_SEEDS, Leaderboard, Row
from bench.statistics.verdicts import EQUIVALENT, MARGIN, UNKNOWN, WORSE

WIDE = 0.12  # a range of Dice in which a linear axis leaves rows a hundredth apart on one spot
COLOURS = {BEST: style.BLUE, EQUIVALENT: style.GREEN, UNKNOWN: style.GREY, WORSE: style.ORANGE, "-": style.GREY}
MARKS = {BEST: "o", EQUIVALENT: "D", UNKNOWN: "s", WORSE: "v", "-": "x"}
WORDS = {BEST: "highest mean", EQUIVALENT: f"equivalent within {MARGIN}", UNKNOWN: "not known", WORSE: "worse",
         "-": "unfinished"}  # fmt: skip


def leaderboard(leaderboard: Leaderboard) -> Figure | None:
    """Means with 95 % intervals from the highest on; unranked rows grey, below. None where nothing was scored."""
    rows = leaderboard.rows[: style.MAX_ROWS]
    if not rows:
        return None
    names = [_name(row, text) for row, text in zip(rows, labels([display(r.name) for r in rows], 34), strict=True)]
    left, line = 0.25 + text_inches(names), 0.42 if any("\n" in name for name in names) else 0.32
    low, high = min(r.dice.ends[0] for r in rows), max(r.dice.ends[1] for r in rows)
    wide = high - low >= WIDE  # one row so far behind that it would press the others together
    bottom = 1.02 if wide else 0.85
    figure = canvas(8.6, 0.9 + bottom + line * len(rows), left=left, top=0.75, bottom=bottom)
    means, differences = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1))
    words = [against_best(leaderboard, row) for row in rows]
    for y, (row, word) in enumerate(zip(rows, words, strict=True)):
        _interval(means, row.dice.ends, row.dice.value, y, word, hollow=len(row.seeds) < MIN_SEEDS)
    _differences(differences, leaderboard, rows, words)
    means.set_yticks(range(len(rows)), names)
    means.set_ylim(len(rows) - 0.4, -0.6)
    for axes in (means, differences):
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelleft=axes is means)
    if wide:
        means.set_xscale("function", functions=(stretched, unstretched))
        ticks = [t for t in style.TICKS if low < t < high]
        means.set_xticks(ticks, [f"{t:g}" for t in ticks])
        means.minorticks_off()
    else:
        means.locator_params(axis="x", nbins=5)
    means.set_xlabel("mean Dice, 95 % interval" + "\n(axis stretched towards 1)" * wide)
    differences.set_xlabel("Dice minus the best's, same patients")
    shown = [w for w in WORDS if w in words]
    for word in shown:
        means.plot([], [], MARKS[word] + "-", color=COLOURS[word], linewidth=2.2, label=WORDS[word])
    figure.legend(*means.get_legend_handles_labels(), loc="lower left", ncols=5, bbox_to_anchor=(0, 0))
    n = max(len(r.images) for r in rows)
    single = f"; hollow: fewer than {MIN_SEEDS} seeds, about these weights only" if any(
        single_seed(leaderboard, r) and r.rank for r in rows) else ""  # fmt: skip
    heading(figure, title(leaderboard), f"{n} images, each predicted by a training that never saw it{single}"
            f"{first_of(len(rows), len(leaderboard.rows))}")  # fmt: skip
    return figure


def _interval(axes: Axes, ends: tuple[float, float], value: float, y: int, word: str, hollow: bool) -> None:
    axes.plot(ends, [y, y], color=COLOURS[word], linewidth=2.2, solid_capstyle="butt", zorder=2)
    face = style.GROUND if hollow else COLOURS[word]
    axes.plot(value, y, MARKS[word], color=COLOURS[word], markerfacecolor=face, markersize=7, zorder=3)


def _differences(axes: Axes, leaderboard: Leaderboard, rows: tuple[Row, ...], words: list[str]) -> None:
    """Each ranked row minus the best, with the interval of its pair, above the equivalence band."""
    axes.axvspan(-MARGIN, MARGIN, color=style.SKY, alpha=0.22, linewidth=0, zorder=0)
    axes.axvline(0, color=style.INK, linewidth=1, zorder=1)
    lowest = -2 * MARGIN
    for y, (row, word) in enumerate(zip(rows, words, strict=True)):
        if pair := leaderboard.pair_with_best(row):
            d = pair.difference
            _interval(axes, d.ends, d.value, y, word, hollow=not pair.generalises_over_seeds)
            lowest = min(lowest, d.ends[0])
    axes.set_xlim(1.06 * lowest, 2.2 * MARGIN)
    low, high = axes.get_xlim()
    clear = low + (high - low) / 10  # the panel before may end there with a number of its own
    axes.set_xticks([t for t in MaxNLocator(4).tick_values(low, high) if clear < t <= high])
    # at the frame, since a narrow band has no room above it
    axes.text(2.2 * MARGIN, -0.75, f"±{MARGIN}: equivalence margin", ha="right", va="bottom", fontsize=8,
              color=style.GREY)  # fmt: skip


def _name(row: Row, text: str) -> str:
    return text if row.complete else f"{text}\n({row.cells[0]} of {row.cells[1]} cells)"
