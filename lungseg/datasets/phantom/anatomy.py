"""A made-up patient: the numbers that describe one thorax, drawn from a seed, and how deep each pixel lies inside its
lungs, heart and other shapes.

Lengths are in fields: 1 is the height of the radiograph, 352 mm. `x` runs from the spine to the image's right, `y` from
the top edge (0) to the bottom (1). By radiological convention the patient's left is at the image's right. `a` is the
distance from the spine to either side.

Only +, -, *, /, comparisons and square roots touch the grid of pixels. IEEE 754 rounds each of them in exactly one way,
so the masks do not depend on the processor; exponentials and sines would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]  # rows and columns
Number = TypeVar("Number", float, Grid)

FIELD_MM = 352.0
ASPECT = 320 / 384  # width of the field over its height; an image of another shape is squashed, never cropped

LEFT, RIGHT = 1, -1  # the direction, in the image, from the spine to the patient's left and right
_FAR = -1.0  # a distance that is certainly outside


@dataclass(frozen=True)
class Pose:
    """How the patient stands before the detector: turned, shifted by (dx, dy) fields, scaled, the spine bent."""

    cos: float
    sin: float
    dx: float
    dy: float
    scale: float
    bend: float


@dataclass(frozen=True)
class Ellipse:
    """`cos` and `sin` tilt the ellipse about its centre."""

    x: float
    y: float
    rx: float
    ry: float
    cos: float = 1.0
    sin: float = 0.0


@dataclass(frozen=True)
class Lung:
    """One lung. `soft_...` is the half-width of a border's blur in the image."""

    side: int
    apex_a: float
    apex_y: float
    reach: float  # a of the lateral border at the costophrenic angle
    length: float  # y from the apex to the costophrenic angle
    bow: float  # how far the lateral border bulges, 1 is a plain root
    inner: float  # how fast the medial border leaves the apex
    pedicle: float  # half-width of the upper mediastinum, and how it widens downwards
    widening: float
    dome_y: float
    dome_a: float
    dome_drop: float  # how much lower the diaphragm meets the chest wall
    soft_wall: float
    soft_inner: float
    soft_dome: float

    def edges(self, t: Grid) -> tuple[Grid, Grid]:
        """`a` of the chest wall's inner side, and of the border towards the spine where no heart covers it.

        t: depth in the lung, 0 at the apex, 1 at the costophrenic angle.
        """
        q = np.sqrt(t)
        lateral = self.apex_a + (self.reach - self.apex_a) * q * (self.bow - (self.bow - 1) * q)
        return lateral, np.maximum(self.apex_a - self.inner * q, self.pedicle + self.widening * t * t)

    def dome(self, a: Number) -> Number:
        """`y` of the diaphragm at distance `a` from the spine."""
        width = self.reach - self.dome_a
        r = (a - self.dome_a) * (a - self.dome_a) * (1 / (width * width))
        return self.dome_y + r * (0.55 + 0.45 * r) * self.dome_drop


@dataclass(frozen=True)
class Opacity:
    """Consolidated lung: a blob, a ring (cavity) where `hollow`, or fluid that fills the lung from below."""

    shape: Ellipse
    strength: float
    hollow: bool = False
    fluid: bool = False


@dataclass(frozen=True)
class Patient:
    """One thorax and where it stands. What moves no mask is drawn later, by `radiography`."""

    sex: str
    age: int  # years
    tb: int  # 1 where there are opacities, else 0
    pose: Pose
    left: Lung
    right: Lung
    heart: Ellipse
    knob: Ellipse  # the aortic arch, seen end-on
    bubble: Ellipse  # gas in the stomach
    opacities: tuple[Opacity, ...] = ()


