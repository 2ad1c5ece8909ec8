"""A clock that measures the parts of a cell's process."""

from __future__ import annotations

import os
import time
from pathlib import Path


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
        """Seconds since the part before, which are this one's."""
        before, self.at = self.at, time.monotonic()
        self.seconds[name] = self.at - before
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
