"""Progress while cells run: bars (by rich) on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.cell import Cell, network
from lungseg.terminal import elapsed


class ProgressEstimate:
    """Estimates the remaining time from the seconds per epoch of each architecture and recipe so far.

    A process's first epoch compiles and may take as long as fifty others, so the first of all cells have a mean of
    their own. Where no cell has had a second epoch, all are as the first: too long rather than unknown.
    """

    def __init__(self, cells: Sequence[Cell], workers: int) -> None:
        self.workers = max(1, min(workers, len(cells)))
        self.left = {cell.id: (_kind(cell), cell.recipe.epochs) for cell in cells}
        # seconds and number of first epochs, and of later ones
        self.spent: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        self.compiled = set[str]()

    def on_event(self, cell: Cell, epoch: int, seconds: float) -> None:
        """An epoch has ended."""
        kind = _kind(cell)
        self.left[cell.id] = kind, cell.recipe.epochs - epoch
        self.spent.setdefault(kind, ([], []))[cell.id in self.compiled].append(seconds)
        self.compiled.add(cell.id)

    def finished(self, cell: Cell) -> None:
        """A cell has ended, whatever epochs it had left."""
        self.left.pop(cell.id, None)

    def remaining(self) -> float | None:
        """Seconds until all cells have ended, None while nothing is known."""
        if not self.spent:
            return None
        means = {kind: (_mean(first), _mean(later or first)) for kind, (first, later) in self.spent.items()}
        unknown = (_mean([first for first, _ in means.values()]), _mean([later for _, later in means.values()]))
        total = 0.0
        for cell, (kind, epochs) in self.left.items():
            first, later = means.get(kind, unknown)
            total += later * epochs + (first - later if epochs and cell not in self.compiled else 0.0)
        return total / self.workers


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class Display:
    """Plain lines: one when a cell starts and ends, and one now and then in between. Also the base of the bars."""

    interval_s = 15.0

    def __init__(self, cells: Sequence[Cell], workers: int) -> None:
        self.pace, self.total, self.done = ProgressEstimate(cells, workers), len(cells), 0
        self.lock = threading.RLock()
        self.printed: dict[str, float] = {}

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, cell: Cell) -> None:
        """A cell's process starts."""
        self.printed[cell.id] = time.monotonic()
        self.say(f"{self.count()} {name(cell)}: started")

    def on_event(self, cell: Cell, event: dict[str, Any]) -> None:
        """A cell reports."""
        if event["event"] != "epoch":
            return
        with self.lock:
            self.pace.on_event(cell, event["epoch"], event["seconds"])
            self.show(cell, event)

    def show(self, cell: Cell, event: dict[str, Any]) -> None:
        """A line, if the last is old enough or the training has ended."""
        if self.due(cell.id) or event["epoch"] >= event["epochs"]:
            self.say(f"{self.count()} {name(cell)}: {numbers(event)}{self.left()}")

    def due(self, key: str) -> bool:
        """Whether the last line of a training is old enough for another; its first begins the wait."""
        now = time.monotonic()
        with self.lock:
            if now - self.printed.setdefault(key, now) < self.interval_s:
                return False
            self.printed[key] = now
            return True

    def finished(self, cell: Cell, status: str, error: dict[str, str] | None) -> None:
        """A cell has ended; a failure shows its message and the end of its log."""
        with self.lock:
            self.done += 1
            self.pace.finished(cell)
            self.say(f"{self.count()} {name(cell)}: {status}{self.left()}")
            if error:
                self.say(failure(error))

    def count(self) -> str:
        """Finished cells of all."""
        return f"[{self.done}/{self.total}]"

    def left(self) -> str:
        """Time left, if known."""
        seconds = self.pace.remaining()
        return f", {elapsed(seconds)} left" if seconds else ""

    def say(self, text: str) -> None:
        """A line on standard output, at once even through a pipe."""
        with self.lock:
            print(text, flush=True)


class Bars(Display):
    """A bar for each running cell and one for all."""

    def __init__(self, cells: Sequence[Cell], workers: int) -> None:
        super().__init__(cells, workers)
        from rich.progress import BarColumn, Progress, TextColumn

        self.bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[note]}"), transient=True
        )
        self.epochs = sum(cell.recipe.epochs for cell in cells)
        self.all = self.bars.add_task("all cells", total=self.epochs, note="")
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def started(self, cell: Cell) -> None:
        """A new bar."""
        with self.lock:
            self.tasks[cell.id] = self.bars.add_task(name(cell), total=cell.recipe.epochs, note="starting")

    def show(self, cell: Cell, event: dict[str, Any]) -> None:
        """Move the cell's bar and the one of all."""
        self.bars.update(self.tasks[cell.id], completed=event["epoch"], note=numbers(event))
        self._total()

    def finished(self, cell: Cell, status: str, error: dict[str, str] | None) -> None:
        """Take the bar away, leave a line."""
        with self.lock:
            self.bars.remove_task(self.tasks.pop(cell.id))
            super().finished(cell, status, error)
            self._total()

    def _total(self) -> None:
        leading = sum(epochs for _, epochs in self.pace.left.values())
        note = f"{self.done}/{self.total} done{self.left()}"
        self.bars.update(self.all, completed=self.epochs - leading, note=note)

    def say(self, text: str) -> None:
        """A line above the bars, never read as markup."""
        self.bars.console.print(text, markup=False, highlight=False)


def display(cells: Sequence[Cell], workers: int) -> Display:
    """Bars on a terminal, plain lines elsewhere."""
    return (Bars if sys.stdout.isatty() else Display)(cells, workers)


def name(cell: Cell) -> str:
    """A cell as a person calls it: ``unet (no-geometric) fold 0 seed 0``."""
    return f"{network(cell.as_dict())} fold {cell.fold} seed {cell.seed}"


def _kind(cell: Cell) -> tuple[str, str]:
    return cell.architecture, cell.recipe.name


def numbers(event: dict[str, Any]) -> str:
    """An epoch's numbers."""
    return (
        f"epoch {event['epoch']}/{event['epochs']}, loss {event['loss']:.4f}, "
        f"validation Dice {event['val_hard_dice']:.4f}"
    )


def failure(error: Mapping[str, str]) -> str:
    """Why a training failed, with the end of its log."""
    return f"  {error['type']}: {error['message']}\n{indented(error['stderr_tail'])}"


def indented(text: str) -> str:
    """The end of a log, set apart."""
    return "\n".join(f"  | {line}" for line in text.splitlines()[-25:])
