"""One-dimensional profiles and textures from which tissues are drawn: steps, bells, clouds; float64 of any shape.

They work in place where they can: a pass over the image costs more in fresh memory than in arithmetic.
"""

from __future__ import annotations

import numpy as np

from lungseg.datasets.phantom.anatomy import Grid


def ramp(distance: Grid) -> Grid:
    """A step from 0 to 1 as `distance` goes from -1 to 1."""
    s = distance * 0.5
    s += 0.5
    return np.clip(s, 0, 1, out=s)


def edge(distance: Grid) -> Grid:
    """A ramp without corners."""
    s = ramp(distance)
    t = s * -2
    t += 3
    t *= s
    t *= s
    return t


def ridge(u: Grid) -> Grid:
    """A bell of height 1 that ends at u = -1 and 1."""
    s = u * u
    np.subtract(1, s, out=s)
    np.maximum(s, 0, out=s)
    s *= s
    return s


def saw(u: Grid) -> Grid:
    """Distance to the middle of each period of length 1, from -0.5 to 0.5."""
    s = u - np.floor(u)
    s -= 0.5
    return s


def bone(u: Grid) -> Grid:
    """Across a bone, -1 to 1: the dense rim shows brighter than the core."""
    r = u * u
    s = np.maximum(1 - r, 0)
    r *= 1.8
    r += 0.55
    s *= r
    return s


def clouds(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """Smooth random texture (H, W), about -1 to 1, the same pattern at every size.

    Knots and weights have few enough bits for the matrix products to be exact in whatever order a BLAS adds them.
    """
    n = 14
    knots = rng.integers(-128, 129, (n, n)) / 128

    def spline(length: int) -> Grid:
        u = (np.arange(length) + 0.5)[:, None] / length * (n - 3) + 1 - np.arange(n)
        return np.rint(ridge(u * 0.5) * (0.75 * 4096)) / 4096

    return spline(shape[0]) @ knots @ spline(shape[1]).T
