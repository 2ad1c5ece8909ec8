"""What there is to run: suites with what each was measured to cost, architectures, datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.paths import ROOT
from bench.records import costs
from bench.suites import SUITES, Suite, cells
from lungseg import ARCHITECTURES, DATASETS

RESULTS = ROOT / "results"


def overview() -> str:
    """Suites with what each was measured to cost, architectures, datasets."""
    measured = costs.read(RESULTS)
    lines = ["Suites"]
    for suite in SUITES.values():
        lines += [
            f"  {suite.name}",
            f"    {suite.title}",
            f"    {_setting(suite)}",
            *(f"    {line}" for line in _costs(suite, measured)),
        ]
    lines += ["", "Architectures", f"  {', '.join(ARCHITECTURES)}", "", "Datasets", f"  {', '.join(DATASETS)}"]
    return "\n".join(lines)


def _setting(suite: Suite) -> str:
    others = "".join(f" ({name} {width})" for name, width in suite.widths)
    return (
        f"{suite.dataset}, {suite.size[0]} x {suite.size[1]} px, width {suite.width}{others}, "
        f"{f'scored on {suite.scored_on}' if suite.scored_on else f'{suite.folds} folds'}, "
        f"{f'all of {suite.also} trained on besides, ' if suite.also else ''}"
        f"{len(suite.seeds)} seed{'s' if len(suite.seeds) > 1 else ''}, recipe {suite.recipe}"
        f"{f' and {len(suite.variants)} variants' if suite.variants else ''}"
    )


def _costs(suite: Suite, measured: Sequence[Mapping[str, str]]) -> list[str]:
    """A line for each device on which it was measured."""
    lines = []
    for row in (row for row in measured if row["suite"] == suite.name):
        beside = f", up to {row['at_once']} at a time" if int(row["at_once"]) > 1 else ""
        took = costs.duration(60 * float(row["minutes"]))
        lines.append(f"{row['cells']} cells, {took}{beside} on {row['device']}: {row['cpu']}")
    return lines or [f"{len(cells(suite))} cells; cost not measured"]
