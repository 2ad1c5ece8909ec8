"""The radiograph of a made-up patient: what each tissue takes from the beam, and what the film makes of the rest:
exposure, contrast, blur, noise, black padding and burnt-in letters.

Attenuation is in arbitrary units, 1 being the chest's soft tissue at its thickest. As in the outlines, the pixels see
only arithmetic that IEEE 754 rounds in one way, so the 12-bit image is the same on every machine.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from lungseg.datasets.phantom.anatomy import (
    ASPECT,
    Ellipse,
    Frame,
    Grid,
    Opacity,
    Outline,
    Outlines,
    Patient,
    around,
    inside,
    place,
    stream,
)

_WHITE = 2.4  # attenuation that leaves the film clear
# A letter is seven rows of five dots, each row a number whose highest bit is the leftmost dot.
_FONT = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "T": (31, 4, 4, 4, 4, 4, 4),
}


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


class Look(NamedTuple):
    """What differs from body to body without moving a mask. Lengths in fields, the rest in attenuation."""

    air: float  # share of the attenuation that a lung saves
    texture: float
    vessels: float
    heart: float
    spine: float
    ribs: float
    rib_gap: float
    rib_phase: float
    clavicle: float
    clavicle_y: float
    clavicle_rise: float
    flank: float  # half-width of the trunk
    scapula_a: float
    breast: float
    breast_y: float
    gas: float


def look(rng: np.random.Generator) -> Look:
    """Draw a patient's look."""
    u = rng.uniform
    return Look(
        air=u(0.68, 0.9),
        texture=u(0.05, 0.16),
        vessels=u(0.1, 0.28),
        heart=u(0.4, 0.9),
        spine=u(0.2, 0.45),
        ribs=u(0.07, 0.17),
        rib_gap=u(0.064, 0.074),
        rib_phase=u(0, 1),
        clavicle=u(0.15, 0.35),
        clavicle_y=u(0.16, 0.2),
        clavicle_rise=u(-0.05, 0.2),
        flank=u(0.345, 0.41),
        scapula_a=u(0.3, 0.36),
        breast=u(0.1, 0.4),
        breast_y=u(0.5, 0.6),
        gas=u(0.45, 0.88),
    )


def radiograph(seed: int, patient: Patient, at: Frame, drawn: Outlines) -> Grid:
    """The image, float64 (H, W) in [0, 1]: air dark, bone bright."""
    rng = stream(seed, 1)
    style = look(rng)
    cloud = clouds(rng, at.x.shape)
    loss = _trunk(style, at)
    _add_abdomen(loss, patient, at)
    loss *= 1 - style.air * _air(style, patient, at, drawn, cloud, rng)
    _add_stomach(loss, style, patient.bubble, at)
    _add_heart(loss, style, patient.heart, at, drawn)
    _add_spine(loss, style, at)
    for lung in (drawn.left, drawn.right):
        _add_ribs(loss, style, lung)
        _add_shoulder(loss, style, lung.lung.side, at)
        if patient.sex == "F":
            _add_breast(loss, style, lung.lung.side, at)
    return develop(seed, patient, loss)


def _trunk(style: Look, at: Frame) -> Grid:
    """Soft tissue of neck, shoulders, arms and trunk."""
    a, y = np.abs(at.x), at.y
    depth = style.flank + 0.25 * ridge((y - 0.15) * (1 / 0.35)) - a
    neck = np.maximum(1.7 - 9 * a, 0)
    neck *= neck
    np.minimum(depth, y - 0.09 - 0.12 * a + 0.3 * neck, out=depth)
    thin = 1 - np.clip(depth * 6, 0, 1)
    thin *= thin
    return (1 - thin) * (1.2 - 1.5 * a)


def _add_abdomen(loss: Grid, patient: Patient, at: Frame) -> None:
    """What lies below the diaphragm. Towards the spine the domes blend, at the flanks they end."""
    box = at.box((-0.6, 0.6), (min(patient.left.dome_y, patient.right.dome_y) - 0.06, 1.2))
    below = np.zeros(at.x.shape)
    for lung in (patient.left, patient.right):
        half, a, y = at.side(lung.side, (-0.2, 0.6), (lung.dome_y - 0.06, 1.2))
        soft = np.maximum(np.maximum(0.05 - 0.45 * a, lung.soft_dome), 2 * (a - lung.reach))
        roof = lung.dome(np.clip(a, 0.07, lung.reach)) + 1.2 * np.maximum(-a, 0)
        np.maximum(below[half], edge((y - roof) / soft), out=below[half])
    loss[box] *= 1 + 1.5 * below[box]


