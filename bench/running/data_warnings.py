"""Warnings about a dataset before training starts; `lungseg data verify` shows more."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.running.data import SuiteData, within
from bench.suites import Suite
from lungseg.datasets.remarks import remarks

SHOWN = 5  # names of those concerned


def describe(suite: Suite, root: Path, suite_data: SuiteData) -> list[str]:
    """A line for each kind of warning, with the number of cases and the first of them."""
    from lungseg.datasets.checks import looks_inside_out

    kinds = remarks([case for case in suite_data.cases if case.id in suite_data.scored], None)
    for name in suite.sets:
        folder = within(suite, root, name)
        cases = [case for case in suite_data.cases if case.image.is_relative_to(folder)]
        of_table = remarks(cases, folder if name != "phantom" else None)
        kinds |= {kind: names for kind, names in of_table.items() if "spacing" not in kind}
    masks = zip(suite_data.prepared.ids, suite_data.prepared.masks, strict=True)
    if inverted := [key for key, mask in masks if looks_inside_out(np.asarray(mask))]:
        kinds["masks look inverted (lung 0, background 255)"] = inverted
    return [f"{kind}: {_listed(names)}" for kind, names in kinds.items()]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
