"""Made-up rows of a throughput table."""

from __future__ import annotations

from typing import Any

from bench.speed import throughput_table


def row(architecture: str = "unet", width: int = 8, batch: int = 4, threads: int = 1, **values: Any) -> dict[str, str]:
    """A row as a process gives it."""
    given = {"architecture": architecture, "width": width, "batch": batch, "threads": threads, **values}
    return throughput_table.new_row({name: given.get(name) for name in throughput_table.COLUMNS})
