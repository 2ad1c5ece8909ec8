"""Where a cell's seconds go: parts of stored records as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PARTS = {  # in the order in which they pass
    "start": "Python and imports before the first line",
    "backend": "import and start of backend and Keras",
    "data": "load, prepare (from the cache where it is there) and split",
    "build": "network, its hash, one prediction to test it",
    "first epoch": "of training, compilation and tuning in it",
    "other epochs": "of training",
    "around epochs": "compile(), checkpoints, best weights put back",
    "predict": "the held-out images",
    "score": "each image at both sizes",
    "save": "masks and weights",
}


def rows(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: of each folder of records the median seconds of a part over its cells, and the share.

    Cells that went on from a checkpoint are left out, as are records that do not tell parts.
    """
    groups: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
    for record in records:
        timing, cell, on = record.get("timing") or {}, record["cell"], record.get("machine") or {}
        told = timing.get("parts")
        numbers = isinstance(told, dict) and all(isinstance(told.get(part, 0.0), int | float) for part in PARTS)
        if told and numbers and not timing.get("resumed_at_epoch"):
            fast = ", fast" if (record.get("inputs") or {}).get("deterministic") is False else ""
            name = (
                f"{cell['architecture']}, {on.get('backend')} on {on.get('device_kind')}, {on.get('precision')}{fast}"
            )
            groups[name].append(told)
    found = []
    for name, cells in sorted(groups.items()):
        medians = {part: float(np.median([cell.get(part, 0.0) for cell in cells])) for part in PARTS}
        total = sum(medians.values())
        found += [
            [name if first else "", part, f"{seconds:.2f}", f"{seconds / total:.0%}" if total else "-", PARTS[part]]
            for first, (part, seconds) in zip([True] + [False] * len(medians), medians.items(), strict=False)
        ]
        found.append(["", "all", f"{total:.2f}", "", f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"])
    return ["Cells", "Part", "Seconds", "Share", "What it is"], found
