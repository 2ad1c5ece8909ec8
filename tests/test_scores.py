"""Borders and failures: an infinite distance stays, units never mix, and the leaderboard's are of the stored size."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_page import number, page
from records import agreeing, bins, counted, grid, only, parsed, save, sealed, second, terminal

from bench.__main__ import main
from bench.markdown import NONE
from bench.records import store
from bench.records.record import AtStored
from bench.statistics import scores
from bench.statistics.hard_images import failures

RESULTS = Path(__file__).resolve().parent.parent / "results"


def cell(text, row, column):
    """What the page's first table shows of a network in the first column whose title begins so."""
    lines = text[text.index("| Network") :].split("\n\n")[0].splitlines()
    table = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    at = next(i for i, title in enumerate(table[0]) if title.startswith(column))
    return next(line[at] for line in table[2:] if line[0] == row)


def emptied(records, n):
    """The first n images of each record as of a network that found nothing there."""
    for r in records:
        for c in r["cases"][:n]:
            counted(c, 0, 0, c["target_pixels"])
            c.update(hd95_mm=None, assd_mm=None, nsd_2mm=0.0, hd95_state="one_empty", components=0, holes=0)
    return [sealed(r) for r in records]


DISTANCE = st.one_of(st.none(), st.floats(0, 500))


@pytest.mark.fault("F114")
@given(st.lists(DISTANCE, min_size=1, max_size=30))
def test_a_median_holds_what_is_infinite_as_the_largest(values):
    """By definition: at least half of all predictions are as near as the median, at least half as far."""
    cases = [AtStored(1, 1, 1, 1, "mm", v, "ok" if v is not None else "one_empty", v, 0.5, (2, 2)) for v in values]
    result = scores.boundary(SimpleNamespace(of_cases=np.array, over_patients=np.mean), cases)  # an image a patient
    known = [math.inf if v is None else v for v in values]
    for median in (result.hd95_median, result.assd_median):
        assert sum(v <= median for v in known) >= len(known) / 2
        assert sum(v >= median for v in known) >= len(known) / 2
    assert result.n_inf == values.count(None)
    finite = [v for v in values if v is not None]
    assert result.hd95_mean == pytest.approx(np.mean(finite)) if finite else math.isnan(result.hd95_mean)


@pytest.mark.fault("F114")
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_network_that_finds_nothing_in_most_images_has_no_finite_median(tmp_path, protocol):
    records = [*grid(("unet",), folds=2, n=24), *emptied(grid(("resunet",), folds=2, n=24), 7)]
    text = page(tmp_path, records if protocol == 1 else second(records))
    assert number(tmp_path, "resunet", "hd95_median_mm") == "inf"
    if protocol > 1:
        assert cell(text, "ResUNet", "HD95") == "inf"
        assert number(tmp_path, "resunet", "stored_assd_median_mm") == "inf"
    else:
        assert "HD95" not in text.split("| Network")[1].split("\n")[0], "nothing was scored at the stored size"
    assert float(number(tmp_path, "unet", "hd95_median_mm")) > 0


def test_the_leaderboard_shows_borders_and_dice_of_the_stored_resolution(tmp_path):
    records = second(grid(("unet",), folds=2, n=24))
    text = page(tmp_path, records)
    cases = [c["at_stored"] for r in records for c in r["cases"]]
    assert cell(text, "U-Net", "HD95") == f"{np.median([c['hd95_mm'] for c in cases]):.2f}"
    assert cell(text, "U-Net", "NSD") == f"{np.mean([c['nsd_2mm'] for c in cases]):.3f}"
    assert float(number(tmp_path, "unet", "stored_assd_median_mm")) == pytest.approx(
        np.median([c["assd_mm"] for c in cases]), rel=1e-5
    )
    dice = [2 * c["tp"] / (2 * c["tp"] + c["fp"] + c["fn"]) for c in cases]
    assert float(number(tmp_path, "unet", "stored_dice")) == pytest.approx(np.mean(dice), rel=1e-5)
    far = number(tmp_path, "unet", "hd95_median_mm")
    assert float(far) == pytest.approx(2 * float(cell(text, "U-Net", "HD95")), abs=0.011), (
        "those made up are twice as far"
    )


def test_stored_dice_is_its_own_and_not_the_networks_size(tmp_path):
    records = second(grid(("unet",), folds=2, n=24))
    for r in records:
        for c in r["cases"]:
            c["at_stored"].update(fn=0, fp=0, tn=c["at_stored"]["tn"] + c["at_stored"]["fn"] + c["at_stored"]["fp"])
    row = only([sealed(r) for r in records]).rows[0]
    assert row.stored.dice == 1.0
    assert row.dice.value < 1.0


