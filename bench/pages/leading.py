"""The rule that chooses which suite's leaderboard is shown first, so that no page names a suite by hand.

1. Only cross-validation on radiographs: no phantom, no cross-dataset test, no variants of a recipe, no extra training
   set.
2. The newest protocol.
3. Then the most networks with enough seeds for a statement about methods, the most ranked networks, the highest
   resolution, the highest mean Dice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.statistics.rows import Leaderboard, Row
from bench.statistics.verdicts import MIN_SEEDS
from lungseg.datasets import DATASETS

RADIOGRAPHS = {name for name, known in DATASETS.items() if known.radiographs}
RULE = (
    f"newest protocol, then the most networks with at least {MIN_SEEDS} seeds, the most networks, the highest"
    " resolution, the highest mean Dice"
)


def networks(leaderboard: Leaderboard) -> tuple[Row, ...]:
    """Ranked rows of single networks under the suite's own recipe, by mean Dice."""
    return tuple(r for r in leaderboard.ranked if r.single and not r.variant)


def eligible(leaderboard: Leaderboard) -> bool:
    """Whether the leaderboard compares networks on held-out folds of real radiographs."""
    key = leaderboard.conditions
    variants = any(r.variant for r in leaderboard.rows)
    return (
        key.test_set in RADIOGRAPHS
        and not (key.cross_dataset or key.extra_train or variants)
        and len(networks(leaderboard)) > 1
    )


def leader(leaderboards: Iterable[Leaderboard]) -> Leaderboard | None:
    """The leaderboard that is shown first; None where none is eligible."""
    return max((s for s in leaderboards if eligible(s)), key=_standing, default=None)


def beside(leaderboards: Sequence[Leaderboard]) -> Leaderboard | None:
    """The leaderboard of another recipe that is shown after the leader, by the same rule; None where there is none."""
    first = leader(leaderboards)
    if first is None:
        return None
    return leader(s for s in leaderboards if s.conditions.recipe != first.conditions.recipe)


def of_networks(leaderboard: Leaderboard) -> Leaderboard:
    """The leaderboard's ranked single networks alone, so that the best of them is what the others differ from."""
    return replace(leaderboard, rows=networks(leaderboard))


def _standing(leaderboard: Leaderboard) -> tuple[float, ...]:
    rows = networks(leaderboard)
    methods = sum(len(r.seeds) >= MIN_SEEDS for r in rows)
    size = leaderboard.conditions.size
    return leaderboard.conditions.protocol, methods, len(rows), size[0] * size[1], rows[0].dice.value
