"""Reads a radiograph from a DICOM file, with pydicom.

Stored values become grey values in the order of the standard (PS3.4 N.2): modality LUT or rescale, VOI LUT or window,
then the inversion of MONOCHROME1. Each step is a function of one value, so it is applied to a table of all stored
values, which takes a hundredth of the time and memory that the image itself would. Full scale is that of the stored
bits, never the image's own maximum; but 16 stored bits without a window are taken for 12 where no value needs more, as
of a PNG (``images.scaled``): some exports write 16 whatever the detector gave.
"""

from __future__ import annotations

import importlib.util
import logging
import struct
import warnings
import zlib
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from lungseg import images
from lungseg.errors import DataError, EnvironmentFailure
from lungseg.png import MAX_PIXELS
from lungseg.radiograph import MOST_BYTES, Radiograph

INSTALL = "`pip install 'lungseg[dicom]'`"
RADIOGRAPHY = ("", "CR", "DX", "DR", "RF", "RG", "XA", "OT", "SC", "IO", "MG", "PX")
FRONTAL = ("", "AP", "PA")  # views; networks are trained on these alone
# What pydicom and its decoders raise for files that are not as the standard wants them.
_DAMAGE = (
    ValueError, AttributeError, TypeError, KeyError, IndexError, RuntimeError, NotImplementedError, OSError, EOFError,
    OverflowError, ArithmeticError, AssertionError, UnicodeError, struct.error, zlib.error,
)  # fmt: skip
_DEFLATED = "1.2.840.10008.1.2.1.99"
_STRIP = 64  # rows that are looked up at a time


