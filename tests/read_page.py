"""A suite's page as its reader finds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from records import save

from bench.pages import report
from bench.records.results import Results
from lungseg import csv_file


def page(results: Path, records: Sequence[dict[str, Any]], suite: str = "fake") -> str:
    """The Markdown of the suite's page, written from these records."""
    save(results, records)
    report.write(Results(results), figures=False)
    return (results / f"{suite}.md").read_text()


def number(results: Path, row: str, column: str, suite: str = "fake") -> str:
    """A row's cell in the suite's table of rows, by the column's name; empty where there is no number."""
    _, rows = csv_file.read(results / "tables" / suite / "rows.csv")
    return next(line[column] for line in rows if line["name"] == row)


def flat(text: str) -> str:
    """A page's prose on one line, however it was filled."""
    return " ".join(text.split())


def lines_with(text: str, *words: str) -> list[str]:
    """Lines that hold all of the words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]
