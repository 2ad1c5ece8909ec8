"""All pairwise comparisons of a suite's rows as CSV; a page shows the first thirty of each machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.paths import file_slug
from bench.records import csv_file, store
from bench.records.results import Results
from bench.statistics.rows import Leaderboard, Pair

# difference: of mean Dice, first minus second, with its 95 % interval; probability_of_improvement: P(first > second) on
# an image; p_apart_holm: of a difference of the margin or more; verdict: of the first against the second
COLUMNS = (
    "protocol",
    "machine",
    "size",
    "recipe",
    "first",
    "second",
    "difference",
    "low",
    "high",
    "probability_of_improvement",
    "p",
    "p_holm",
    "p_apart_holm",
    "wilcoxon",
    "verdict",
    "generalises_over_seeds",
)


def name(suite: str) -> str:
    """Path of the table relative to the results folder: ``pairs/ablation-128.csv``."""
    return f"pairs/{file_slug(suite)}.csv"


def write(results: Results, suite: str, leaderboards: Sequence[Leaderboard]) -> list[Path]:
    """Write the table and return its path; nothing where no two rows were ranked."""
    rows = [_row(leaderboard, pair) for leaderboard in leaderboards for pair in leaderboard.pairs]
    if not rows:
        return []
    path = results.root / name(suite)
    store.write_text(path, csv_file.text(COLUMNS, rows))
    return [path]


def _row(leaderboard: Leaderboard, pair: Pair) -> dict[str, str]:
    key, d = leaderboard.conditions, pair.difference
    values = (
        str(key.protocol),
        key.machine, f"{key.size[0]}x{key.size[1]}", key.recipe, pair.first, pair.second, f"{d.value:.6f}",
        f"{d.low:.6f}", f"{d.high:.6f}", f"{pair.probability_of_improvement.value:.4f}", f"{pair.p_value:.3g}",
        f"{pair.p_holm:.3g}", f"{pair.p_apart_holm:.3g}", f"{pair.wilcoxon:.3g}", pair.verdict,
        "yes" if pair.generalises_over_seeds else "no",
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
