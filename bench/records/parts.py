"""Time of cells by part, such as training and scoring, from stored records as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from bench.records.record import Record

PARTS = {  # in the order in which they pass
    "start": "Python and imports before the first line",
    "backend": "importing and starting the backend and Keras",
    "data": "loading, preparing (or reading the cache) and splitting",
    "build": "building and hashing the network, one test prediction",
    "first epoch": "first training epoch, with compilation and autotuning",
    "other epochs": "all other training epochs",
    "around epochs": "compile(), checkpoints, restoring the best weights",
    "predict": "predicting the held-out images",
    "score": "scoring each image at both sizes",
    "save": "writing masks and weights",
}


def rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: of each folder of records the median seconds of a part over its cells, and the share.

    Cells that went on from a checkpoint are left out, as are records that do not tell parts.
    """
    groups: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
    for record in records:
        details, on = record.timing.parts, record.machine
        if details and not record.timing.resumed_at_epoch:
            fast = "" if record.inputs.deterministic else ", fast"
            name = f"{record.cell.architecture}, {on.backend} on {on.device_kind}, {on.precision}{fast}"
            groups[name].append(details)
    result = []
    for name, cells in sorted(groups.items()):
        medians = {part: float(np.median([cell.get(part, 0.0) for cell in cells])) for part in PARTS}
        total = sum(medians.values())
        result += [
            [name if first else "", part, f"{seconds:.2f}", f"{seconds / total:.0%}" if total else "-", PARTS[part]]
            for first, (part, seconds) in zip([True] + [False] * len(medians), medians.items(), strict=False)
        ]
        result.append(["", "all", f"{total:.2f}", "", f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"])
    return ["Cells", "Part", "Seconds", "Share", "What it is"], result
