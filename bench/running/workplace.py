"""What every process of a suite begins with: a started backend, the data as planned, the state of the code, and a clock
of its parts."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lungseg
from bench import machine
from bench.cell import Cell
from bench.records.results import Results
from bench.running import data
from bench.suites import Suite
from lungseg import runtime
from lungseg.errors import UsageError
from lungseg.splits import Fold

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Workplace:
    """The setup of every process of a suite: a started backend, the planned data, and the state of the code when the
    process began, because hours later the checkout may hold another commit."""

    cell: Cell
    device: runtime.Device
    suite_data: data.SuiteData
    source: dict[str, Any]

    @classmethod
    def opened(
        cls, cell: Cell, suite: Suite, root: Path, results: Results, planned: Mapping[str, Any],
        parts: Parts | None = None,
    ) -> Workplace:  # fmt: skip
        """Start the backend with the cell's seed and threads and read the suite's data.

        planned: as ``data.check_unchanged``. Raises UsageError unless the backend runs on the device under whose name
        records are kept, and on as many as the cell asks for, DataError for data that have changed.
        """
        source = machine.source()
        device = runtime.init_backend(cell.seed, cell.threads, cell.deterministic, lean=True)
        if device.kind != machine.device_kind():
            raise UsageError(
                f"this machine has {machine.device_kind()}, but {runtime.backend_name()} runs on {device.kind}: "
                "install its GPU version, or set CUDA_VISIBLE_DEVICES= to measure the CPU"
            )
        runtime.use_devices(cell.devices)
        if parts:
            parts.ended("backend")
        suite_data = data.load_suite_data(suite, root, results)
        data.check_unchanged(suite_data, planned)
        return cls(cell, device, suite_data, source)

    def metadata(self) -> dict[str, Any]:
        """Hardware and software, JSON-ready."""
        return machine.metadata(self.device, self.cell.recipe.precision, self.cell.threads, self.cell.devices)

    def provenance(self, fold: Fold) -> dict[str, Any]:
        """The part of a record that says on what data, machine and code it was made, now, without an error."""
        prepared, scored = self.suite_data.prepared, self.suite_data.scored
        return {
            "data": {
                "raw_sha256": prepared.raw_sha256,
                "prepared_sha256": prepared.sha256,
                "target_pixels": {k: n for k, n in prepared.target_pixels.items() if k in scored},
                "n": len(scored),
            },
            "split": {name: list(ids) for name, ids in asdict(fold).items()},
            "machine": self.metadata(),
            "source": self.source,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "error": None,
        }


def built(cell: Cell) -> keras.Model:
    """The cell's network, untrained."""
    from lungseg.architectures.blocks import LayerFactory

    layers = LayerFactory(momentum=cell.recipe.batch_norm_momentum, dtype=cell.recipe.precision)
    return lungseg.build(cell.architecture, (*cell.size, 1), cell.width, layers)


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
