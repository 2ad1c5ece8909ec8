"""The blocks on groups of patients: whom does it fail."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import code, escape, paragraph, table, with_interval
from bench.pages.names import display, fitting
from bench.pages.tables import DIGITS, unbroken
from bench.statistics import strata
from bench.statistics.rows import Section
from bench.statistics.strata import Strata

SHOWN = 2  # architectures side by side


def by_group(section: Section, known: Strata) -> list[str]:
    """Dice by tuberculosis from the images' names, by sex and age from what `python -m bench strata` stored."""
    asked = strata.named_by_disease(section)
    missing = (
        f"Sex and age were not aggregated for these records: {code(f'python -m bench strata {section.setting.suite}')}"
        " does so where the data set is at hand and tells them."
    )
    if not any(known.values()):
        return [paragraph(missing)] if asked and section.rows else []
    names = fitting([r.name for r in section.rows][:SHOWN])
    names = [n for n in names if any(n in found["dice"] for groups in known.values() for found in groups.values())]
    rows = [
        [escape(attribute), escape(group), str(found["n"] or f"under {strata.MIN_GROUP}"),
         *(_dice(found["dice"][n]) if n in found["dice"] else "-" for n in names)]
        for attribute, groups in known.items() for group, found in groups.items()
    ]  # fmt: skip
    note = "Mean Dice with its 95 % interval over patients, seeds averaged. The CSV table has all rows and gaps."
    blocks = [table(["By", "Group", "Images", *(escape(display(n)) for n in names)], rows, left=2)]
    return [*blocks, paragraph(note), *([paragraph(missing)] if asked and not {"sex", "age"} & set(known) else [])]


def _dice(values: Sequence[float]) -> str:
    return unbroken(with_interval(strata.interval(values), DIGITS))
