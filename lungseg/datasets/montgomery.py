"""Montgomery County chest radiographs: 138 cases with lung masks (Jaeger et al. 2014, QIMS 4(6))."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

from lungseg.datasets import Attributes, Case, folder, named, paired, reading
from lungseg.errors import DataError

NATIVE_MM = 0.0875  # per native pixel, in both directions (the set's own readme)

# Images of one patient, each group under its first image. The distribution has no patient ids: all 9,453 pairs were
# compared by their anatomy alone (``lungseg.datasets.same_patient``), and each group was then looked at. Sex and age
# took no part in it; they agree in every group. 138 images are of 120 patients.
# Certain: 20 or more keypoints agree under one similarity transform, or known before. A second matcher, ours, finds 16
# in 0144/0223, between what chance gives and what it calls certain (results/same_patient/).
_CERTAIN = (
    ("MCUCXR_0038_0", "MCUCXR_0393_1"),
    ("MCUCXR_0052_0", "MCUCXR_0053_0"),
    ("MCUCXR_0087_0", "MCUCXR_0142_1"),
    ("MCUCXR_0089_0", "MCUCXR_0090_0"),
    ("MCUCXR_0113_1", "MCUCXR_0117_1"),
    ("MCUCXR_0144_1", "MCUCXR_0223_1"),
    ("MCUCXR_0162_1", "MCUCXR_0166_1", "MCUCXR_0170_1"),
    ("MCUCXR_0173_1", "MCUCXR_0243_1"),
    ("MCUCXR_0254_1", "MCUCXR_0255_1"),
    ("MCUCXR_0264_1", "MCUCXR_0313_1", "MCUCXR_0316_1"),
    ("MCUCXR_0367_1", "MCUCXR_0369_1"),
)
# Fewer keypoints, the same anatomy to the eye, the same sex, ages within a year. Grouped alike: too large a group
# costs nothing, a missed one is tested on what it was trained on. 0060/0080 is unclear, 0042/0077 are two patients.
_PROBABLE = (
    ("MCUCXR_0022_0", "MCUCXR_0023_0"),
    ("MCUCXR_0030_0", "MCUCXR_0031_0"),
    ("MCUCXR_0258_1", "MCUCXR_0309_1", "MCUCXR_0311_1"),
    ("MCUCXR_0372_1", "MCUCXR_0375_1"),
)
SAME_PATIENT = {image: group[0] for group in (*_CERTAIN, *_PROBABLE) for image in group}


def load(root: Path) -> list[Case]:
    """Cases of either layout, with what ``metadata.csv`` says where there is one: the original distribution
    (``CXR_png``), or ``img/``, ``mask/``, whose spacing follows from the native size in that file."""
    if (root / "CXR_png").is_dir():
        return folder.with_metadata(load_original(root), root)
    if (root / "img").is_dir():
        return [named(case, SAME_PATIENT) for case in folder.load(root, NATIVE_MM)]
    raise DataError(
        f"{root}: neither CXR_png/ (original layout) nor img/ is there; "
        "`python -m lungseg data fetch montgomery` gets the original set"
    )


def load_original(root: Path, spacing_mm: tuple[float, float] | None = (NATIVE_MM, NATIVE_MM)) -> list[Case]:
    """Layout of the original distribution: ``CXR_png/*.png`` (12-bit values in 16-bit files),
    ``ManualMask/leftMask`` and ``rightMask`` (to be united), ``ClinicalReadings/*.txt`` (optional).

    spacing_mm: (row, column) of the stored pixels; the original's unless another is given.
    """
    pairs = paired(root, "CXR_png", ["ManualMask/leftMask", "ManualMask/rightMask"])
    cases = []
    problems = []
    for stem, (image, masks) in pairs.items():
        path = root / "ClinicalReadings" / f"{stem}.txt"
        try:
            cases.append(named(Case(stem, stem, image, masks, spacing_mm, read_reading(path)), SAME_PATIENT))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return cases


def read_reading(path: Path) -> Attributes:
    """sex and age of a clinical reading; the free text below them stays where it is."""
    text, known = reading(path), dict[str, str | int]()
    if sex := re.search(r"Sex:\s*([FM])", text):
        known["sex"] = sex[1]
    if age := re.search(r"Age:\s*(\d+)Y", text):
        known["age"] = int(age[1])
    return MappingProxyType(known)
