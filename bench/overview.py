"""What there is to run: suites with what each was measured to cost, architectures, datasets."""

from __future__ import annotations

from pathlib import Path

from bench import costs
from bench.suites import SUITES, Suite, cells
from lungseg import ARCHITECTURES, DATASETS

RESULTS = Path(__file__).resolve().parent.parent / "results"


def overview() -> str:
    """Suites with what each was measured to cost, architectures, datasets."""
    measured = {row["suite"]: row for row in costs.read(RESULTS)}
    lines = ["Suites"]
    for suite in SUITES.values():
        lines += [
            f"  {suite.name}",
            f"    {suite.title}",
            f"    {_setting(suite)}",
            f"    {_cost(suite, measured)}",
        ]
    lines += ["", "Architectures", f"  {', '.join(ARCHITECTURES)}", "", "Datasets", f"  {', '.join(DATASETS)}"]
    return "\n".join(lines)


def _setting(suite: Suite) -> str:
    others = "".join(f" ({name} {width})" for name, width in suite.widths)
    return (
        f"{suite.dataset}, {suite.size[0]} x {suite.size[1]} px, width {suite.width}{others}, "
        f"{f'scored on {suite.scored_on}' if suite.scored_on else f'{suite.folds} folds'}, "
        f"{len(suite.seeds)} seed{'s' if len(suite.seeds) > 1 else ''}, recipe {suite.recipe}"
        f"{f' and {len(suite.variants)} variants' if suite.variants else ''}"
    )


def _cost(suite: Suite, measured: dict[str, dict[str, str]]) -> str:
    row = measured.get(suite.name)
    if row is None:
        return f"{len(cells(suite))} cells; cost not measured"
    seconds = float(row["cell_minutes"]) * 60 / int(row["slots"])
    return f"{row['cells']} cells, {costs.duration(seconds)}, {row['slots']} at a time on {row['device']}: {row['cpu']}"
