"""A suite's page as its reader finds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from records import save

from bench.pages import report
from bench.records.results import Results


def page(results: Path, records: Sequence[dict[str, Any]], suite: str = "fake") -> str:
    """The Markdown of the suite's page, written from these records."""
    save(results, records)
    report.write(Results(results), figures=False)
    return (results / f"{suite}.md").read_text()


def flat(text: str) -> str:
    """A page's prose on one line, however it was filled."""
    return " ".join(text.split())


def lines_with(text: str, *words: str) -> list[str]:
    """Lines that hold all of the words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]
