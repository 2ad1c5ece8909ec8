"""The table of faults: which tests show each, and how they ended. ``pytest -m fault --fault-table PATH`` writes it.

``marked`` reads the same from the sources, without running anything.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faults import FAULTS, NOT_APPLICABLE, PARTS

ORDER = ("failed", "skipped", "passed")  # of several cases of a test, the worst is told
GENERATED = "<!-- Written by `make faults`; edits are lost. -->"


@dataclass
class Shown:
    """A test function that shows a fault, over all its cases."""

    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reasons: set[str] = field(default_factory=set)
    slow: bool = False

    @property
    def worst(self) -> str:
        return next(outcome for outcome in ORDER if self.outcomes[outcome])


class FaultTable:
    """Collects the outcome of every marked test, and writes the table when the run ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown: dict[str, dict[str, Shown]] = defaultdict(lambda: defaultdict(Shown))
        self.marks: dict[str, tuple[list[str], bool]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            ids = [key for mark in item.iter_markers("fault") for key in mark.args]
            if unknown := sorted(set(ids) - set(FAULTS)):
                raise pytest.UsageError(f"{item.nodeid}: no such fault in tests/faults.py: {', '.join(unknown)}")
            self.marks[item.nodeid] = (ids, item.get_closest_marker("slow") is not None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed and report.when != "call":
            return  # set-up and tear-down count only where they fail or skip
        ids, slow = self.marks.get(report.nodeid, ([], False))
        for key in ids:
            shown = self.shown[key][report.nodeid.partition("[")[0]]
            shown.outcomes[report.outcome] += 1
            shown.slow |= slow
            if report.skipped and isinstance(report.longrepr, tuple):
                shown.reasons.add(report.longrepr[2].removeprefix("Skipped: "))

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(table(self.shown), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lacking = [key for key in FAULTS if key not in self.shown and key not in NOT_APPLICABLE]
        terminalreporter.write_line(f"written: {self.path}; {len(FAULTS) - len(lacking)} of {len(FAULTS)} faults shown")
        if lacking:
            terminalreporter.write_line(f"not shown: {', '.join(lacking)}")


def table(shown: dict[str, dict[str, Shown]]) -> str:
    """The table as Markdown: fault, what is expected, the tests that show it, how they ended."""
    blocks = [GENERATED, "# Faults that do no harm, and the tests that show it"]
    blocks.append(f"{sum(key in shown for key in FAULTS)} of {len(FAULTS)} are shown by tests, "
                  f"{len(NOT_APPLICABLE)} cannot happen. (n): cases of a test.")  # fmt: skip
    for title, part in PARTS.items():
        lines = ["| id | fault | expected | tests | result |", "|---|---|---|---|---|"]
        for key, (fault, expected) in part.items():
            tests, result = _cells(key, shown.get(key, {}))
            lines.append(f"| {key} | {_plain(fault)} | {_plain(expected)} | {tests} | {result} |")
        blocks += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(blocks) + "\n"


def _cells(key: str, tests: dict[str, Shown]) -> tuple[str, str]:
    if not tests:
        reason = NOT_APPLICABLE.get(key)
        return "-", f"cannot happen: {_plain(reason)}" if reason else "**not shown**"
    names, worst = [], min((shown.worst for shown in tests.values()), key=ORDER.index)
    for nodeid, shown in sorted(tests.items()):
        cases = sum(shown.outcomes.values())
        more = [f"{cases}"] * (cases > 1) + ["slow"] * shown.slow
        names.append(f"`{nodeid.removeprefix('tests/')}`" + (f" ({', '.join(more)})" if more else ""))
    if worst == "skipped" and any(shown.outcomes["passed"] for shown in tests.values()):
        worst = "passed, some skipped"
    reasons = sorted({_plain(reason) for shown in tests.values() for reason in shown.reasons})
    return "<br>".join(names), f"**{worst}**" if worst == "failed" else "; ".join([worst, *reasons])


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def marked(folder: Path) -> dict[str, list[str]]:
    """Ids in ``mark.fault(...)`` anywhere below the folder -> the files that hold them."""
    result: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.fault"):
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        result[str(argument.value)].append(path.name)
    return result
