"""Seeds that split the images each by itself (protocol 2), and those that split them alike (protocol 1)."""

from __future__ import annotations

import numpy as np
import pytest
from read_page import number, page
from records import grid, leaderboards, parsed, sealed

from bench.statistics.scores import Scores
from lungseg import csv_file


def partitioned(architectures=("unet", "resunet"), seeds=(0, 1, 2), folds=3, n=36):
    """Records of which each seed tests on folds of its own, the same for every architecture."""
    made = grid(architectures, seeds=seeds, folds=folds, n=n)
    ids = sorted({c["id"] for r in made for c in r["cases"]})
    result = []
    for r in made:
        seed, fold = r["cell"]["seed"], r["cell"]["fold"]
        order = np.random.default_rng(seed).permutation(n)
        test = {ids[i] for i in order[fold::folds]}
        same = [o for o in made if (o["cell"]["architecture"], o["cell"]["seed"]) == (r["cell"]["architecture"], seed)]
        cases = [c for o in same for c in o["cases"] if c["id"] in test]
        target = {c["id"]: c["target_pixels"] for c in cases}
        split = {"train": [i for i in ids if i not in test], "validation": [], "test": sorted(test)}
        result.append(sealed({**r, "cases": cases, "split": split, "data": {**r["data"], "target_pixels": target}}))
    return result


def test_folds_are_those_of_each_seed():
    records = [r for r in partitioned() if r["cell"]["architecture"] == "unet"]
    scores = Scores.of(parsed(records))
    folds = scores.folds()
    assert folds.shape == (3, 36)
    assert not (folds[0] == folds[1]).all()
    for r in records:
        seed, fold = r["cell"]["seed"], r["cell"]["fold"]
        assert {scores.images[i] for i in np.flatnonzero(folds[seed] == fold)} == {c["id"] for c in r["cases"]}
    part = Scores.of([r for r in parsed(records) if (r.cell.seed, r.cell.fold) != (1, 2)])
    missing = part.folds()[1] == -1
    assert missing.sum() == 12
    assert np.isnan(part.values["dice"][1, missing]).all()


def test_each_image_is_still_predicted_once_a_seed_and_ranked():
    (leaderboard,) = leaderboards(partitioned())
    assert all(r.rank and r.complete and len(r.images) == 36 for r in leaderboard.rows)
    (alike,) = leaderboards(grid(("unet", "resunet"), seeds=range(3), folds=3, n=36))
    for one, other in zip(leaderboard.rows, alike.rows, strict=True):
        assert one.dice == other.dice, "who tests an image with whom is no part of its score"
    assert leaderboard.pairs == alike.pairs


def test_a_fold_of_one_seed_is_not_averaged_with_another_seeds():
    (leaderboard,) = leaderboards(partitioned(("unet",)))
    assert [(f.seeds, f.fold, f.n) for f in leaderboard.folds] == [((s,), k, 12) for s in range(3) for k in range(3)]
    (alike,) = leaderboards(grid(("unet",), seeds=range(3), folds=3, n=36))
    assert [(f.seeds, f.fold, f.n) for f in alike.folds] == [((0, 1, 2), k, 12) for k in range(3)]


def test_no_fold_outlasts_a_seed_so_its_variance_is_a_dash(tmp_path):
    (leaderboard,) = leaderboards(partitioned())
    for row in leaderboard.rows:
        assert row.variance_components.fold is None
        assert row.variance_components.seed is not None
    assert leaderboard.spread is not None
    page(tmp_path, partitioned())
    assert number(tmp_path, "unet", "sd_fold") == ""
    assert float(number(tmp_path, "unet", "sd_seed")) >= 0
    _, folds = csv_file.read(tmp_path / "tables/fake/folds.csv")
    assert sum(line["name"] == "unet" for line in folds) == 9


def test_the_nested_choice_holds_out_the_folds_of_every_seed():
    (leaderboard,) = leaderboards(partitioned())
    assert sum(leaderboard.nested.chosen.values()) == 9
    assert leaderboard.nested.dice == pytest.approx(leaderboard.nested.highest), (
        "the first row is highest on every part"
    )
