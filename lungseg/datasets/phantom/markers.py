"""Letters burnt into a radiograph, from a 5 x 7 dot font, at any size of image."""

from __future__ import annotations

from functools import cache

import numpy as np

from lungseg.datasets.phantom.anatomy import ASPECT, Grid

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
