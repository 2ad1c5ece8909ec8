"""What a person is told while cells of unlike length run."""

from dataclasses import replace

import pytest

from bench.running.progress import Bars, Display, ProgressEstimate, name
from bench.suites import cells, suite

PLAIN, TWICE = cells(replace(suite("ablation"), variants=("epochs-300",), fold_subset=(0,)))


def event(epoch, epochs):
    return {"event": "epoch", "epoch": epoch, "epochs": epochs, "seconds": 1.0, "loss": 0.1, "val_hard_dice": 0.9}


def test_a_variant_has_its_own_name_epochs_and_speed():
    assert [name(PLAIN), name(TWICE)] == ["unet fold 0 seed 0", "unet (epochs-300) fold 0 seed 0"]
    pace = ProgressEstimate([PLAIN, TWICE], workers=1)
    assert pace.remaining() is None
    pace.on_event(PLAIN, 1, 60.0)
    assert pace.remaining() == 149 * 60 + 300 * 60, "no more is known than the first epoch, which compiles"
    pace.on_event(PLAIN, 2, 1.0)
    assert pace.remaining() == 148 + (60 + 299), "what is not known yet is as fast as what is"
    pace.on_event(TWICE, 1, 80.0)
    assert pace.remaining() == 148 + 299 * 80
    pace.on_event(TWICE, 2, 3.0)
    assert pace.remaining() == 148 + 3 * 298
    pace.on_event(TWICE, 300, 3.0)
    pace.finished(TWICE)
    assert pace.remaining() == 148


def test_cells_that_have_not_started_have_their_first_epoch_before_them():
    """Sixty seconds of compiling and 0.3 s an epoch: one cell of three is done, one has had ten epochs."""
    of = cells(replace(suite("montgomery-128"), architectures=("unet",)))[:3]
    epochs = of[0].recipe.epochs
    pace = ProgressEstimate(of, workers=1)
    for cell, until in ((of[0], epochs), (of[1], 10)):
        for epoch in range(1, until + 1):
            pace.on_event(cell, epoch, 60.0 if epoch == 1 else 0.3)
    pace.finished(of[0])
    assert pace.remaining() == pytest.approx(0.3 * (epochs - 10) + 60 + 0.3 * (epochs - 1))


def test_cells_of_one_epoch_have_an_estimate():
    of = [replace(cell, recipe=replace(cell.recipe, epochs=1)) for cell in cells(suite("smoke"))]
    pace = ProgressEstimate(of, workers=1)
    pace.on_event(of[0], 1, 20.0)
    pace.finished(of[0])
    assert pace.remaining() == pytest.approx(20.0 * (len(of) - 1))


def test_lines_and_bars_count_the_epochs_of_each_cell(capsys):
    for kind in (Display, Bars):
        with kind([PLAIN, TWICE], 2) as shown:
            for cell, epochs in ((PLAIN, 150), (TWICE, 300)):
                shown.started(cell)
                shown.on_event(cell, event(epochs, epochs))
                if isinstance(shown, Bars):
                    (bar,) = (task for task in shown.bars.tasks if task.id == shown.tasks[cell.id])
                    assert (bar.completed, bar.total) == (epochs, epochs)
            if isinstance(shown, Bars):
                assert (shown.bars.tasks[0].completed, shown.bars.tasks[0].total) == (450, 450)
            for cell in (PLAIN, TWICE):
                shown.finished(cell, "ok", None)
    assert "unet (epochs-300) fold 0 seed 0: epoch 300/300" in capsys.readouterr().out
