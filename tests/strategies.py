"""Masks for tests: Hypothesis strategies for the small and odd, a seeded maker for the lung-like."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def shapes(max_side: int = 16) -> st.SearchStrategy[tuple[int, int]]:
    """(H, W) from 1 x 1 on."""
    return st.tuples(st.integers(1, max_side), st.integers(1, max_side))


@st.composite
def one_pixel(draw: st.DrawFn, shape: tuple[int, int]) -> Mask:
    """A mask with a single true pixel."""
    mask = np.zeros(shape, dtype=bool)
    mask[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    return mask


@st.composite
def blobs(draw: st.DrawFn, shape: tuple[int, int]) -> Mask:
    """One to three ellipses, overlapping or not, cut by the edge or not."""
    rows, columns = np.indices(shape)
    mask = np.zeros(shape, dtype=bool)
    for _ in range(draw(st.integers(1, 3))):
        r, c = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        a, b = draw(st.integers(1, max(1, shape[0] // 2))), draw(st.integers(1, max(1, shape[1] // 2)))
        mask |= ((rows - r) / a) ** 2 + ((columns - c) / b) ** 2 <= 1
    return mask


@st.composite
def noise(draw: st.DrawFn, shape: tuple[int, int]) -> Mask:
    """Every pixel by itself, sparse to dense."""
    # From a seed: hnp.arrays prefers arrays of one value, and nearly every "noise" would be empty or full.
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random(shape) < draw(st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]))


def masks(shape: tuple[int, int]) -> st.SearchStrategy[Mask]:
    """Boolean (H, W): empty, full, one pixel, blobs or noise."""
    plain = st.sampled_from([False, True]).map(lambda value: np.full(shape, value))
    return st.one_of(plain, one_pixel(shape), blobs(shape), blobs(shape), noise(shape), noise(shape))


@st.composite
def pairs(draw: st.DrawFn, max_side: int = 16) -> tuple[Mask, Mask]:
    """Two masks of one shape: unrelated, one inside the other, one with faults of the other, or equal."""
    shape = draw(shapes(max_side))
    relation = draw(st.sampled_from(["unrelated", "unrelated", "larger", "smaller", "faulty", "equal"]))
    a, b = draw(masks(shape)), draw(masks(shape))
    related = {"unrelated": b, "larger": a | b, "smaller": a & b, "faulty": a ^ b, "equal": a.copy()}
    return a, related[relation]


def spacings() -> st.SearchStrategy[tuple[float, float]]:
    """A pixel's (row, column) size in mm, often the awkward kind whose multiples are not exact."""
    side = st.one_of(st.sampled_from([0.1, 0.175, 0.2, 0.4, 1.0, 1.37, 1.67]), st.floats(0.05, 4.0))
    return st.tuples(side, side)


def lung_like(seed: int, size: int = 256, unrest: float = 0.05) -> Mask:
    """Two wobbly ellipses where lungs lie, bool (size, size); seeds differ as readers or networks do."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((size, size)) / size
    mask = np.zeros((size, size), dtype=bool)
    for centre in (0.3, 0.7):
        angle = np.arctan2(rows - 0.5, columns - centre)
        waves = [np.sin(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 5)]
        radius = ((columns - centre) / 0.14) ** 2 + ((rows - 0.5) / 0.32) ** 2
        mask |= radius < (1 + unrest * sum(waves)) ** 2
    return mask
