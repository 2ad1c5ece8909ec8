"""What a person is told while cells of unlike length run."""

from dataclasses import replace

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
    assert pace.remaining() is None, "the first epoch compiles"
    pace.on_event(PLAIN, 2, 1.0)
    assert pace.remaining() == 148 + 300, "what is not known yet is as fast as what is"
    pace.on_event(TWICE, 1, 60.0)
    assert pace.remaining() == 148 + 299
    pace.on_event(TWICE, 2, 3.0)
    assert pace.remaining() == 148 + 3 * 298
    pace.on_event(TWICE, 300, 3.0)
    pace.finished(TWICE)
    assert pace.remaining() == 148


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
