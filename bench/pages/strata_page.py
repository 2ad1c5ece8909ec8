"""The blocks on groups of patients: whom does it fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.markdown import code, escape, paragraph, table, with_interval
from bench.statistics import strata
from bench.statistics.rows import Section
from bench.statistics.strata import Strata

SHOWN = 4  # architectures side by side


def by_group(section: Section, stored: Strata | None) -> list[str]:
    """Dice by tuberculosis from the images' names, by sex and age from what `python -m bench strata` stored."""
    known = {**strata.of_names(section), **(stored or {})}
    asked = strata.named_by_disease(section)
    missing = (
        f"Sex and age were not aggregated for these records: {code(f'python -m bench strata {section.setting.suite}')}"
        " does so where the data set is at hand."
        if stored is None
        else "The data set at hand says nothing of its patients' sex and age."
    )
    if not known:
        return ["### Groups of patients", paragraph(missing)] if asked and section.rows else []
    names = [r.name for r in section.rows][:SHOWN]
    names = [n for n in names if any(n in found["dice"] for groups in known.values() for found in groups.values())]
    rows = [
        [escape(attribute), escape(group), str(found["n"] or f"under {strata.MIN_GROUP}"),
         *(with_interval(strata.interval(found["dice"][n])) if n in found["dice"] else "-" for n in names)]
        for attribute, groups in known.items() for group, found in groups.items()
    ]  # fmt: skip
    gaps = [
        [escape(attribute), f"{escape(first)} - {escape(group)}",
         *(with_interval(strata.interval(found["gap"][n]), sign=True) if n in found["gap"] else "-" for n in names)]
        for attribute, groups in known.items() if (first := _first(groups))
        for group, found in groups.items() if found.get("gap")
    ]  # fmt: skip
    note = (
        "Mean Dice of a group with its 95 % interval over patients, seeds averaged. Tuberculosis is read from the"
        f" images' names. No group under {strata.MIN_GROUP} images is shown. Groups differ in more than what names"
        " them, so a gap is not a cause."
    )
    blocks = ["### Groups of patients", table(["By", "Group", "Images", *map(escape, names)], rows, left=2)]
    if gaps:
        blocks += [
            paragraph("Gaps, the first group minus the other, with 95 % intervals over patients:"),
            table(["By", "Gap", *map(escape, names)], gaps, left=2),
        ]
    return [*blocks, paragraph(note), *([] if stored else [paragraph(missing)] if asked else [])]


def _first(groups: Mapping[str, Any]) -> str | None:
    """The group that the gaps of the others are from: the first that is large enough."""
    return next((group for group, found in groups.items() if found["dice"]), None)
