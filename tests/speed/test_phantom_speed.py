"""How fast a phantom is drawn, against a yardstick of the same machine."""

import time

import numpy as np

from lungseg.datasets import phantom


def yardstick():
    """600 passes over a 128 x 128 grid: about what 5 ms, 200 images a second, were worth where this was written."""
    grid = np.ones((128, 128))
    for _ in range(600):
        grid = grid * 0.5 + 0.5


def best_of(function, repeats=7):
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_draw_128(benchmark):
    seeds = iter(range(10**9))
    benchmark(lambda: phantom.thorax(next(seeds), (128, 128)))


def test_drawing_costs_a_bounded_number_of_passes_over_the_image():
    def draw():
        for seed in range(8):
            phantom.thorax(seed, (128, 128))

    draw()
    assert best_of(draw) / 8 < 3 * best_of(yardstick)
