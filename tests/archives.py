"""Zip files for tests: one of the Montgomery set's shape, and any other."""

import io
import zipfile
from pathlib import Path

import numpy as np

from lungseg import images


def montgomery_zip(folder: Path, cases: int = 3) -> bytes:
    """A small archive of the original's shape, with what macOS adds."""
    png = folder / "pixels.png"
    images.write_png(png, np.random.default_rng(0).integers(0, 4096, (24, 20)).astype(np.uint16))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.mkdir("MontgomerySet")
        for case in range(cases):
            for part in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask"):
                zipped.write(png, f"MontgomerySet/{part}/MCUCXR_{case:04}_{case % 2}.png")
            reading = f"MontgomerySet/ClinicalReadings/MCUCXR_{case:04}_{case % 2}.txt"
            zipped.writestr(reading, "Patient's Sex: F\nPatient's Age: 027Y\nnormal\n")
        zipped.writestr("__MACOSX/MontgomerySet/CXR_png/._MCUCXR_0000_0.png", "resource fork")
    return data.getvalue()


def zip_of(*members: tuple[str, bytes], mode: int = 0) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(member, content)
    return data.getvalue()