def _air(style: Look, patient: Patient, at: Frame, drawn: Outlines, cloud: Grid, rng: np.random.Generator) -> Grid:
    """Air along the beam, 1 in a clear lung; a little of it also behind the heart and below the domes."""
    air = np.zeros(at.x.shape)
    for lung in (drawn.left, drawn.right):
        recess = ramp((lung.dome * lung.lung.soft_dome + 0.045) * 25)
        filled = edge(lung.chest) * (0.9 * edge(lung.dome) + 0.1 * recess)
        filled *= 1 - style.texture * cloud[lung.box] - style.vessels * _vessels(lung, rng)
        np.maximum(air[lung.box], filled, out=air[lung.box])
    for opacity in patient.opacities:
        box = around(opacity.shape, at)
        air[box] *= 1 - opacity.strength * _veil(opacity, at.x[box], at.y[box], cloud[box])
    for shape in (patient.heart, patient.knob):
        box = around(shape, at)
        air[box] *= 1 - 0.75 * edge(inside(shape, at.x[box], at.y[box]) * (1 / patient.left.soft_inner))
    return air


def _vessels(lung: Outline, rng: np.random.Generator) -> Grid:
    """The hilum and the vessels that fan out from it, thinner the farther they reach."""
    n = 8
    slopes = np.linspace(-2.2, 3, n) + rng.uniform(-0.3, 0.3, n)
    bends = rng.uniform(-7, 7, n)
    away = np.maximum(lung.a - 0.045, 0)
    squared = away * away
    down = lung.y - (lung.lung.apex_y + 0.43 * lung.lung.length)
    hilum = ridge((lung.a - 0.06) * (1 / 0.05)) * ridge(down * (1 / 0.09))
    fade = np.maximum(1 - 14 * squared - 9 * down * down, 0)
    thin = 1 / np.maximum(0.011 - 0.035 * away, 0.003)
    down *= thin
    away *= thin
    squared *= thin
    nearest = np.ones_like(down)  # squared distance to the nearest vessel, in its half-widths
    for slope, bend in zip(slopes, bends, strict=True):
        gap = down - slope * away
        gap -= bend * squared
        gap *= gap
        gap *= 1 / (1 + slope * slope)
        np.minimum(nearest, gap, out=nearest)
    vessel = 1 - nearest
    vessel *= vessel
    return np.maximum(hilum, vessel) * fade


def _veil(opacity: Opacity, x: Grid, y: Grid, cloud: Grid) -> Grid:
    """Share of the air that an opacity replaces, 0 to 1."""
    if opacity.fluid:
        return edge(inside(opacity.shape, x, y) * 45)
    x, y = (x - opacity.shape.x) * (1 / opacity.shape.rx), (y - opacity.shape.y) * (1 / opacity.shape.ry)
    r = x * x + y * y + 0.7 * cloud
    body = np.clip(1 - r, 0, 1)
    if opacity.hollow:
        return body * np.clip(0.25 + 3 * r, 0, 1) * 1.5
    return body * np.clip(1 + cloud, 0, 1)


def _add_heart(loss: Grid, style: Look, heart: Ellipse, at: Frame, drawn: Outlines) -> None:
    """The heart's muscle and blood, thick in the middle: its rim shows only where lung lies beside it."""
    box = around(heart, at)
    thick = np.clip(drawn.heart[box] * 14, 0, 1)
    loss[box] += style.heart * thick * (2 - thick)


def _add_stomach(loss: Grid, style: Look, bubble: Ellipse, at: Frame) -> None:
    """Gas above a level of fluid, as dark as lung: the trap below the left dome."""
    box = around(bubble, at)
    x, y = at.x[box], at.y[box]
    loss[box] *= 1 - style.gas * ramp(inside(bubble, x, y) * 150) * ramp((bubble.y + 0.4 * bubble.ry - y) * 200)


