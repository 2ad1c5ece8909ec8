"""Scoring must not be felt beside a training: 138 predictions at 256 px, everything stored, within 2 s."""

from itertools import combinations, islice

import pytest
from strategies import lung_like

from lungseg import metrics

SECONDS = 2.0
IMAGES = 138


@pytest.fixture(scope="module")
def predictions():
    readers = [lung_like(seed) for seed in range(18)]
    return list(islice(combinations(readers, 2), IMAGES))


def test_scoring_138_predictions_at_256_px(benchmark, predictions):
    def score_all():
        return [metrics.score(target, prediction, (1.37, 1.67)) for target, prediction in predictions]

    cases = benchmark(score_all)
    assert len(cases) == IMAGES
    assert 0.8 < metrics.pooled(cases)["dice"] < 1  # as alike as lungs are, else the time says little
    if benchmark.stats:  # absent where benchmarks run untimed, as ordinary tests
        best = benchmark.stats.stats.min
        print(f"\n{IMAGES} predictions: {best:.2f} s, {best / IMAGES * 1000:.1f} ms each")
        assert best <= SECONDS


@pytest.mark.parametrize("size", [256, 1024])
@pytest.mark.parametrize("part", ["counts", "tolerance_counts", "distances"])
def test_parts(benchmark, part, size):
    assert benchmark(getattr(metrics, part), lung_like(0, size), lung_like(1, size))


@pytest.mark.parametrize("part", ["components", "holes"])
def test_topology(benchmark, part):
    assert benchmark(getattr(metrics, part), lung_like(0)) == {"components": 2, "holes": 0}[part]
