"""What the intervals and the test promise, tried on populations whose truth is known.

The default tests draw few samples; `pytest -m slow -s tests/test_coverage.py` draws many and prints the figures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.records import store
from bench.statistics import pairs, resamples, resampling, stats
from bench.statistics.rows import seeds_needed
from bench.statistics.scores import Scores

N = 138  # images of Montgomery
NAMES = tuple(f"{i:03d}" for i in range(N))
FOLD = np.arange(N) % 5
RESULTS = Path(__file__).resolve().parent.parent / "results"


def skewed(rng, shape):
    """Dice like ours: mean 0.967, SD 0.024, skewness -2.6 (the committed U-Net: 0.967, 0.021, -2.8)."""
    return 1 - 0.033 * np.exp(0.65 * rng.standard_normal(shape) - 0.65**2 / 2)


def measured():
    """Out-of-fold Dice of the committed U-Net, as a population to draw from."""
    sections = stats.sections(store.load_records(RESULTS, "montgomery-128"))
    section = next(s for s in sections if s.setting.machine == "tensorflow-cpu-float32")
    return np.array(next(r for r in section.rows if r.architecture == "unet").image_dice)


def test_the_population_that_the_slow_figures_draw_from_is_there():
    assert measured().shape == (138,)


def misses(samples, truth, bca=True):
    """Shares of (samples, images) whose interval lies wholly below and wholly above the true mean."""
    patient = np.arange(samples.shape[1])
    weights = resampling.patient_weights(samples.shape[1])
    means = resampling.resampled_rows(samples, patient, weights)
    found = [
        resampling.interval(float(x.mean()), m, resampling.acceleration(x, patient, len(x)) if bca else None, len(x))
        for x, m in zip(samples, means, strict=True)
    ]
    return np.mean([i.high < truth for i in found]), np.mean([i.low > truth for i in found])


def coverage(draw, truth, samples, bca=True, n=N):
    """(coverage, missed low, missed high), drawn 500 samples at a time for the sake of memory."""
    rng = np.random.default_rng(1)
    below, above = np.mean([misses(draw(rng, (500, n)), truth, bca) for _ in range(samples // 500)], axis=0)
    return 1 - below - above, below, above


def trained(rng, images, seeds, shift, folds=5):
    """(seeds, images) Dice of one architecture: each training is off by `shift`, and by chance on each image."""
    noise = rng.standard_normal((seeds, N)) * 0.0045 * np.sqrt(images / images.mean())
    return 1 - images + rng.normal(0, shift, (seeds, folds))[:, FOLD % folds] + noise


def table(values):
    return Scores((), tuple(range(len(values))), NAMES, NAMES, {"dice": values})


def told_apart(experiments, seeds, shift, rows=2, gap=0.0, folds=5):
    """Shares of experiments on equal methods (but for `gap`) in which any pair is told apart, and any p < 0.05."""
    rng = np.random.default_rng(2)
    real, significant = [], []
    for _ in range(experiments):
        images = rng.lognormal(-3.5, 0.6, N)
        tables = {f"net{i}": table(trained(rng, images, seeds, shift, folds) - i * gap) for i in range(rows)}
        found = pairs.compared(list(tables), tables, resamples.drawn(tables), folds)
        real.append(any(p.real for p in found))
        significant.append(any(p.p_holm < 0.05 for p in found))
    return np.mean(real), np.mean(significant)


def test_95_percent_intervals_of_a_skewed_mean_cover_93_to_97():
    share, below, above = coverage(skewed, 0.967, 1500)
    assert 0.93 <= share <= 0.97
    assert max(below, above) < 2 * min(below, above)  # and both sides miss alike


def test_equal_methods_are_told_apart_in_at_most_5_percent():
    assert told_apart(150, seeds=1, shift=0.0)[0] <= 0.05
    assert told_apart(150, seeds=3, shift=0.001)[0] <= 0.05


def test_seeds_make_the_test_alone_a_liar():
    # why a pair must also have an interval, over seeds, that excludes 0
    real, significant = told_apart(100, seeds=3, shift=0.002)
    assert significant > 0.2
    assert real < significant / 2


@pytest.mark.slow
def test_coverage_figures():
    own = measured()
    populations = {
        "lognormal": (skewed, 0.967),
        "measured": (lambda rng, shape: rng.choice(own, shape), own.mean()),
    }
    for name, (draw, truth) in populations.items():
        for bca in (True, False):
            share, below, above = coverage(draw, truth, 20_000, bca)
            kind = "BCa" if bca else "percentile"
            print(f"\n{name}, {kind}: covers {share:.4f}, lies below {below:.4f}, above {above:.4f}")
            if bca:
                assert 0.93 <= share <= 0.97
    for n in (60, 28, 18):
        print(f"\nlognormal, BCa, n = {n}: covers {coverage(skewed, 0.967, 10_000, n=n)[0]:.4f}")


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "shift"), [(3, 0.0005), (3, 0.002), (5, 0.002)])
def test_coverage_figures_over_patients_and_seeds(seeds, shift):
    rng = np.random.default_rng(3)
    truth = 1 - np.exp(-3.5 + 0.6**2 / 2)
    covered = []
    for _ in range(1500):
        scores = table(trained(rng, rng.lognormal(-3.5, 0.6, N), seeds, shift))
        found = resamples.drawn({"net": scores})["net"]
        mean = float(scores.values["dice"].mean())
        interval = resampling.interval(mean, found.means, found.acceleration, N)
        covered.append(interval.low <= truth <= interval.high)
    print(f"\n{seeds} seeds, SD of a training {shift}: covers {np.mean(covered):.4f}")
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "shift", "rows"),
    [(1, 0.0, 2), (3, 0.0, 2), (3, 0.0005, 2), (3, 0.001, 2), (3, 0.002, 2), (3, 0.001, 3), (5, 0.001, 2)],
)
def test_false_positive_figures(seeds, shift, rows):
    real, significant = told_apart(1500, seeds, shift, rows)
    what = f"{rows} equal methods, {seeds} seeds, SD of a training {shift}"
    print(f"\n{what}: told apart {real:.4f}, p < 0.05 alone {significant:.4f}")
    assert real <= 0.05


def test_seeds_of_one_training_need_to_be_many():
    # three values that vary as much as these look alike too often: such a pair is never called one of methods
    assert told_apart(100, seeds=3, shift=0.005, folds=1)[0] > 0.05
    assert (seeds_needed(1), seeds_needed(5)) == (10, 3)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 10])
def test_false_positive_figures_of_one_training_a_seed(seeds):
    real, _ = told_apart(1000, seeds, shift=0.005, folds=1)
    print(f"\n{seeds} seeds of one training each, SD of a training 0.005: told apart {real:.4f}")
    assert (real <= 0.08) == (seeds == 10)


@pytest.mark.slow
def test_a_real_gap_of_the_detectable_size_is_found_in_most_experiments():
    # SD of a difference of two trainings on an image is about 0.0064: 80 % power promises 0.0015 of Dice
    assert told_apart(300, seeds=1, shift=0.0, gap=resampling.detectable(0.0064, N))[0] > 0.7
