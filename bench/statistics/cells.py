"""The values of one cell that pages and figures show, from its record."""

from __future__ import annotations

from collections.abc import Mapping

from bench.records import diagnostics
from bench.records.record import Record
from bench.statistics.rows import CellRow

CURVES = ("loss", "val_loss", "val_dice")  # that a figure draws


def line(record: Record, row: str) -> CellRow:
    """row: the name of the record's row."""
    cell, recipe, history = record.cell, record.inputs.recipe, record.history
    curves = {name: history.curve(name) for name in CURVES}
    validation = history.curve("val_hard_dice") or curves["val_dice"]
    known = record.ok and record.machine.device_kind == "cpu" and record.timing.cpu_told
    return CellRow(
        name=record.name,
        row=row,
        architecture=cell.architecture,
        width=cell.width,
        recipe=cell.recipe,
        variant=cell.variant,
        fold=cell.fold,
        seed=cell.seed,
        status=record.status,
        scored=record.ok,
        trained=record.trained,
        sealed=record.sealed,
        error=(record.error.type, record.error.message),
        warnings=tuple(diagnostics.describe(record)),
        machine=record.machine,
        source=record.source,
        made_with=_made_with(record),
        record_sha256=record.record_sha256,
        weights_sha256=record.weights_sha256,
        finished=record.finished or "",
        reused_from=record.reused_from,
        batch_size=recipe.get("batch_size"),
        monitor=record.inputs.monitor,
        epochs=history.epochs,
        best_epoch=record.best_epoch,
        kept_dice=validation[record.best_epoch] if record.ok and validation and record.best_epoch is not None else None,
        rising=record.ok and diagnostics.not_converged(curves["val_dice"]),
        curves=curves if all(curves.values()) else {},
        total_seconds=record.timing.total_seconds,
        cpu_seconds=record.timing.train_cpu_seconds if known else None,
    )


def _made_with(record: Record) -> Mapping[str, str]:
    """What changes numbers although code and inputs are equal: the processor that computed, and each library.

    Beside an accelerator the processor only feeds it.
    """
    machine = record.machine
    processor = {"processor": machine.cpu} if machine.device_kind == "cpu" else {}
    return processor | {name: f"{name} {version}" for name, version in machine.versions.items()}
