"""Figures: each is drawn, from one architecture to many, with the same bytes each time and without a home."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from matplotlib.text import Text
from records import grid, leaderboards, record, save, save_throughput, sealed

from bench import figures
from bench.figures import style
from bench.figures.curves import COLOURS, curves, median
from bench.figures.gallery import gallery
from bench.figures.leaderboard import _near
from bench.figures.leaderboard import leaderboard as draw_leaderboard
from bench.figures.pairwise import pairwise
from bench.figures.speed import _name as place_names
from bench.figures.speed import speed
from bench.figures.style import label, labels
from bench.records.results import Results
from bench.speed import throughput_table

KINDS = {"leaderboard", "distribution", "curves", "confusion", "speed"}
OF_PAIRS = {"pairwise"}  # not of a single architecture


def draw(tmp_path, records, names):
    save_throughput(tmp_path, names, "cpu.tensorflow.float32.128x128")
    (leaderboard,) = leaderboards(records)
    return figures.draw(leaderboard, throughput_table.load(Results(tmp_path)), tmp_path / "figures", "x")


def width_and_height(path):
    """In points of an SVG, in pixels of a PNG."""
    if path.suffix == ".svg":
        return tuple(float(result) for result in re.findall(r'(?:width|height)="([\d.]+)pt"', path.read_text())[:2])
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


@pytest.mark.fault("F94")
@pytest.mark.parametrize("n", [1, 13])
def test_every_figure_is_drawn_at_a_readable_size(tmp_path, n):
    names = [f"net_{i:02d}_$x" for i in range(n)]
    paths = draw(tmp_path, grid(names, folds=2, n=24, epochs=10), names)
    assert {p.stem.removeprefix("x-") for p in paths} == KINDS | (OF_PAIRS if n > 1 else set())
    for path in paths:
        width, height = width_and_height(path)
        assert 400 <= width <= 900
        assert 140 <= height <= 900
        assert path.stat().st_size < 1_000_000


def test_rows_whose_speed_is_drawn_bear_their_names_apart_and_the_rest_is_counted(tmp_path):
    names = [f"net_{i}" for i in range(8)]
    save_throughput(tmp_path, names[:3], "cpu.tensorflow.float32.128x128")
    (leaderboard,) = leaderboards(grid(names, folds=2, n=24, epochs=10))
    figure = speed(leaderboard, throughput_table.load(Results(tmp_path)))
    for panel in figure.axes:
        assert sorted(text.get_text() for text in panel.texts) == names[:3]
        boxes = [text.get_window_extent() for text in panel.texts]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert figure.texts[1].get_text().endswith("5 more not measured")


def test_the_title_names_the_fastest_network_near_the_best_and_unsteady_rates_are_hollow(tmp_path):
    levels = {"far": 0.93, "near": 0.979, "best": 0.981}  # the first is the fastest, the third contended
    save_throughput(tmp_path, [*levels], "cpu.tensorflow.float32.128x128")
    (leaderboard,) = leaderboards([r for name, level in levels.items() for r in grid((name,), n=60, level=level)])
    figure = speed(leaderboard, throughput_table.load(Results(tmp_path)))
    assert figure.texts[0].get_text().startswith("near predicts 1.3 times as fast as best, for 0.00")
    faces = [dot.get_facecolor()[0][:3] for dot in figure.axes[1].collections if isinstance(dot, PathCollection)]
    hollow = [np.allclose(face, to_rgb(style.GROUND)) for face in faces]
    assert hollow == [name == "best" for name in (row.name for row in leaderboard.rows)]


def test_curves_are_of_the_dice_that_the_table_has_where_records_hold_it():
    records = grid(("unet", "resunet"), n=40, epochs=10)
    assert "soft validation Dice" in curves(leaderboards(records)[0]).axes[0].get_ylabel()
    for r in records:
        r["history"]["val_hard_dice"] = [0.5] * len(r["history"]["loss"])
    axes = curves(leaderboards([sealed(r) for r in records])[0]).axes[0]
    assert axes.get_ylabel().startswith("validation Dice")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), style.stretched(np.array(0.5)))


def test_the_line_of_the_fastest_strikes_no_name_out():
    (leaderboard,) = leaderboards([r for level in (0.98, 0.97, 0.96) for r in grid((f"net_{level}",), level=level)])
    shown = list(zip((10, 40, 100), leaderboard.rows, strict=True))
    front = [(x, row.dice.value) for x, row in shown]
    figure = style.canvas(8.6, 4)
    axes = figure.add_subplot(xscale="log", xlim=(3, 400), ylim=(0.93, 0.99))
    place_names(axes, shown, front)
    figure.draw_without_rendering()  # puts texts where they will be
    line = Path(axes.transData.transform(front))
    assert len(axes.texts) == 3
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads to a dot
    assert not any(line.intersects_bbox(box, filled=False) for box in boxes)


def test_a_row_far_behind_the_others_leaves_their_axis_and_is_written():
    near = {"a": (0.960, 0.975), "b": (0.958, 0.972), "c": (0.955, 0.970)}
    assert _near({**near, "d": (0.90, 0.93)}) == {*near}
    assert _near({**near, "d": (0.90, 0.93), "e": (0.89, 0.92)}) == {*near}, "two of them"
    assert _near({**near, "d": (0.94, 0.95)}) == {*near, "d"}, "nearer than the others are wide"
    assert _near({"a": (0.97, 0.98), "b": (0.5, 0.6)}) == {"a", "b"}, "too few to leave any out"
    (leaderboard,) = leaderboards([
        *grid(("unet", "resunet", "r2unet"), n=60, level=0.985), *grid(("lwnet",), n=60, level=0.85),
    ])  # fmt: skip
    with style.house_style():
        means, differences = draw_leaderboard(leaderboard).axes
    assert leaderboard.rows[-1].name == "lwnet"
    value = f"{leaderboard.rows[-1].dice.value:.3f}"
    assert value in [text.get_text() for text in means.texts]
    assert means.get_xlim()[0] > 0.8
    assert differences.get_xlim()[0] > -0.2


@pytest.mark.parametrize("page", [{}, style._DARK], ids=["light", "dark"])
def test_no_two_curves_have_nearly_one_colour(page):
    colours = [to_rgb(page.get(colour, colour)) for colour in COLOURS]
    assert min(np.linalg.norm(np.subtract(a, b)) for a, b in itertools.combinations(colours, 2)) > 0.25
    ground = to_rgb(page.get(style.GROUND, style.GROUND))
    assert min(np.linalg.norm(np.subtract(one, ground)) for one in colours) > 0.25


def test_a_map_of_pairs_explains_only_the_colours_that_it_has():
    (leaderboard,) = leaderboards([*grid(("unet",), n=60), *grid(("resunet",), n=60, level=0.9)])
    (legend,) = pairwise(leaderboard).legends
    assert [text.get_text() for text in legend.get_texts()] == ["row worse"]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [((1, 1), True), ((3, 3), False), ((3, 1), True)],
)
def test_a_map_of_pairs_says_which_are_about_weights(seeds, said):
    of_three, other = seeds
    records = grid(("unet", "resunet"), seeds=range(of_three), folds=2, n=24, epochs=10)
    (leaderboard,) = leaderboards(records + grid(("r2unet",), seeds=range(other), folds=2, n=24, level=0.9, epochs=10))
    assert ("rows of fewer than 3 seeds: these weights" in pairwise(leaderboard).texts[1].get_text()) == said


@pytest.mark.fault("F96")
def test_same_rows_give_the_same_bytes(tmp_path):
    records = grid(("unet",), folds=2, n=24, epochs=10)
    first = [p.read_bytes() for p in draw(tmp_path / "a", records, ["unet"])]
    assert first == [p.read_bytes() for p in draw(tmp_path / "b", records, ["unet"])]
    assert not any(b"<dc:date>" in data for data in first)


def test_diverged_and_missing_histories_do_not_stop_a_figure(tmp_path):
    records = grid(("unet",), folds=2, n=24, epochs=10)
    records[0]["history"]["loss"][0] = records[0]["history"]["val_loss"][0] = 3e38  # the largest that a record holds
    diverged, none = (record("resunet", fold, folds=2, n=24, status="crashed") for fold in (0, 1))
    diverged["history"] = {key: [None, *values[1:]] for key, values in diverged["history"].items()}
    none["history"] = None
    assert len(draw(tmp_path, [*records, diverged, none], ["unet"])) == len(KINDS)


def test_nothing_scored_draws_nothing_and_removes_what_is_no_longer_true(tmp_path):
    stale = tmp_path / "figures" / "x-leaderboard.svg"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    assert draw(tmp_path, [record("unet", 0, status="crashed")], []) == []
    assert not stale.exists()


def test_median_curve_runs_while_half_of_the_trainings_do():
    curves = [np.array(v, float) for v in ([1, 2, 3, 4], [3, 4, np.nan], [5])]
    np.testing.assert_array_equal(median(curves), [3, 3, 3])


def test_gallery_draws_empty_full_and_oblong_masks(tmp_path):
    image = np.random.default_rng(0).random((32, 24)).astype(np.float32)
    full, empty = np.ones((32, 24), bool), np.zeros((32, 24), bool)
    half = full.copy()
    half[:, :12] = False
    cases = [
        {"id": "p|1", "image": image, "target": t, "prediction": g, "dice": 0.5}
        for t, g in ((full, empty), (half, half), (empty, full), (half, full))
    ]
    assert min(width_and_height(gallery(cases, tmp_path / "g.png"))) > 400


@pytest.mark.fault("F82", "F95")
def test_no_home_and_no_display_are_needed(tmp_path):
    save(tmp_path, grid(("unet",), folds=2, n=24, epochs=5))
    hidden = ("HOME", "DISPLAY", "MPLBACKEND", "MPLCONFIGDIR", "XDG_CONFIG_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in hidden} | {"HOME": "/nonexistent"}
    code = "from pathlib import Path; from bench.pages import report; from bench.records.results import Results; "
    code += f"report.write(Results(Path({str(tmp_path)!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "atplotlib" not in run.stderr
    assert (tmp_path / "figures" / "fake-tensorflow-cpu-float32-leaderboard.svg").stat().st_size > 5000


def test_long_names_stay_apart_whatever_is_cut():
    long = "unet3plus (batch-4+epochs-300+elastic)"
    assert label("unet (elastic)") == "unet (elastic)"
    assert label(long, 22) == "unet3plus (b...lastic)"
    assert label("a$b" * 9, 12) == r"a\$ba\$b...a\$b"


def test_labels_grow_until_they_are_told_apart():
    names = [f"unet3plus (batch-4{more}+elastic)" for more in ("", "+epochs-300")] + ["unet3plus (elastic)"]
    assert labels(names[1:], 22) == [label(name, 22) for name in names[1:]]
    result = labels(names, 22)
    assert len(set(result)) == 3
    assert "..." in result[1], "not longer than they must be"
    assert ["y" in each for each in labels([f"{'x' * 30}{c}{'x' * 30}" for c in "yz"], 22)] == [True, False]
    assert labels(["a", "a"]) == ["a", "a"]
    assert labels([]) == []
