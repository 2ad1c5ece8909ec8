"""Writes masks as DICOM Segmentation objects (PS3.3 A.51), with highdicom.

Such an object names the patient, study and image that it was made of, as the standard wants it: it is written only
where it was asked for.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np

import lungseg
from lungseg import images
from lungseg.card import Card
from lungseg.errors import DataError, EnvironmentFailure

INSTALL = "`pip install 'lungseg[dicom-seg]'`"
SERIES = 9001  # number of a series of its own, far from a device's, which count from 1
ORGAN = ("91723000", "SCT", "Anatomical Structure")
LUNGS = (("Right lung", "3341006"), ("Left lung", "44029006"))  # SNOMED CT
AI = ("123110", "DCM", "Artificial Intelligence")


def require() -> None:
    """Raise EnvironmentFailure unless highdicom is installed; nothing is imported."""
    if importlib.util.find_spec("highdicom") is None:
        raise EnvironmentFailure(f"DICOM SEG needs highdicom: {INSTALL}")


def segmentation_bytes(path: Path, right: images.Mask, left: images.Mask, card: Card) -> bytes:
    """The file of two binary segments, right and left lung, of the DICOM image at ``path``: bool (H, W) of its size.

    The source's PixelSpacing is not handed on: of it, without the slice thickness that no radiograph has, highdicom
    writes an object that its own reader refuses. Size and place are those of the image, which the object names.
    Raises EnvironmentFailure where highdicom is not installed, DataError where the image lacks what an object needs.
    """
    require()
    import pydicom
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr.coding import CodedConcept

    try:
        with warnings.catch_warnings():  # of values outside the standard, which stay as they are
            warnings.simplefilter("ignore")
            source = pydicom.dcmread(path, stop_before_pixels=True)
            source.pop("PixelSpacing", None)
            by = AlgorithmIdentificationSequence(
                f"lungseg {card.name}"[:64], CodedConcept(*AI), card.weights_sha256[:16]
            )
            segments = [
                SegmentDescription(
                    number, label, CodedConcept(*ORGAN), CodedConcept(code, "SCT", label), "AUTOMATIC", by
                )
                for number, (label, code) in enumerate(LUNGS, 1)
            ]
            made = Segmentation(
                source_images=[source],
                pixel_array=np.stack([right, left], axis=-1)[None].astype(np.uint8),
                segmentation_type="BINARY",
                segment_descriptions=segments,
                series_instance_uid=pydicom.uid.generate_uid(),
                series_number=SERIES,
                sop_instance_uid=pydicom.uid.generate_uid(),
                instance_number=1,
                manufacturer="lungseg",
                manufacturer_model_name=card.name[:64],
                software_versions=lungseg.__version__,
                device_serial_number=card.weights_sha256[:16],
                content_description="Lung fields; research only",
                omit_empty_frames=False,  # a lung that was not found is an empty segment, not a missing one
            )
            if source.get("PatientOrientation"):  # which highdicom leaves out: a viewer is to know a mirrored image
                made.PatientOrientation = source.PatientOrientation
            buffer = io.BytesIO()
            made.save_as(buffer)
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:160]
        raise DataError(f"{path}: no DICOM SEG can be made of it ({first}); leave --dicom-seg out") from error
    return buffer.getvalue()