def read(path: Path) -> Radiograph:
    """The radiograph in a DICOM file of one grey frame. Raises DataError that says what is not as it should be, and
    EnvironmentFailure where pydicom is not installed."""
    if importlib.util.find_spec("pydicom") is None:
        raise EnvironmentFailure(f"{path}: DICOM needs pydicom: {INSTALL}")
    import pydicom

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # whatever matters is raised or checked
    try:
        with warnings.catch_warnings():  # of values outside the standard; what matters is checked below
            warnings.simplefilter("ignore")
            if path.stat().st_size > MOST_BYTES:
                raise DataError(f"{path}: {path.stat().st_size:,} bytes; {MOST_BYTES:,} at most are read")
            # a whole data set deflated may be a thousand times its file, and pydicom unpacks it before a look at Rows
            if str(pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID", "")) == _DEFLATED:
                raise DataError(f"{path}: DICOM: a deflated data set; export it uncompressed")
            dataset = pydicom.dcmread(path)
            _refuse(path, dataset)
            spacing, source = _spacing(dataset)
            values = _decoded(path, dataset)
            bits = _depth(dataset, values)
            table, low = _table(path, dataset, bits)
            pixels = _looked_up(values, table, low)
            right_at, orientation = _orientation(dataset)
            remarks = _remarks(dataset)
            if bits < dataset.BitsStored:
                remarks += (f"read as {bits} bits ({dataset.BitsStored} stored)",)
            remarks += orientation
    except pydicom.errors.InvalidDicomError as error:
        raise DataError(f"{path}: is not a DICOM file (no DICM prefix); export it again") from error
    except (*_DAMAGE, pydicom.errors.BytesLengthException) as error:
        first = " ".join(str(error).split())[:160]
        raise DataError(f"{path}: damaged DICOM ({type(error).__name__}: {first}); export it again") from error
    return Radiograph(pixels, spacing, source, remarks, right_at)


def may_hold_image(path: Path) -> bool:
    """False for a DICOM file of a class without an image, such as a report or a structure set. True for what cannot be
    told, as of a file that is cut off, or without pydicom: reading it says why."""
    if importlib.util.find_spec("pydicom") is None:
        return True
    import pydicom

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if str(pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID", "")) == _DEFLATED:
                return True
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Rows"])
            named = pydicom.uid.UID(str(dataset.get("SOPClassUID", "")))
            return "Rows" in dataset or "Image" in named.name or named.name == str(named)
    except (*_DAMAGE, pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException):
        return True


def _refuse(path: Path, dataset: Any) -> None:
    """What is not one grey image of sane size, before its pixels are touched."""
    if "PixelData" not in dataset:
        raise DataError(f"{path}: DICOM without pixel data (a report or a directory?); give the image itself")
    frames = _number(path, dataset, "NumberOfFrames", 1)
    rows, columns = _number(path, dataset, "Rows"), _number(path, dataset, "Columns")
    samples, allocated = _number(path, dataset, "SamplesPerPixel", 1), _number(path, dataset, "BitsAllocated")
    stored = _number(path, dataset, "BitsStored", allocated)
    meaning = str(dataset.get("PhotometricInterpretation", "missing"))
    wrong = [
        (frames != 1, f"{frames} frames; a radiograph has one: export the frame alone"),
        (samples != 1, f"colour ({samples} samples a pixel, {meaning}); a radiograph is grey"),
        (meaning not in ("MONOCHROME1", "MONOCHROME2"), f"PhotometricInterpretation {meaning}; a radiograph is grey"),
        (not 0 < rows * columns <= MAX_PIXELS, f"{columns} x {rows} pixels; 1 to {MAX_PIXELS:,} are accepted"),
        (allocated not in (8, 16), f"{allocated} bits allocated; 8 or 16 are accepted"),
        (not 1 <= stored <= allocated, f"{stored} bits stored of {allocated}"),
        (_number(path, dataset, "HighBit", stored - 1) != stored - 1, "HighBit is not BitsStored - 1"),
    ]
    for broken, what in wrong:
        if broken:
            raise DataError(f"{path}: DICOM: {what}")


def _remarks(dataset: Any) -> tuple[str, ...]:
    """What makes it another picture than a frontal radiograph, as far as the header says."""
    modality, view = (str(dataset.get(name, "") or "").strip()[:16] for name in ("Modality", "ViewPosition"))
    result = [] if modality in RADIOGRAPHY else [f"modality {modality}"]
    return (*result, *([] if view.upper() in FRONTAL else [f"view {view}"]))


def _orientation(dataset: Any) -> tuple[str | None, tuple[str, ...]]:
    """At which of the image's sides the patient's right is, see ``Radiograph``, and what there is to say of it.

    PatientOrientation (PS3.3 C.7.6.1.1.1) has the directions in which rows and columns run, the main one of each first:
    L and F, to the patient's left and feet, in a radiograph as it is shown. One that is not stated is taken for that.
    """
    given = dataset.get("PatientOrientation") or ()
    stated = [str(value).strip().upper() for value in ([given] if isinstance(given, str) else given)]
    along, down = (value[:1] for value in [*stated, "", ""][:2])
    if along not in ("", "L", "R") or down not in ("", "F"):
        said = "\\".join(text[:4] for text in stated[:2])
        return None, (f"orientation {said}: sides not named",)
    return ("right", ("mirrored: the right lung is at the image's right",)) if along == "R" else ("left", ())


def _number(path: Path, dataset: Any, name: str, default: int | None = None) -> int:
    """A whole number of the header, which may hold text, several values or none."""
    value = dataset.get(name)
    if value is None or value == "":
        if default is None:
            raise DataError(f"{path}: DICOM without {name}; export it again")
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: DICOM: {name} is {str(value)[:40]!r}, expected a whole number") from error


def _decoded(path: Path, dataset: Any) -> np.ndarray:
    """Stored values (H, W), without what lies above the stored bits (old overlays)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        values = np.asarray(dataset.pixel_array)
    except _DAMAGE as error:
        if syntax.is_compressed and "missing" in str(error).lower():
            raise DataError(
                f"{path}: DICOM compressed as {syntax.name}, for which no decoder is installed: "
                "`pip install 'lungseg[dicom-decoders]'`, or export it uncompressed"
            ) from error
        first = shorten(str(error).partition(" - ")[0], 120, placeholder=" ...")
        raise DataError(f"{path}: DICOM whose pixels cannot be decoded ({first}); export it again") from error
    if values.shape != (dataset.Rows, dataset.Columns):
        raise DataError(f"{path}: DICOM decodes to {values.shape}, its header says {dataset.Rows} x {dataset.Columns}")
    if values.dtype.kind == "u":
        values = values & np.array((1 << int(dataset.BitsStored)) - 1, values.dtype)
    return values


def _depth(dataset: Any, values: np.ndarray) -> int:
    """Bits that white has where nothing in the header says what is white: those stored, or 12 of 16 (see above)."""
    stored = int(dataset.BitsStored)
    windowed = dataset.get("VOILUTSequence") or None not in (
        _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    )  # fmt: skip
    return 12 if stored == 16 and values.dtype.kind == "u" and not windowed and values.max() <= 4095 else stored


def _table(path: Path, dataset: Any, depth: int) -> tuple[images.Image, int]:
    """Grey in [0, 1] of each value that the stored bits can hold, float32 (2^bits,), and the lowest such value. depth:
    bits of full scale where the header has no window."""
    from pydicom.pixels.processing import apply_modality_lut

    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation", 0) or 0) == 1
    low = -(1 << (bits - 1)) if signed else 0
    stored = np.arange(low, low + (1 << bits))
    values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"{path}: DICOM: its rescale gives no finite values")
    grey = _of_interest(path, dataset, values)
    if grey is None:
        used = values[: 1 << depth]  # of all stored bits but for unsigned values
        bottom, top = used.min(), used.max()
        grey = (values - bottom) / (top - bottom) if top > bottom else np.zeros_like(values)
    if not np.isfinite(grey).all():
        raise DataError(f"{path}: DICOM: its VOI LUT or window gives no finite values")
    grey = np.clip(grey, 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return grey.astype(np.float32), low


def _looked_up(values: np.ndarray, table: images.Image, low: int) -> images.Image:
    """Grey of each stored value (H, W), strip by strip: an index of 8 bytes for each pixel would be 160 MB at once."""
    pixels = np.empty(values.shape, np.float32)
    for row in range(0, len(values), _STRIP):
        strip = values[row : row + _STRIP].astype(np.int32) - low
        pixels[row : row + _STRIP] = table[np.clip(strip, 0, len(table) - 1)]
    return pixels


def _of_interest(path: Path, dataset: Any, values: np.ndarray) -> np.ndarray | None:
    """Grey by the VOI LUT or, without one, by the first window; None where there is neither."""
    sequence = dataset.get("VOILUTSequence")
    if sequence:
        from pydicom.pixels.processing import apply_voi

        most = (1 << int(sequence[0].LUTDescriptor[2])) - 1
        return np.asarray(apply_voi(np.round(values).astype(np.int32), dataset), np.float64) / most
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None:
        return None
    function = str(dataset.get("VOILUTFunction", "") or "LINEAR").upper()
    least = 1 if function == "LINEAR" else 0
    if not np.isfinite([centre, width]).all() or width < least or width == 0:
        raise DataError(f"{path}: DICOM: a window {width:g} wide at {centre:g}; export it with a window or without")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.asarray((values - centre) / width + 0.5)
    if function != "LINEAR":
        raise DataError(f"{path}: DICOM: VOI LUT function {function[:20]!r}; known are LINEAR, LINEAR_EXACT, SIGMOID")
    if width == 1:
        return np.asarray(values > centre - 0.5, np.float64)
    return np.asarray((values - (centre - 0.5)) / (width - 1) + 0.5)


def _first(value: Any) -> float | None:
    """The first of one or several numbers; None of none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    return None if value is None else float(value)


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, str]:
    """Millimetres (row, column) and the element that they are from: PixelSpacing, which was calibrated, before
    ImagerPixelSpacing, which is the detector's own and too large by the magnification."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in dataset.get(name) or ())
        except (TypeError, ValueError):
            continue
        if 0 < row < 100 and 0 < column < 100:
            return (row, column), name
    return None, ""
