"""Scores at the stored size of each mask: probabilities are enlarged, then thresholded."""

from dataclasses import replace

import numpy as np
import pytest

from bench.records.results import Results
from bench.running.data import SuiteData, load_suite_data, resolve_root
from bench.running.held_out import scores_at_stored
from bench.suites import Phantoms, suite
from lungseg import images, load, metrics
from lungseg.case_files import read_stored_mask
from lungseg.errors import DataError
from lungseg.images import mask_at
from lungseg.splits import Fold

SMALL = replace(suite("quick"), size=(24, 20), phantoms=Phantoms(8, (60, 50)))


@pytest.fixture(scope="module")
def suite_data(tmp_path_factory):
    folder = Results(tmp_path_factory.mktemp("results"))
    return load_suite_data(SMALL, resolve_root(SMALL, None, folder), folder)


def bilinear(values, size):
    """Pixel by pixel, between the centres of the four nearest pixels; beyond the outermost centres as at them."""
    result = np.empty(size)
    for row, column in np.ndindex(size):
        y = min(max((row + 0.5) * values.shape[0] / size[0] - 0.5, 0), values.shape[0] - 1)
        x = min(max((column + 0.5) * values.shape[1] / size[1] - 0.5, 0), values.shape[1] - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
        above = values[top, left] * (1 - (x - left)) + values[top, right] * (x - left)
        below = values[bottom, left] * (1 - (x - left)) + values[bottom, right] * (x - left)
        result[row, column] = above * (1 - (y - top)) + below * (y - top)
    return result


def test_scores_at_the_stored_size_are_those_by_brute_force(suite_data):
    fold = suite_data.folds[0]
    case_of = {case.id: case for case in suite_data.cases}
    probability = np.random.default_rng(0).random((len(fold.test), *SMALL.size), np.float32)
    result = scores_at_stored(suite_data, fold.test, suite_data.prepared.take(fold.test)[1], probability, 0.5)
    for key, values, scores in zip(fold.test, probability, result, strict=True):
        target = np.logical_or(*(images.read_mask(path) for path in case_of[key].masks))
        upsampled = bilinear(values, target.shape)
        assert target.shape == tuple(scores["size"]) == (60, 50)
        prediction = upsampled >= 0.5
        undecided = np.count_nonzero(np.abs(upsampled - 0.5) < 1e-5)  # what float32 may round to either side
        right = {
            "tp": target & prediction,
            "fp": prediction & ~target,
            "fn": target & ~prediction,
            "tn": ~target & ~prediction,
        }
        for name, pixels in right.items():
            assert abs(scores[name] - np.count_nonzero(pixels)) <= undecided
        again = metrics.score(target, mask_at(values, target.shape, 0.5), case_of[key].spacing_mm)
        for name in ("hd95_mm", "assd_mm", "nsd_2mm", "distance_unit", "hd95_state"):
            assert scores[name] == again[name], "distances are in millimetres of the stored pixels"


def test_a_prediction_of_the_stored_size_scores_the_same_at_both(suite_data):
    whole = replace(SMALL, size=(60, 50))
    masks = np.stack([read_stored_mask(case) for case in suite_data.cases])
    fold = suite_data.folds[0]
    rows = [suite_data.prepared.index_of[key] for key in fold.test]
    probability = np.roll(masks[rows], 3, axis=2).astype(np.float32)
    scores = scores_at_stored(suite_data, fold.test, masks[rows], probability, 0.5)
    for row, prediction, result in zip(rows, probability >= 0.5, scores, strict=True):
        right = metrics.score(masks[row], prediction, suite_data.cases[row].spacing_mm)
        assert result == {"size": list(whole.size)} | {key: right[key] for key in result if key != "size"}


def test_enlarging_probabilities_beats_enlarging_masks(suite_data):
    """Of a perfect network, whose probability is the share of a pixel that is lung."""
    dice = {"probabilities": [], "masks": []}
    for case in suite_data.cases:
        target = read_stored_mask(case)
        share = images.resize_image(target.astype(np.float32), SMALL.size)
        for how, values in (("probabilities", share), ("masks", (share >= 0.5).astype(np.float32))):
            dice[how].append(metrics.dice(target, mask_at(values, target.shape, 0.5)))
    assert np.mean(dice["probabilities"]) > np.mean(dice["masks"]) + 0.002


@pytest.mark.fault("F43")
def test_a_mask_that_changed_since_it_was_prepared_is_refused(suite_data):
    fold = suite_data.folds[0]
    targets = suite_data.prepared.take(fold.test)[1]
    targets[0, 10] ^= True
    with pytest.raises(DataError, match="changed since the run began"):
        scores_at_stored(suite_data, fold.test, targets, np.zeros(targets.shape, np.float32), 0.5)


def test_a_perfect_mask_of_128_px_has_0_9977_at_the_stored_size(real_montgomery):
    """Over all 138 masks of 512 px, from the exact share of each pixel that is lung."""
    dice = []
    for case in load("montgomery", real_montgomery):
        target = read_stored_mask(case)
        share = images.resize_image(target.astype(np.float32), (128, 128))
        dice.append(metrics.dice(target, mask_at(share, target.shape, 0.5)))
    assert len(dice) == 138
    assert np.mean(dice) == pytest.approx(0.9977, abs=2e-4)


def test_each_seed_has_a_partition_of_its_own_that_tests_every_image_once(suite_data):
    ids = sorted(case.id for case in suite_data.cases)
    partitions = [suite_data.partition(seed) for seed in range(4)]
    assert partitions[0] == suite_data.folds
    assert len({tuple(fold.test for fold in folds) for folds in partitions}) == 4
    for folds in partitions:
        assert sorted(key for fold in folds for key in fold.test) == ids
    assert SuiteData((), suite_data.prepared, (Fold((), (), ()),)).partition(3) == (Fold((), (), ()),)
