"""What a cell's process is told: plain values that go through JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cell import Cell
from bench.records.results import Results
from bench.suites import Suite

CHECKPOINT_S = 5.0  # least time between two checkpoints; longer where writing one takes long


@dataclass(frozen=True)
class Job:
    """One cell and where it works.

    root: of the dataset. inputs: what the parent found the cell to be made from, all but the graph.
    checkpoint_s: least seconds between two checkpoints.
    """

    cell: Cell
    suite: Suite
    root: Path
    results: Results
    inputs: dict[str, Any]
    checkpoint_s: float = CHECKPOINT_S

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with absolute paths: the process runs in another folder."""
        return {
            "cell": self.cell.as_dict(),
            "suite": asdict(self.suite),
            "root": str(self.root.resolve()),
            "results": str(self.results.root.resolve()),
            "inputs": self.inputs,
            "checkpoint_s": self.checkpoint_s,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The job of ``as_dict``."""
        suite = Suite.from_dict(values["suite"])
        return cls(
            suite.cell(values["cell"]),
            suite,
            Path(values["root"]),
            Results(Path(values["results"])),
            values["inputs"],
            values["checkpoint_s"],
        )