def stream(seed: int, purpose: int) -> np.random.Generator:
    """Independent random numbers for one purpose: a change of one part of the drawing leaves the others alone."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))


def patient(seed: int) -> Patient:
    """The patient of this seed, at whatever size it is drawn."""
    rng = stream(seed, 0)
    u = rng.uniform
    sex = "FM"[int(rng.integers(2))]
    age = int(rng.integers(15, 90))
    tb = int(u() < 0.42)
    pose = Pose(*_turn(u(-0.035, 0.035)), u(-0.02, 0.02), u(-0.02, 0.02), u(0.9, 1.06), u(-0.06, 0.06))
    build = u(-1, 1)  # short and wide to tall and slim
    common = {
        "apex_y": 0.125 + 0.015 * build + u(-0.015, 0.015),
        "reach": (0.305 if sex == "F" else 0.32) - 0.012 * build + u(-0.015, 0.015),
        "dome_y": 0.67 + 0.05 * build + u(-0.05, 0.03),
        "bow": u(1.65, 1.98),
        "soft_wall": u(0.006, 0.019),
        "soft_inner": u(0.005, 0.016),
        "soft_dome": u(0.005, 0.019),
    }
    right, left = _lung(RIGHT, common, rng), _lung(LEFT, common, rng)
    cos, sin = _turn(u(0.17, 0.37))
    heart = Ellipse(
        x=u(0.035, 0.06),
        y=left.dome_y - u(0.045, 0.075),
        rx=u(0.125, 0.155),
        ry=u(0.085, 0.105),
        cos=cos,
        sin=sin,
    )
    radius = 0.02 + 0.00014 * age + u(0, 0.008)
    knob = Ellipse(left.pedicle - 0.012, u(0.27, 0.31), radius, radius * 1.3)
    wide, tall = u(0.03, 0.065), u(0.016, 0.032)
    bubble = Ellipse(u(0.11, 0.19), 0.0, wide, tall)
    roof = max(left.dome(bubble.x + k * wide) for k in (-0.7, 0.0, 0.7))
    bubble = Ellipse(bubble.x, roof + tall + u(0.008, 0.03), wide, tall)
    return Patient(sex, age, tb, pose, left, right, heart, knob, bubble, _opacities(rng, left, right) if tb else ())


def _turn(t: float) -> tuple[float, float]:
    """Cosine and sine of the angle whose half has the tangent `t`, without a library that may round them otherwise."""
    return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)


def _lung(side: int, common: dict[str, float], rng: np.random.Generator) -> Lung:
    u = rng.uniform
    dome_y = common["dome_y"] + (u(0.0, 0.03) if side == LEFT else u(-0.02, 0.01))
    if u() < 0.1:
        dome_y -= u(0.04, 0.1)  # a raised diaphragm
    apex_y = common["apex_y"] + u(-0.01, 0.01)
    return Lung(
        side=side,
        apex_a=u(0.09, 0.115),
        apex_y=apex_y,
        reach=common["reach"] + u(-0.018, 0.018),
        length=dome_y + 0.09 - apex_y,
        bow=common["bow"],
        inner=u(0.15, 0.21),
        pedicle=u(0.03, 0.045),
        widening=u(0.02, 0.05),
        dome_y=dome_y,
        dome_a=u(0.11, 0.155),
        dome_drop=u(0.05, 0.125),
        soft_wall=common["soft_wall"],
        soft_inner=common["soft_inner"],
        soft_dome=common["soft_dome"],
    )


def _opacities(rng: np.random.Generator, left: Lung, right: Lung) -> tuple[Opacity, ...]:
    u = rng.uniform
    result = []
    for _ in range(int(rng.integers(1, 4))):
        lung = (left, right)[int(rng.integers(2))]
        y = lung.apex_y + lung.length * u(0.12, 0.55)  # tuberculosis prefers the upper lung
        blob = Ellipse(lung.side * u(0.10, 0.22), y, u(0.03, 0.085), u(0.03, 0.085))
        result.append(Opacity(blob, u(0.35, 0.75), hollow=bool(u() < 0.25)))
    if u() < 0.3:
        lung = (left, right)[int(rng.integers(2))]
        depth = u(0.03, 0.16)
        fluid = Ellipse(lung.side * lung.reach, lung.apex_y + lung.length, u(0.12, 0.24), depth + 0.03)
        result.append(Opacity(fluid, u(0.6, 0.95), fluid=True))
    return tuple(result)


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
