"""A few made-up radiographs with masks for `data verify`, sound until a test spoils them."""

from pathlib import Path

import numpy as np

from lungseg import images
from lungseg.datasets.verify import verify

SHAPE = (40, 48)


def lungs() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[8:32, 6:20] = mask[8:32, 28:42] = True
    mask[7, 10] = mask[7, 34] = True  # a corner that no dilation leaves, as those of a drawn outline
    return mask


def radiograph(seed: int) -> np.ndarray:
    """Dark lungs in a bright chest with noise, uint8 (H, W)."""
    noise = np.random.default_rng(seed).integers(0, 40, SHAPE)
    return np.where(lungs(), 60, 180).astype(np.uint8) + noise.astype(np.uint8)


def three_cases(root: Path) -> Path:
    """Three sound cases in the layout of one's own folder."""
    for name in ("img", "mask"):
        (root / name).mkdir()
    for seed, stem in enumerate("abc"):
        images.write_png(root / "img" / f"{stem}.png", radiograph(seed))
        mask = lungs()
        mask[32 : 32 + seed, 6:20] = True  # no two masks alike
        images.write_png(root / "mask" / f"{stem}.png", mask * np.uint8(255))
    return root


def replace_mask(root: Path, stem: str, mask: np.ndarray) -> None:
    images.write_png(root / "mask" / f"{stem}.png", mask.astype(np.uint8) * 255)


def warning(root: Path, kind: str) -> list[str]:
    report = verify("folder", root)
    assert list(report.errors) == []
    return [name for title, names in report.warnings.items() if kind in title for name in names]
