"""From attenuation to a film: exposure, contrast, blur, noise, black padding and burnt-in letters."""

from __future__ import annotations

from functools import cache

import numpy as np

from lungseg.datasets.phantom.anatomy import ASPECT, Grid, Patient, place, stream

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