def _add_spine(loss: Grid, style: Look, at: Frame) -> None:
    """Add the vertebrae and take away the windpipe."""
    box = at.box((-0.045, 0.045), (-0.2, 1.2))
    x, y = at.x[box], at.y[box]
    a = np.abs(x)
    disc = np.abs(saw(y * (1 / 0.058)))
    bodies = ramp((0.036 - 0.012 * disc - a) * 140) * (0.6 + 0.4 * ramp((0.4 - disc) * 14))
    pedicles = ridge((a - 0.02) * (1 / 0.009)) * ridge(disc * 4)
    loss[box] += style.spine * (bodies + 0.5 * pedicles)
    pipe = ramp((0.017 - np.abs(x + 0.004)) * 110) * ramp((0.33 - y) * 30)
    loss[box] *= 1 - 0.25 * pipe


def _add_ribs(loss: Grid, style: Look, lung: Outline) -> None:
    """The ribs behind the lung run outwards and down, those before it inwards and down."""
    a, y = lung.a, lung.y
    squared = a * a
    behind = bone(saw((y - squared * (1.56 - 0.78 * y)) * (1 / style.rib_gap) + style.rib_phase) * (1 / 0.29))
    before = bone(saw((y + 0.62 * a - 0.75 * squared) * (0.8 / style.rib_gap)) * (1 / 0.22))
    before *= ramp((a - 0.16) * 20)
    cage = ramp((lung.lateral + 0.012 - a) * 100) * ramp((a - 0.03) * 60)
    cage *= 0.4 + 0.6 * ramp(lung.dome * (lung.lung.soft_dome / 0.03) + 1)
    grazed = np.clip(a / lung.lateral, 0, 1.1)  # near the chest wall the beam runs along the rib
    grazed *= grazed
    loss[lung.box] += style.ribs * (behind + 0.4 * before) * cage * (1 + 1.2 * grazed * grazed)


def _add_shoulder(loss: Grid, style: Look, side: int, at: Frame) -> None:
    """Clavicle, shoulder blade and the head of the humerus."""
    box, a, y = at.side(side, (0.02, 0.38), (0.05, 0.24))
    b = a - 0.17
    middle = style.clavicle_y - b * (style.clavicle_rise - 0.9 * b)
    loss[box] += style.clavicle * bone((y - middle) * (1 / 0.017)) * ramp((a - 0.035) * 90) * ramp((0.35 - a) * 60)
    blade = Ellipse(style.scapula_a + 0.03, 0.3, 0.05, 0.12, 0.96, 0.28)
    box, a, y = at.side(side, (blade.x - 0.08, blade.x + 0.08), (0.17, 0.43))
    depth = inside(blade, a, y)
    loss[box] += style.ribs * (0.6 * ramp(depth * 90) + 0.5 * ridge(depth * 110))
    head = Ellipse(0.44, 0.19, 0.05, 0.055)
    box, a, y = at.side(side, (0.37, 0.51), (0.12, 0.26))
    loss[box] += style.ribs * 1.8 * ramp(inside(head, a, y) * 90)


def _add_breast(loss: Grid, style: Look, side: int, at: Frame) -> None:
    box, a, y = at.side(side, (0.07, 0.33), (style.breast_y - 0.12, style.breast_y + 0.12))
    x, y = (a - 0.2) * (1 / 0.13), (y - style.breast_y) * (1 / 0.12)
    loss[box] += style.breast * np.sqrt(np.maximum(1 - x * x - y * y, 0)) * np.clip((y + 1) * 0.6, 0, 1)


def develop(seed: int, patient: Patient, loss: Grid) -> Grid:
    """Image float64 (H, W) in [0, 1] of the attenuation `loss` (H, W), which is used up."""
    rng = stream(seed, 2)
    u = rng.uniform
    hardness = u(0.45, 1.4)  # small: the film saturates early
    image = loss / (loss + hardness)
    image *= (_WHITE + hardness) / _WHITE
    fog = u(0.0, 0.2)
    image *= u(0.82, 1.0) - fog
    image += fog
    image = _blurred(image, u(0.02, 0.2))
    padding = _padding(rng, patient)
    labels = _labels(rng)
    image += _noise(rng, image.shape) * u(0.006, 0.03)
    _pad(image, padding)
    for text, corner, height, boxed in labels:
        stamp(image, text, corner, height, boxed)
    return np.clip(image, 0, 1, out=image)


