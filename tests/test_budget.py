"""The budget's table: what was allowed, what was taken, and who had not levelled off."""

import pytest
from records import grid, sealed, sections

from bench.pages.answers import levelled
from bench.pages.budget import budget
from bench.records import doubts

RECIPE = {"epochs": 50, "batch_size": 16}


def records(**change):
    return [sealed({**r, "inputs": {"recipe": RECIPE}, **change}) for r in grid(("unet",), n=30)]


def row(records):
    (section,) = sections(records)
    blocks = budget(section)
    cells = [cell.strip() for cell in blocks[-1].splitlines()[-1].strip("|").split("|")]
    return cells, " ".join(blocks[1].split())


def test_steps_and_images_are_those_of_the_epochs_that_ran():
    """30 images in five folds: 24 to train on, two batches of up to 16; folds run 50, 47, 44, 41 and 38 epochs."""
    (name, epochs, steps, images, *_), text = row(records())
    assert (name, epochs) == ("unet", "44 (38 to 50)")
    assert (steps, images) == ("88 (76 to 100)", "1,056 (912 to 1,200)")
    assert "the same 50 epochs over the same images; a step is one batch of up to 16 images" in text


def test_a_recipe_that_is_not_known_leaves_the_steps_open():
    cells, text = row(grid(("unet",), n=30))
    assert cells[2] == "-"
    assert "the same epochs over" in text


def test_processor_time_is_the_middle_of_the_cells_that_told_it_and_only_where_a_cpu_computes():
    told = records()
    for k, seconds in enumerate((50.0, 70.0, 60.0)):  # two of five cells are of a version that did not record it
        told[k] = sealed({**told[k], "timing": {**told[k]["timing"], "train_cpu_seconds": seconds}})
    assert row(told)[0][5] == "60 s"
    assert row(records())[0][5] == "-"
    elsewhere = [sealed({**r, "machine": {**r["machine"], "device_kind": "h200"}}) for r in told]
    assert row(elsewhere)[0][5] == "-"


@pytest.mark.parametrize(("last", "rising"), [(0.90, "5 of 5"), (0.8001, "0 of 5")])
def test_who_was_still_rising_is_counted(last, rising):
    curve = [0.8] * 9 + [last]
    history = {key: values[:10] for key, values in records()[0]["history"].items()} | {"val_dice": curve}
    assert row(records(history=history, best_epoch=9))[0][-1] == rising


@pytest.mark.parametrize(
    ("curve", "rising"), [([0.5, 0.6], False), ([0.5] * 4 + [0.9], True), ([0.5, 0.9, 0.7, 0.7, 0.8], False)]
)
def test_still_rising_looks_at_the_best_of_the_last_fifth(curve, rising):
    assert doubts.still_rising(curve) is rising


def test_the_first_screen_says_who_had_not_levelled_off():
    """Two of five trainings of one row, none of the other: the order is that of this budget."""
    flat, steep = [0.8] * 10, [0.8] * 9 + [0.9]
    curves = {("unet", fold): steep if fold < 2 else flat for fold in range(5)}
    made = [
        sealed(
            {
                **r,
                "best_epoch": 9,
                "history": {key: values[:10] for key, values in r["history"].items()}
                | {"val_dice": curves.get((r["cell"]["architecture"], r["cell"]["fold"]), flat)},
            }
        )
        for r in grid(("unet", "resunet"), n=30)
    ]
    (section,) = sections(made)
    assert "ran out for unet in 2 of 5 trainings. The order" in levelled(section)
    (section,) = sections([r for r in made if r["cell"]["architecture"] == "resunet"])
    assert levelled(section) is None
