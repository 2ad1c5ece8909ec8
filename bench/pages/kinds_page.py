"""Which rows of a table come from which processor and libraries, where it holds several of either."""

from __future__ import annotations

from collections import defaultdict

from bench.markdown import counted, escape, listed, paragraph
from bench.statistics.rows import Section

WHY = (
    "The same weights and seeds give other numbers on another kind of processor or with another version of a library:"
    " each adds in its own order, and a training makes more of it. A small difference between rows of different kinds"
    " may be the machine's."
)


def kinds(section: Section) -> list[str]:
    """Blocks; empty where all records of the rows were made alike."""
    parts: defaultdict[str, defaultdict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    trainings = {}
    for row in section.rows:
        own = section.cells_of(row)
        trainings[row.name] = len(own)
        for cell in own:
            for part, value in cell.made_with.items():
                found = parts[part][value]
                found[row.name] = found.get(row.name, 0) + 1
    lines = []
    for _, values in sorted(parts.items()):
        for value, found in sorted(values.items()) if len(values) > 1 else ():
            names = listed([_named(name, n, trainings[name]) for name, n in sorted(found.items())])
            lines.append(paragraph(f"{escape(value)}: {names}", "- "))
    return [paragraph(f"**Rows from several kinds of machine.** {WHY}"), "\n".join(lines)] if lines else []


def _named(name: str, n: int, of: int) -> str:
    return escape(name) if n == of else f"{escape(name)} ({n} of {counted(of, 'cell')})"
