"""The table of processors and library versions, where the rows of a leaderboard come from several."""

from __future__ import annotations

from collections import defaultdict

from bench.markdown import counted, escape, listed, paragraph
from bench.statistics.rows import Leaderboard

WHY = (
    "Other processors and library versions sum in a different order, and training amplifies this. Treat a small"
    " difference between rows of different kinds as run-to-run spread."
)


def kinds(leaderboard: Leaderboard) -> list[str]:
    """Blocks; empty where all records of the rows were made alike."""
    parts: defaultdict[str, defaultdict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    trainings = {}
    for row in leaderboard.rows:
        local = leaderboard.cells_of(row)
        trainings[row.name] = len(local)
        for cell in local:
            for part, value in cell.made_with.items():
                result = parts[part][value]
                result[row.name] = result.get(row.name, 0) + 1
    lines = []
    for _, values in sorted(parts.items()):
        for value, result in sorted(values.items()) if len(values) > 1 else ():
            names = listed([_named(name, n, trainings[name]) for name, n in sorted(result.items())])
            lines.append(paragraph(f"{escape(value)}: {names}", "- "))
    return [paragraph(f"**Rows from several kinds of machine.** {WHY}"), "\n".join(lines)] if lines else []


def _named(name: str, n: int, of: int) -> str:
    return escape(name) if n == of else f"{escape(name)} ({n} of {counted(of, 'cell')})"
