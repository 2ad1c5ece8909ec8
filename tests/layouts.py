"""Datasets of a few small cases in the layouts in which they lie on disk, and their metadata."""

import numpy as np

from lungseg import images

SHAPE = (40, 32)


def grey(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, np.full(SHAPE, value, np.uint8))


def source_layout(root, *stems):
    """``img/`` and ``mask/``, as the source document stores sets; the mask's upper half is lung."""
    for stem in stems:
        grey(root / "img" / f"{stem}.png", 51)
        grey(root / "mask" / f"{stem}.png")
        images.write_png(
            root / "mask" / f"{stem}.png", np.repeat([255, 0], 20).astype(np.uint8)[:, None] * np.ones(32, "u1")
        )


def original_montgomery(root, *stems):
    """12-bit values in 16-bit files, left and right masks, readings."""
    for number, stem in enumerate(stems):
        (root / "CXR_png").mkdir(parents=True, exist_ok=True)
        images.write_png(root / "CXR_png" / f"{stem}.png", np.full(SHAPE, 819, np.uint16))
        for side, columns in (("leftMask", slice(0, 12)), ("rightMask", slice(8, 20))):
            mask = np.zeros(SHAPE, np.uint8)
            mask[10:30, columns] = 255
            (root / "ManualMask" / side).mkdir(parents=True, exist_ok=True)
            images.write_png(root / "ManualMask" / side / f"{stem}.png", mask)
        (root / "ClinicalReadings").mkdir(exist_ok=True)
        text = f"Patient's Sex: {'FM'[number % 2]}\nPatient's Age: {27 + number:03d}Y\nsome finding, name withheld\n"
        (root / "ClinicalReadings" / f"{stem}.txt").write_text(text, encoding="utf-8")


def metadata(root, text):
    (root / "metadata.csv").write_text(text, encoding="utf-8")
