"""The findings of a comparison, their exit code and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.gate.limits import Limits
from lungseg.errors import LungsegError

OK, REGRESSION, NOT_JUDGED, NOT_COMPARABLE = 0, 1, 4, 5
WORDS = {OK: "passed", NOT_JUDGED: "not judged"}  # of exit codes; any other failed
Summary = Mapping[str, Any]


class NotComparable(LungsegError):
    """There is no baseline, or it cannot be compared with this run."""

    exit_code = NOT_COMPARABLE


@dataclass(frozen=True)
class Finding:
    """One comparison: what, before, now, and whether it lets the change pass.

    judged: False where there is nothing to compare, because the cell ran out of time or memory.
    numbers: what the words say, by name, unrounded: ``baseline``, ``now``, ``margin``, ``change``, ``bound``, ``p``.
    """

    subject: str
    what: str
    before: str
    now: str
    ok: bool
    judged: bool = True
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Findings, and what they came from.

    compared: pairs of summaries, baseline and now. limits: that they were held to; None: those of each suite.
    about: of the run, JSON-ready: commit, time, seconds. note: a sentence on a baseline that changed with the code.
    """

    findings: Sequence[Finding]
    strictness: str
    code: int
    compared: Sequence[tuple[Summary, Summary]] = ()
    limits: Limits | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def word(self) -> str:
        """``passed``, ``failed`` or ``not judged``."""
        return WORDS.get(self.code, "failed")


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when all is well, 1 for a regression, 4 when nothing that was judged is one but not all could be judged."""
    if any(finding.judged and not finding.ok for finding in findings):
        return REGRESSION
    return OK if all(finding.ok for finding in findings) else NOT_JUDGED


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings, JSON-ready: a number that is not finite, which strict JSON lacks, is null."""
    return [
        {**asdict(result), "numbers": {k: v if math.isfinite(v) else None for k, v in result.numbers.items()}}
        for result in findings
    ]


def changed(before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float = 0.0) -> list[str]:
    """Ids that were added, lost, or whose value (a number, or a list of numbers) moved by more than the tolerance."""
    moved = before.keys() ^ now.keys()
    for key in before.keys() & now.keys():
        old, new = (value if isinstance(value, list) else [value] for value in (before[key], now[key]))
        # a NaN is never within a tolerance
        if len(old) != len(new) or not all(abs(a - b) <= tolerance for a, b in zip(old, new, strict=True)):
            moved.add(key)
    return sorted(moved)


def count_and_first(ids: Sequence[str]) -> str:
    """Their number and the first few."""
    return f"{len(ids)} ({', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})" if ids else "0"
