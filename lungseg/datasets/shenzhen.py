"""Shenzhen chest radiographs (Jaeger et al. 2014) with the lung masks of Stirenko et al. 2018: 566 pairs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lungseg.datasets import folder
from lungseg.datasets.case import Case, images_in
from lungseg.errors import DataError


def load(root: Path) -> list[Case]:
    """Cases of ``img/`` and ``mask/``, or of the original ``CXR_png/`` and ``mask/`` (``<name>_mask.png``).

    The pixels' size in millimetres is not known, so distances are in pixels.
    """
    cases = folder.load(root) if (root / "img").is_dir() else _original(root)
    return [_named(case) for case in cases]


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
    return [Case(stem, stem, pictures[stem], (mask,)) for stem, mask in sorted(of_image.items())]


def _named(case: Case) -> Case:
    known = dict(case.attributes)
    if "tb" not in known and re.search(r"_[01]$", case.id):
        known["tb"] = int(case.id[-1])
    return replace(case, attributes=MappingProxyType(known))
