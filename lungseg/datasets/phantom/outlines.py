"""A patient on a pixel grid: how far each pixel's centre lies inside the lungs, the heart and other shapes.

Only +, -, *, /, comparisons and square roots touch the grid. IEEE 754 rounds each of them in exactly one way, so the
masks do not depend on the processor; exponentials and sines would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lungseg.datasets.phantom.anatomy import ASPECT, Ellipse, Grid, Lung, Patient, Pose

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]  # rows and columns

_FAR = -1.0  # a distance that is certainly outside


@dataclass(frozen=True)
class Frame:
    """The pixel centres in the patient's coordinates: x and y are float64 (H, W) grids, in fields."""

    pose: Pose
    x: Grid
    y: Grid

    def box(self, x: tuple[float, float], y: tuple[float, float]) -> Box:
        """The part of the image that surely holds this rectangle of the patient; what is drawn is drawn in boxes."""
        pose, (h, w) = self.pose, self.x.shape
        row, column = place(pose, (x[0] + x[1]) / 2, (y[0] + y[1]) / 2)
        cos, sin = pose.cos, abs(pose.sin)
        wide, tall = (x[1] - x[0]) / 2 + abs(pose.bend) * 0.5, (y[1] - y[0]) / 2
        rows = (tall * cos + wide * sin) * pose.scale + 0.005
        columns = (wide * cos + tall * sin) * pose.scale / ASPECT + 0.005
        return (
            slice(max(int((row - rows) * h), 0), max(math.ceil((row + rows) * h), 0)),
            slice(max(int((column - columns) * w), 0), max(math.ceil((column + columns) * w), 0)),
        )

    def side(self, side: int, a: tuple[float, float], y: tuple[float, float]) -> tuple[Box, Grid, Grid]:
        """The same for distances `a` from the spine on one side: the box, and a and y within it."""
        box = self.box(a if side > 0 else (-a[1], -a[0]), y)
        return box, self.x[box] * side, self.y[box]


class Outline(NamedTuple):
    """One lung in its `box`. `chest` and `dome` are positive inside, in units of the border's softness."""

    lung: Lung
    box: Box
    a: Grid
    y: Grid
    lateral: Grid
    chest: Grid
    dome: Grid


class Outlines(NamedTuple):
    """`heart`: distance inside the heart and the aortic knob, in fields; float64 (H, W)."""

    left: Outline
    right: Outline
    heart: Grid

    def masks(self) -> tuple[Mask, Mask]:
        """The left and the right lung, bool (H, W): pixels whose centre lies inside, the heart left out."""
        clear = self.heart <= 0
        masks = []
        for lung in (self.left, self.right):
            mask = np.zeros(self.heart.shape, bool)
            mask[lung.box] = (lung.chest > 0) & (lung.dome > 0) & clear[lung.box]
            masks.append(mask)
        return masks[0], masks[1]


def frame(pose: Pose, size: tuple[int, int]) -> Frame:
    """The position in the patient of each pixel of an image of `size` (rows, columns)."""
    h, w = size
    y = ((np.arange(h) + 0.5) / h - 0.5 - pose.dy)[:, None] / pose.scale
    x = (((np.arange(w) + 0.5) / w - 0.5) * ASPECT - pose.dx)[None, :] / pose.scale
    cos, sin = pose.cos, pose.sin
    down = y * cos - x * sin
    across = down * down
    across *= -pose.bend
    across += x * cos
    across += y * sin
    down += 0.5
    return Frame(pose, across, down)


def place(pose: Pose, x: float, y: float) -> tuple[float, float]:
    """Row and column, as shares of the image, where a point of the patient is seen: the inverse of `frame`."""
    down = y - 0.5
    across = x + pose.bend * down * down
    row = (down * pose.cos + across * pose.sin) * pose.scale + pose.dy + 0.5
    return row, ((across * pose.cos - down * pose.sin) * pose.scale + pose.dx) / ASPECT + 0.5


def inside(shape: Ellipse, x: Grid, y: Grid) -> Grid:
    """About the distance to the ellipse's border in fields, positive inside."""
    x, y = x - shape.x, y - shape.y
    if shape.sin:
        x, y = x * shape.cos + y * shape.sin, y * shape.cos - x * shape.sin
    x *= 1 / shape.rx
    y *= 1 / shape.ry
    x *= x
    y *= y
    x += y
    return (1 - np.sqrt(x, out=x)) * min(shape.rx, shape.ry)


def around(shape: Ellipse, at: Frame, margin: float = 0.03) -> Box:
    """The box of an ellipse and its blurred border."""
    r = max(shape.rx, shape.ry) + margin if shape.sin else 0.0
    rx, ry = r or shape.rx + margin, r or shape.ry + margin
    return at.box((shape.x - rx, shape.x + rx), (shape.y - ry, shape.y + ry))


def outlines(patient: Patient, at: Frame) -> Outlines:
    """The borders that decide the masks, and that the image is drawn from."""
    heart = np.full(at.x.shape, _FAR)
    for shape in (patient.heart, patient.knob):
        box = around(shape, at)
        heart[box] = np.maximum(heart[box], inside(shape, at.x[box], at.y[box]))
    return Outlines(_outline(patient.left, at), _outline(patient.right, at), heart)


def _outline(lung: Lung, at: Frame) -> Outline:
    bottom = lung.dome(lung.reach) + 0.03
    box, a, y = at.side(lung.side, (0.02, lung.reach + 0.03), (lung.apex_y - 0.03, bottom))
    t = np.maximum((y - lung.apex_y) * (1 / lung.length), 0)
    lateral, medial = lung.edges(t)
    chest = np.minimum((lateral - a) * (1 / lung.soft_wall), (a - medial) * (1 / lung.soft_inner))
    chest = np.minimum(chest, (y - lung.apex_y) * (1 / lung.soft_wall))
    return Outline(lung, box, a, y, lateral, chest, (lung.dome(a) - y) * (1 / lung.soft_dome))
