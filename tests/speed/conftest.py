"""Beside each timed kernel a product of matrices is timed: what `bench gate-speed` compares kernels by."""

import time
import timeit

import numpy as np
import pytest

SIDE, ROUNDS = 384, 9  # two milliseconds a product


def product_seconds():
    """The fastest of several products of single precision, of processor time: how fast this machine is, now."""
    a = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    return min(timeit.repeat(lambda: a @ a, timer=time.process_time, number=1, repeat=ROUNDS))


@pytest.fixture(autouse=True)
def reference(request):
    """Puts the product's seconds, of before or after the kernel, beside those of the kernel."""
    benchmark = request.getfixturevalue("benchmark") if "benchmark" in request.fixturenames else None
    if benchmark is None or not benchmark.enabled:
        yield
        return
    before = product_seconds()
    yield
    benchmark.extra_info["reference_seconds"] = min(before, product_seconds())
