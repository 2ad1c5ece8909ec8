"""Finds images of the same patient by anatomy: datasets are published without names, and folds must not split a
patient.

Every pair is compared by its landmarks (``lungseg.datasets.landmarks``); how many of them agree is the evidence. Sex,
age and the patients that a set names are never looked at: they check what is found here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from lungseg import csv_file
from lungseg.datasets import Case

# Of Montgomery's 9,453 pairs, of which 19 are known to be of one patient: all 12 with 20 or more inliers are; those
# that are not have 15 at most. From 12 to 19 some are and some are not, so a person must look.
CERTAIN, POSSIBLE = 20, 12

COLUMNS = ("id", "other_id", "inliers", "matches", "scale", "degrees", "verdict", "one_patient", "sex_agrees",
           "years_apart")  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two images whose landmarks agree. inliers: places that one similarity of this scale and turn brings together,
    out of so many matches."""

    one: Case
    other: Case
    inliers: int
    matches: int
    scale: float
    degrees: float

    @property
    def certain(self) -> bool:
        """Whether the evidence suffices without visual inspection."""
        return self.inliers >= CERTAIN

    @property
    def known(self) -> bool:
        """Whether the dataset itself names one patient for both images."""
        return self.one.patient == self.other.patient

    @property
    def sexes_agree(self) -> bool | None:
        """None where either is unknown."""
        sexes = [case.attributes.get("sex") for case in (self.one, self.other)]
        return None if None in sexes else sexes[0] == sexes[1]

    @property
    def years_apart(self) -> int | None:
        """None where either age is unknown."""
        ages = [case.attributes.get("age") for case in (self.one, self.other)]
        return None if None in ages else abs(int(ages[0] or 0) - int(ages[1] or 0))


def find(cases: Sequence[Case], say: Callable[[str], None] | None = None) -> list[Pair]:
    """Pairs of POSSIBLE or more inliers, those of most first; the same whatever the order of ``cases``.

    say: receives progress, a line every few seconds. Raises DataError for a case that cannot be decoded.
    """
    from lungseg.datasets import landmarks
    from lungseg.prepare import read_case

    cases = sorted(cases, key=lambda case: case.id)
    tell = _every(5, say)
    marks = []
    for number, case in enumerate(cases, 1):
        marks.append(landmarks.landmarks(*read_case(case), case.spacing_mm))
        tell(f"landmarks of {number} of {len(cases)} images")
    total, result = len(cases) * (len(cases) - 1) // 2, []
    for number, (i, j) in enumerate(combinations(range(len(cases)), 2), 1):
        agree = landmarks.agreement(marks[i], marks[j], POSSIBLE)
        if agree:
            result.append(Pair(cases[i], cases[j], agree.inliers, agree.matches, agree.scale, agree.degrees))
        tell(f"{number:,} of {total:,} pairs compared, {len(result)} alike")
    return sorted(result, key=lambda pair: (-pair.inliers, pair.one.id, pair.other.id))


def _every(seconds: float, say: Callable[[str], None] | None) -> Callable[[str], None]:
    """``say``, silent until so many seconds have passed since it spoke last."""
    spoke = time.monotonic()

    def tell(line: str) -> None:
        nonlocal spoke
        if say and time.monotonic() - spoke > seconds:
            spoke = time.monotonic()
            say(line)

    return tell


def patients(cases: Iterable[Case], pairs: Iterable[Pair]) -> int:
    """Number of patients by what was found alone: images joined by a certain pair, directly or through others."""
    first = {case.id: case.id for case in cases}

    def group(name: str) -> str:
        while first[name] != name:
            name = first[name]
        return name

    for pair in pairs:
        if pair.certain:
            here, there = group(pair.one.id), group(pair.other.id)
            first[max(here, there)] = min(here, there)
    return len({group(name) for name in first})


def rows(cases: Sequence[Case], pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Rows (label, value) of the table of `data verify`."""
    certain = [pair for pair in pairs if pair.certain]
    sexes = [pair.sexes_agree for pair in certain if pair.sexes_agree is not None]
    ages = [pair.years_apart for pair in certain if pair.years_apart is not None]
    checks = [f"sex agrees in {sum(sexes)} of {len(sexes)}"] if sexes else []
    checks += [f"age within a year in {sum(age <= 1 for age in ages)} of {len(ages)}"] if ages else []
    return [
        ("pairs by landmarks", f"{len(certain)} certain, {len(pairs) - len(certain)} possible"),
        ("patients by landmarks", f"{patients(cases, pairs)}, from certain pairs alone"),
        *([("check of certain pairs", ", ".join(checks))] if checks else []),
    ]


def warnings(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Kinds of pairs that the set gives two patients -> their names, for a person to look at."""
    kinds = {
        f"one patient under two names ({CERTAIN} or more landmarks agree; give the images one patient)": True,
        f"possibly one patient under two names ({POSSIBLE} to {CERTAIN - 1} landmarks agree; check the images)": False,
    }
    named = {
        kind: [f"{p.one.id} ~ {p.other.id} ({p.inliers})" for p in pairs if p.certain is certain and not p.known]
        for kind, certain in kinds.items()
    }
    return {kind: names for kind, names in named.items() if names}


def table(pairs: Sequence[Pair]) -> str:
    """CSV with a line for each pair: ids, evidence and checks, no pixels. Unknown sex or age: left empty; a name that a
    spreadsheet would run gets an apostrophe before it."""
    lines = []
    for p in pairs:
        cells = (
            p.one.id, p.other.id, p.inliers, p.matches, f"{p.scale:.3f}", f"{p.degrees:.1f}",
            "certain" if p.certain else "possible", _word(p.known), _word(p.sexes_agree),
            "" if p.years_apart is None else p.years_apart,
        )  # fmt: skip
        lines.append(dict(zip(COLUMNS, map(str, cells), strict=True)))
    return csv_file.text(COLUMNS, lines)


def _word(answer: bool | None) -> str:
    return "" if answer is None else "yes" if answer else "no"