def test_a_row_of_which_one_case_was_not_scored_at_the_stored_size_has_dashes(tmp_path):
    records = second(grid(("unet", "resunet"), folds=2, n=24))
    del records[0]["cases"][3]["at_stored"]
    text = page(tmp_path, [sealed(r) for r in records])
    for column in ("HD95", "NSD"):
        assert cell(text, "U-Net", column) == NONE
        assert cell(text, "ResUNet", column) != NONE


def test_seeds_of_an_image_are_averaged_at_the_stored_size_too():
    one, two = (second(grid(("unet",), folds=2, n=24, seeds=(seed,))) for seed in (0, 1))
    first, other, both = (only(some).rows[0].stored for some in (one, two, [*one, *two]))
    assert both.dice == pytest.approx((first.dice + other.dice) / 2)
    assert both.image_hd95 == pytest.approx((np.array(first.image_hd95) + other.image_hd95) / 2)


# --- mm and px ----------------------------------------------------------------------------------------------------


def some_in_pixels(records):
    for r in records:
        for c in r["cases"][::2]:
            c["distance_unit"] = "px"
    return [sealed(r) for r in records]


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("rows", [("unet",), ("unet", "resunet")])
def test_a_suite_of_mixed_units_is_reported_with_all_but_its_distances(tmp_path, capsys, protocol, rows):
    mixed = [*some_in_pixels(grid(rows[:1], n=60)), *grid(rows[1:], n=60)]
    save(tmp_path, mixed if protocol == 1 else second(mixed))
    save(tmp_path, grid(("unet",), n=60, suite="sound"))
    assert main(["report", "--no-figures", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "sound.md").exists()
    text = (tmp_path / "fake.md").read_text()
    assert "**Units differ.**" in text
    assert "**Units differ.**" not in (tmp_path / "sound.md").read_text()
    if protocol > 1:
        assert cell(text, "U-Net", "HD95") == NONE
    assert cell(text, "U-Net", "Dice") == cell((tmp_path / "sound.md").read_text(), "U-Net", "Dice")
    assert "HD95 mm and px" in terminal(mixed)


def test_a_row_in_pixels_beside_one_in_millimetres_has_no_common_unit():
    pixels = grid(("resunet",), n=60)
    for r in pixels:
        for c in r["cases"]:
            c["distance_unit"] = "px"
    leaderboard = only([*grid(("unet",), n=60), *[sealed(r) for r in pixels]])
    assert {r.boundary.unit for r in leaderboard.rows} == {"mm", "px"}
    assert scores.common_unit(leaderboard.rows) == scores.MIXED


# --- whom it fails ------------------------------------------------------------------------------------------------


def test_failures_are_counted_by_hand(tmp_path):
    records = second(grid(("unet",), folds=2, n=40, level=0.99))
    for r in records:
        for k, c in enumerate(r["cases"]):
            c["at_stored"]["hd95_mm"] = {0: 20.0, 1: 20.1, 2: None}.get(k, 3.0)
            if k < 3:
                wrong = 200 - 40 * k  # of 2,000 pixels: Dice 0.90, 0.92, 0.94
                counted(c, 2000 - wrong, wrong, wrong)
            if k == 2:
                c["at_stored"].update(tp=0, fp=0, fn=32000, tn=16 * 128**2 - 32000, assd_mm=None, nsd_2mm=0.0,
                                      hd95_state="one_empty")  # fmt: skip
    records = [agreeing(r) for r in records]
    result = failures(only(records).rows[0])
    assert (result.low, result.far, result.n) == (6, 4, 40), "0.90, 0.92 and 0.94 in each fold; 20.1 and infinite ones"
    assert result.worst == pytest.approx(0.90), "5 % of 40 are two"
    page(tmp_path, records)
    assert number(tmp_path, "unet", "images_dice_below_0.95") == "6"
    assert number(tmp_path, "unet", "images_hd95_above_20mm") == "4"
    assert number(tmp_path, "unet", "dice_worst_5_percent") == "0.9"


@pytest.mark.parametrize(("n", "images"), [(20, 1), (21, 2), (138, 7), (1, 1)])
def test_the_worst_twentieth_is_rounded_up(n, images):
    row = only(grid(("unet",), folds=1, n=n)).rows[0]
    assert failures(row).worst == pytest.approx(np.sort(row.image_dice)[:images].mean())


def test_no_millimetres_no_count_of_far_borders():
    assert failures(only(grid(("unet",), n=24)).rows[0]).far is None, "not scored at the stored size"
    pixels = second(grid(("unet",), n=24))
    for r in pixels:
        for c in r["cases"]:
            c["distance_unit"] = c["at_stored"]["distance_unit"] = "px"
    assert failures(only([sealed(r) for r in pixels]).rows[0]).far is None


def test_calibration_is_pooled_over_pixels(tmp_path):
    """By hand: bins of 0.1 (say 1 of 10 lung, 90 pixels) and 0.9 (10 pixels); a second record of thrice the pixels."""
    records = second(grid(("unet",), folds=2, n=24))
    records[0]["calibration"] = {"bins": bins([90, 9.0, 9], [10, 9.0, 9]), "brier": 0.01}
    records[1]["calibration"] = {"bins": bins([270, 27.0, 0], [30, 27.0, 30]), "brier": 0.05}
    page(tmp_path, [sealed(r) for r in records])
    # bins summed: 360 pixels of mean 0.1, 9 lung; 40 of mean 0.9, 39 lung -> (|9 - 36| + |39 - 36|) / 400
    assert number(tmp_path, "unet", "ece") == "0.075"
    assert number(tmp_path, "unet", "brier") == "0.04"


def test_probabilities_that_mean_what_they_say_have_no_error():
    records = second(grid(("unet",), n=24))
    for r in records:
        r["calibration"] = {"bins": [[1000, 250.0, 250], [1000, 900.0, 900], *[[0, 0.0, 0]] * 13], "brier": 0.1}
    assert only([sealed(r) for r in records]).rows[0].calibration.ece == 0.0


def test_a_row_of_which_one_record_lacks_calibration_has_a_dash(tmp_path):
    records = second(grid(("unet",), n=24))
    del records[2]["calibration"]
    assert only([sealed(r) for r in records]).rows[0].calibration is None
    page(tmp_path, grid(("unet",), n=24))
    assert number(tmp_path, "unet", "ece") == number(tmp_path, "unet", "brier") == ""


# --- deepdraw's split -----------------------------------------------------------------------------------------------


def test_the_published_split_has_28_images_among_them_the_six_with_siblings_in_its_training_set():
    """The data's README names the six; the file of the split has 28 (96/14/28)."""
    assert len(set(scores.FIXED_SPLIT)) == 28
    six = ("0258_1", "0053_0", "0166_1", "0367_1", "0090_0", "0030_0")
    assert {f"MCUCXR_{name}" for name in six} <= set(scores.FIXED_SPLIT)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("jax-nvidia-h200-float32/unet3plus~batch-4+epochs-300+elastic+ema", 0.9827),
        ("tensorflow-cpu-float32/lwnet~batch-4+epochs-300+elastic", 0.9798),
        ("tensorflow-cpu-float32/m2unet~batch-4+epochs-300+elastic", 0.9794),
    ],
)
def test_committed_predictions_on_the_published_split_are_what_another_count_gave(files, expected):
    folders = [f for f in (RESULTS / "runs" / "ablation-128").iterdir() if f.name.startswith(files.split("/")[0])]
    paths = [p for f in folders for p in f.glob(f"{files.split('/')[1]}.montgomery.f*.s0.json")]
    old = [r for p in paths if (r := store.load_record(p)).protocol == 1]
    assert len(old) == 5
    result = scores.fixed_split_dice("montgomery", [c for r in old for c in r.cases])
    assert result == pytest.approx(expected, abs=5e-5)


