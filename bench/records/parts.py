"""Where the seconds of a cell's process go: the clock that is read between its parts, and stored parts as a table."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.records.record import Record


class Parts:
    """A clock that is read between the parts of a process's life; the first, ``start``, ends when it is made.

    seconds: of each part, by its name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.at = time.monotonic()
        if (started := since_start()) is not None:
            self.seconds["start"] = started

    def ended(self, name: str) -> float:
        """Add the seconds since the last reading to a part; returns all that it took so far."""
        before, self.at = self.at, time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.at - before
        return self.seconds[name]

    def split(self, name: str, **within: float) -> None:
        """Take known seconds within a part out of it, as parts of their own."""
        self.seconds[name] = max(0.0, self.seconds[name] - sum(within.values()))
        self.seconds |= within


def since_start() -> float | None:
    """Seconds since the kernel made this process, to a hundredth; None where it does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        made = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, counted after the name: since the boot
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - made)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


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
