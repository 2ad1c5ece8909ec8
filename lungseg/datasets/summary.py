"""The summary table of `data verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lungseg.datasets.case import Case
from lungseg.datasets.warnings import twins

if TYPE_CHECKING:  # an empty set is reported without loading decoding libraries
    from lungseg.datasets.checks import ImageCheck


def summary(cases: Sequence[Case], findings: Sequence[ImageCheck]) -> list[tuple[str, str]]:
    """Rows (label, value) of the table: of the cases listed, and of the findings of those that could be decoded."""
    readable = f"{len(cases)}" if len(findings) == len(cases) else f"{len(cases)}, {len(findings)} usable"
    rows = [("images", readable), ("patients", f"{len({case.patient for case in cases})}")]
    disease: dict[object, str] = {0: "normal", 1: "tuberculosis"}
    rows.append(("disease", _counted(disease.get(c.attributes.get("tb"), "unknown") for c in cases)))
    rows.append(("sex", _counted(str(c.attributes.get("sex", "unknown")) for c in cases)))
    ages = [int(c.attributes["age"]) for c in cases if "age" in c.attributes]
    rows.append(("age", _known(_range(ages, ".0f", "years"), len(ages), len(cases))))
    spacings = [case.spacing_mm for case in cases if case.spacing_mm]
    both = [f"{side} {_range([s[i] for s in spacings], '.4g', 'mm')}" for i, side in enumerate(("rows", "columns"))]
    rows.append(("pixel spacing", _known(", ".join(both), len(spacings), len(cases))))
    if not findings:
        return rows
    areas = sorted(100 * finding.area for finding in findings)
    return [
        *rows,
        ("size (rows x columns)", _counted(f"{f.size[0]} x {f.size[1]}" for f in findings)),
        ("image bit depth", _counted(str(f.bit_depth) for f in findings)),
        *_value_bits(findings),
        ("masks per image", _counted(str(len(f.case.masks)) for f in findings)),
        (
            "mask area",
            f"{areas[0]:.1f} to {areas[-1]:.1f} % of the image, median {areas[len(areas) // 2]:.1f} %",
        ),
        ("mask components", _counted(str(f.components) for f in findings)),
        ("left and right overlap", f"in {sum(f.overlap > 0 for f in findings)} images"),
        ("identical images", f"{twins(findings)}"),
    ]


def _value_bits(findings: Sequence[ImageCheck]) -> list[tuple[str, str]]:
    """The row that tells how many bits the values of 16-bit files have; none for a set of 8 bits."""
    depths = [finding.depth for finding in findings if finding.depth is not None]
    return [("values of 16-bit files", _counted(f"of {depth.bits} bits" for depth in depths))] if depths else []


def _range(values: Sequence[float], form: str, unit: str) -> str:
    low, high = (format(value, form) for value in (min(values, default=0), max(values, default=0)))
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _known(value: str, known: int, total: int) -> str:
    """A value with the number of cases that it is not known for."""
    if not known:
        return "unknown"
    return value if known == total else f"{value} (unknown for {total - known})"


def _counted(values: Iterable[str], most: int = 6) -> str:
    """``'8 (137), 16 (1)'``: each value with how often it occurs, the frequent ones first."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{value} ({times})" for value, times in counts[:most])
    return shown if len(counts) <= most else f"{shown} and {len(counts) - most} others"