def test_other_data_or_a_missing_image_has_no_such_column(tmp_path):
    names = dict(zip([f"CASE_{k:04d}" for k in range(28)], scores.FIXED_SPLIT, strict=True))
    records = grid(("unet",), n=40, data="montgomery")
    for r in records:
        for c in r["cases"]:
            c["id"] = c["patient"] = names.get(c["id"], c["id"])
    records = [agreeing(r) for r in records]
    page(tmp_path, records)
    local = [c for r in records for c in r["cases"] if c["id"] in scores.FIXED_SPLIT]
    tp, wrong = sum(c["tp"] for c in local), sum(c["fp"] + c["fn"] for c in local)
    assert float(number(tmp_path, "unet", "fixed_split_dice")) == pytest.approx(2 * tp / (2 * tp + wrong), rel=1e-5)
    assert only(grid(("unet",), n=40, data="montgomery")).rows[0].fixed_split is None
    cases = [c for r in parsed(records) for c in r.cases]
    assert scores.fixed_split_dice("montgomery", cases) is not None
    lacking = [c for c in cases if c.id != scores.FIXED_SPLIT[0]]
    assert scores.fixed_split_dice("montgomery", lacking) is None
    assert scores.fixed_split_dice("shenzhen", cases) is None
    across = [sealed({**r, "cell": {**r["cell"], "train_set": "shenzhen"}}) for r in records]
    assert only(across).rows[0].fixed_split is None, "no fold of it was trained on"
    page(tmp_path / "b", grid(("unet",), n=40))
    assert number(tmp_path / "b", "unet", "fixed_split_dice") == ""
