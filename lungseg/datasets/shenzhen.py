"""Shenzhen chest radiographs (Jaeger et al. 2014) with the lung masks of Stirenko et al. 2018: 566 pairs."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

from lungseg.datasets import Attributes, Case, folder, images_in, named, reading
from lungseg.datasets.metadata import MOST_YEARS
from lungseg.errors import DataError

# Images of one patient, each group under its first image, with how many landmarks agree of all that match in place
# (``lungseg.datasets.same_patient``, all 159,895 pairs). The set names no patients; its pixels have no millimetres, so
# each image was scaled by its lungs' hull. Every pair of 20 or more is grouped, as too large a group costs nothing: 566
# images are of 562 patients. Looked at side by side, the first two are one patient each, by scars and vessels; of the
# last two the ribs agree and the hearts do not, so they may be two. The next 16 to 19 are not told from chance.
SAME_PATIENT = {
    image: group[0]
    for group in (
        ("CHNCXR_0477_1", "CHNCXR_0605_1"),  # 63 of 119
        ("CHNCXR_0438_1", "CHNCXR_0646_1"),  # 51 of 95
        ("CHNCXR_0154_0", "CHNCXR_0243_0"),  # 22 of 52
        ("CHNCXR_0593_1", "CHNCXR_0595_1"),  # 20 of 54
    )
    for image in group
}


def load(root: Path) -> list[Case]:
    """Cases of ``img/`` and ``mask/``, or of the original ``CXR_png/``, ``mask/`` (``<name>_mask.png``) and
    ``ClinicalReadings/`` (optional); of either with what ``metadata.csv`` says where there is one.

    The pixels' size in millimetres is not known, so distances are in pixels.
    """
    cases = folder.load(root) if (root / "img").is_dir() else _original(root)
    return [named(case, SAME_PATIENT) for case in cases]


def _original(root: Path) -> list[Case]:
    """The published masks cover 566 of the 662 images, so images without one are left out here by rule."""
    pictures, problems = images_in(root / "CXR_png")
    masks, doubled = images_in(root / "mask")
    problems += [
        f"{masks[stem]}: {masks[stem + '_mask'].name} is a mask of the same image; remove one"
        for stem in masks
        if stem + "_mask" in masks
    ]
    of_image = {stem.removesuffix("_mask"): path for stem, path in masks.items()}
    problems += doubled
    problems += [f"{of_image[stem]}: has no image in {root / 'CXR_png'}" for stem in of_image.keys() - pictures.keys()]
    if problems or not of_image:
        raise DataError(sorted(problems) or f"{root / 'mask'}: holds no PNG mask")
    cases = [
        Case(stem, stem, pictures[stem], (mask,), attributes=read_reading(root / "ClinicalReadings" / f"{stem}.txt"))
        for stem, mask in sorted(of_image.items())
    ]
    return folder.with_metadata(cases, root, optional=pictures.keys() - of_image.keys())


def read_reading(path: Path) -> Attributes:
    """sex and age of a clinical reading, whose first line is such as ``male 37yrs``, ``Female, 24yrs`` or, of infants,
    ``Male, 6months``; the findings below it stay where they are."""
    first, known = reading(path).strip().partition("\n")[0].lower(), dict[str, str | int]()
    if sex := re.search(r"\b(fe)?male", first):
        known["sex"] = "F" if sex[1] else "M"
    if (age := re.search(r"(\d+)\s*(y|month|week|day)", first)) and int(age[1]) <= MOST_YEARS * 12:
        years = int(age[1]) // {"y": 1, "month": 12, "week": 52, "day": 365}[age[2]]
        if years <= MOST_YEARS:
            known["age"] = years
    return MappingProxyType(known)
