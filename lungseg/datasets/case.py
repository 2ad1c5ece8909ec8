"""A case: a radiograph, its masks, and what is known of the patient."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from lungseg.errors import DataError

Attributes = Mapping[str, str | int]
OTHERS = (".jpg", ".jpeg", ".jp2", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm", ".dicom")  # endings of images


@dataclass(frozen=True)
class Case:
    """One radiograph.

    id: unique within its dataset. patient: group that must never be split over folds.
    masks: files whose union is the lungs (one, or left and right).
    spacing_mm: (row, column) millimetres per pixel of the stored image, None where unknown.
    attributes: ``sex`` ("F" or "M"), ``age`` (years), ``tb`` (0 or 1), each only where known.
    """

    id: str
    patient: str
    image: Path
    masks: tuple[Path, ...]
    spacing_mm: tuple[float, float] | None = None
    attributes: Attributes = field(default_factory=lambda: MappingProxyType({}))


def images_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """PNG files of a folder by stem, and a line for each stem that occurs twice (``a.png`` and ``a.PNG``).

    A stem is in composed form (NFC): some systems store an accent apart from its letter, and then only the image's
    or only the mask's. Raises DataError when the folder is missing or cannot be listed. Hidden files and folders are
    passed over.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); expected a folder of PNG files") from error
    for entry in entries:
        try:
            entry.name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{str(entry)!r} is not a name in UTF-8; rename it") from error
    files = [e for e in entries if e.suffix.lower() == ".png" and not e.name.startswith(".") and not e.is_dir()]
    stems = [unicodedata.normalize("NFC", file.stem) for file in files]
    times = Counter(stems)
    twice = [f"{folder}: two images of one name {stem!r}; rename or remove one" for stem in times if times[stem] > 1]
    return dict(zip(stems, files, strict=True)), twice


def _other_kinds(folder: Path) -> str:
    """A sentence where a folder holds images of another kind than PNG; empty where it holds none."""
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    endings = Counter(ending for name in names if (ending := Path(name).suffix.lower()) in OTHERS)
    if not endings:
        return ""
    result = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
    jpeg = any(ending.startswith(".jp") for ending in endings)
    blurred = "; JPEG blurs the edges of masks, so export these again from their source" if jpeg else ""
    most = max(endings, key=endings.__getitem__)
    return (
        f"{folder}: holds {result}; only PNG is read: convert them, for example with ImageMagick's "
        f"`mogrify -format png *{most}`{blurred}"
    )


def paired(root: Path, image_folder: str, mask_folders: Sequence[str]) -> dict[str, tuple[Path, tuple[Path, ...]]]:
    """Pair images and masks of one name: stem -> (image, masks).

    Raises one DataError that lists every image without a mask, every mask without an image and every name
    that occurs twice; or says that the folder holds no PNG at all.
    """
    images, problems = images_in(root / image_folder)
    masks = []
    for folder in mask_folders:
        result, twice = images_in(root / folder)
        problems += twice
        problems += [f"{images[stem]}: has no mask in {root / folder}" for stem in images.keys() - result.keys()]
        problems += [f"{result[stem]}: has no image in {root / image_folder}" for stem in result.keys() - images.keys()]
        masks.append(result)
    if problems or not images:
        others = [details for name in (image_folder, *mask_folders) if (details := _other_kinds(root / name))]
        if others and not all((images, *masks)):
            raise DataError(others)  # none of that folder is read: a line for each name would hide why
        raise DataError([*others, *sorted(problems)] or f"{root / image_folder}: holds no PNG image")
    return {stem: (image, tuple(result[stem] for result in masks)) for stem, image in sorted(images.items())}


def named(case: Case, same_patient: Mapping[str, str]) -> Case:
    """The same case with what a public set's names tell: ``_0`` is normal, ``_1`` tuberculosis; and its patient.

    same_patient: image -> the first image of its patient, for patients of several images.
    """
    known = dict(case.attributes)
    if "tb" not in known and re.search(r"_[01]$", case.id):
        known["tb"] = int(case.id[-1])
    patient = same_patient.get(case.id, case.id) if case.patient == case.id else case.patient
    return replace(case, patient=patient, attributes=MappingProxyType(known))