def _blurred(image: Grid, share: float) -> Grid:
    """Each pixel gives `share` of itself to both neighbours, along rows and along columns."""
    for pixels in (image, image.T):
        soft = pixels.copy()
        soft[1:-1] *= 1 - 2 * share
        soft[1:-1] += share * (pixels[:-2] + pixels[2:])
        pixels[...] = soft
    return image


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """Nearly normal, mean 0 and deviation 1: the sum of four random bytes, because no logarithm is exact."""
    h, w = shape
    dice = np.frombuffer(rng.bytes(4 * h * w), np.uint8).reshape(4, h, w)
    return (dice.sum(axis=0, dtype=np.uint16) - 510.0) * (1 / 147.8)


def _padding(rng: np.random.Generator, patient: Patient) -> tuple[float, float, float, float]:
    """Where the exposed field begins and ends (top, bottom, left, right; shares of the image), clear of the lungs."""
    corners = []
    for lung in (patient.left, patient.right):
        for a, y in ((lung.reach, lung.dome(lung.reach)), (lung.reach, 0.35), (lung.apex_a, lung.apex_y)):
            corners.append(place(patient.pose, lung.side * a, y))
    rows, columns = zip(*corners, strict=True)
    limits = (min(rows) - 0.05, 1 - max(rows) - 0.05, min(columns) - 0.03, 1 - max(columns) - 0.03)
    chance = (0.25, 0.6, 0.3, 0.3)
    top, bottom, left, right = (
        max(rng.uniform(0.2, 1) * limit, 0) * (rng.uniform() < p) for limit, p in zip(limits, chance, strict=True)
    )
    return top, 1 - bottom, left, 1 - right


def _pad(image: Grid, padding: tuple[float, float, float, float]) -> None:
    h, w = image.shape
    top, bottom, left, right = padding
    rows, columns = (np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w
    image[(rows < top) | (rows > bottom)] = 0
    image[:, (columns < left) | (columns > right)] = 0


def _labels(rng: np.random.Generator) -> list[tuple[str, tuple[float, float], float, bool]]:
    """Text, corner, height of the letters, and whether they stand in a white box."""
    u = rng.uniform
    labels = []
    if u() < 0.75:
        labels.append(("R", (u(0.02, 0.12), u(0.03, 0.1)), u(0.03, 0.05), False))
    elif u() < 0.5:
        labels.append(("L", (u(0.02, 0.12), u(0.88, 0.93)), u(0.03, 0.05), False))
    if u() < 0.5:
        row, column, boxed = u(0.02, 0.06), u(0.78, 0.84), bool(u() < 0.6)
        labels.append(("PA", (row, column), 0.024, boxed))
        labels.append(("ERECT", (row + 0.045, column - 0.04), 0.024, boxed))
    return labels


@cache
def dots(text: str) -> Grid:
    """The text as float64 (9, 6 n + 1) in {0, 1}, an empty dot around each letter."""
    rows = np.array([_FONT[letter] for letter in text]).T[:, :, None]
    letters = rows >> np.array([4, 3, 2, 1, 0]) & 1
    spaced = np.pad(letters, ((0, 0), (0, 0), (0, 1)))
    return np.pad(spaced.reshape(7, -1).astype(float), ((1, 1), (1, 0)))


def stamp(image: Grid, text: str, corner: tuple[float, float], height: float, boxed: bool) -> None:
    """Burn `text` into image (H, W), white, or black on a white box, with its top left at `corner`.

    corner: (row, column) as shares of the image; height: of the letters, as a share of the image's height. What would
    lie outside the image is cut off.
    """
    font = dots(text)
    h, w = image.shape
    dot = height / 7
    rows = ((np.arange(h) + 0.5) / h - corner[0]) / dot
    columns = ((np.arange(w) + 0.5) / w - corner[1]) * ASPECT / dot
    first_row, last_row = np.searchsorted(rows, (0, font.shape[0]))
    first_column, last_column = np.searchsorted(columns, (0, font.shape[1]))
    at_rows = rows[first_row:last_row].astype(int)
    ink = font[at_rows[:, None], columns[first_column:last_column].astype(int)]
    window = image[first_row:last_row, first_column:last_column]
    window[...] = 1 - ink if boxed else np.maximum(window, ink)
