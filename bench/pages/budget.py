"""Which trainings had not converged when their epochs ran out."""

from __future__ import annotations

from bench.statistics.rows import CellRow, Leaderboard, Row


def rising(leaderboard: Leaderboard) -> list[tuple[Row, int, int]]:
    """Rows that were trained: cells whose validation Dice still rose when the epochs ran out, and all cells."""
    result = []
    for row in leaderboard.rows:
        if local := _trained(leaderboard, row):
            result.append((row, sum(c.rising for c in local), len(local)))
    return result


def _trained(leaderboard: Leaderboard, row: Row) -> list[CellRow]:
    return [c for c in leaderboard.cells_of(row) if c.trained]
