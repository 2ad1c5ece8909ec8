"""Mean Dice of every row with its interval, beside its paired difference to the best and the equivalence band."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.ticker import MaxNLocator

from bench.figures import style
from bench.figures.style import Axes, Figure, canvas, first_of, heading, labels, stretched, text_inches, unstretched
from bench.markdown import NONE
from bench.names import data, display
from bench.statistics.rows import Conditions, Leaderboard, Row
from bench.statistics.verdicts import EQUIVALENT, MARGIN, MIN_SEEDS, UNKNOWN, WORSE
from bench.verdict_words import BEST, UNFINISHED, WITHIN, against_best, few_seeds, title

FEWEST = 3  # rows that an axis is made for
WIDE = 0.12  # a range of Dice in which a linear axis leaves rows a hundredth apart on one spot
COLOURS = {BEST: style.BLUE, EQUIVALENT: style.GREEN, UNKNOWN: style.GREY, WORSE: style.ORANGE, NONE: style.GREY}
MARKS = {BEST: "o", EQUIVALENT: "D", UNKNOWN: "s", WORSE: "v", NONE: "x"}
LEGEND = {BEST: "highest mean", EQUIVALENT: WITHIN, UNKNOWN: UNKNOWN, WORSE: WORSE, NONE: UNFINISHED}


def leaderboard(leaderboard: Leaderboard) -> Figure | None:
    """Means with 95 % intervals from the highest on; unranked rows grey, below. None where nothing was scored."""
    rows = leaderboard.rows[: style.MAX_ROWS]
    if not rows:
        return None
    names = [_name(row, text) for row, text in zip(rows, labels([display(r.name) for r in rows], 34), strict=True)]
    left, line = 0.25 + text_inches(names), 0.42 if any("\n" in name for name in names) else 0.32
    ends = {row.name: row.dice.ends for row in rows}
    near = _near(ends)
    low, high = min(ends[name][0] for name in near), max(ends[name][1] for name in near)
    wide = high - low >= WIDE
    bottom = 1.02 if wide else 0.85
    figure = canvas(8.6, 0.9 + bottom + line * len(rows), left=left, top=0.75, bottom=bottom)
    means, differences = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1))
    words = [against_best(leaderboard, row) for row in rows]
    for y, (row, word) in enumerate(zip(rows, words, strict=True)):
        hollow = len(row.seeds) < MIN_SEEDS
        if row.name in near:
            _interval(means, row.dice.ends, row.dice.value, y, word, hollow)
        else:
            _far(means, f"{row.dice.value:.3f}", y, word)
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
    shown = [w for w in LEGEND if w in words]
    for word in shown:
        means.plot([], [], MARKS[word] + "-", color=COLOURS[word], linewidth=2.2, label=LEGEND[word])
    figure.legend(*means.get_legend_handles_labels(), loc="lower left", ncols=5, bbox_to_anchor=(0, 0))
    n = max(len(r.images) for r in rows)
    single = f"; hollow: fewer than {MIN_SEEDS} seeds" if any(
        few_seeds(leaderboard, r) and r.rank for r in rows) else ""  # fmt: skip
    what = f"{_of(leaderboard.conditions)}: {n} images, none seen in training{single}"
    heading(figure, title(leaderboard), f"{what}{first_of(len(rows), len(leaderboard.rows))}")
    return figure


def _of(key: Conditions) -> str:
    sets = f"{data(key.train_set)} to {data(key.test_set)}" if key.cross_dataset else data(key.train_set)
    return f"{sets}, {key.size[0]} px, recipe {key.recipe}"


def _near(ends: Mapping[str, tuple[float, float]]) -> set[str]:
    """The rows that share an axis, by their intervals: all but those so far below the others that these would lie on
    one spot."""
    names = sorted(ends, key=lambda name: -ends[name][1])
    for last in range(len(names) - 1, FEWEST - 1, -1):
        low, high = min(ends[name][0] for name in names[:last]), ends[names[0]][1]
        if low - ends[names[last]][1] > high - low:
            return set(names[:last])
    return set(names)


def _far(axes: Axes, text: str, y: int, word: str) -> None:
    """A row that lies to the left of the axis."""
    at = axes.get_yaxis_transform()
    axes.plot(0.02, y, "<", color=COLOURS[word], markersize=7, transform=at, zorder=3)
    axes.text(0.06, y, text.replace("-", "\u2212"), transform=at, va="center", fontsize=9, color=style.INK)


def _interval(axes: Axes, ends: tuple[float, float], value: float, y: int, word: str, hollow: bool) -> None:
    axes.plot(ends, [y, y], color=COLOURS[word], linewidth=2.2, solid_capstyle="butt", zorder=2)
    face = style.GROUND if hollow else COLOURS[word]
    axes.plot(value, y, MARKS[word], color=COLOURS[word], markerfacecolor=face, markersize=7, zorder=3)


def _differences(axes: Axes, leaderboard: Leaderboard, rows: tuple[Row, ...], words: list[str]) -> None:
    """Each ranked row minus the best, with the interval of its pair, above the equivalence band."""
    axes.axvspan(-MARGIN, MARGIN, color=style.SKY, alpha=0.22, linewidth=0, zorder=0)
    axes.axvline(0, color=style.INK, linewidth=1, zorder=1)
    pairs = {row.name: pair for row in rows if (pair := leaderboard.pair_with_best(row))}
    near = _near({name: pair.difference.ends for name, pair in pairs.items()})
    lowest = min([-2 * MARGIN, *(pairs[name].difference.ends[0] for name in near)])
    for y, (row, word) in enumerate(zip(rows, words, strict=True)):
        if pair := pairs.get(row.name):
            d = pair.difference
            if row.name in near:
                _interval(axes, d.ends, d.value, y, word, hollow=not pair.generalises_over_seeds)
            else:
                _far(axes, f"{d.value:+.3f}", y, word)
    axes.set_xlim(1.06 * lowest, 2.2 * MARGIN)
    low, high = axes.get_xlim()
    clear = low + (high - low) / 10  # the panel before may end there with a number of its own
    axes.set_xticks([t for t in MaxNLocator(4).tick_values(low, high) if clear < t <= high])
    # at the frame, since a narrow band has no room above it
    axes.text(2.2 * MARGIN, -0.75, f"±{MARGIN}: equivalence margin", ha="right", va="bottom", fontsize=8,
              color=style.GREY)  # fmt: skip


def _name(row: Row, text: str) -> str:
    return text if row.complete else f"{text}\n({row.cells[0]} of {row.cells[1]} cells)"
