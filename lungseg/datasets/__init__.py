"""The registry of datasets: one file and one function ``root -> list[Case]`` each, one row here.

A case is a radiograph, its masks, and what is known of the patient; what loaders share is at the end.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from lungseg.errors import DataError, UsageError

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


_JAEGER = "Jaeger et al. 2014, Quant Imaging Med Surg 4(6):475-477 (images)"


@dataclass(frozen=True)
class Source:
    """Where an archive lies, its SHA-256, and how many cases are in it, where that is known."""

    url: str
    sha256: str
    cases: int | None = None


@dataclass(frozen=True)
class Dataset:
    """One dataset: how to load it, and its licence, citations and source; only the first is required."""

    function: str  # ``module:function``, root -> list[Case]; imported on first use
    folder_name: str = ""  # of its unpacked archive, where that is not the dataset's own name
    image_name: str = ""  # regular expression of its images' names, by which another set in its folder is refused
    example: str = ""  # such a name
    source: Source | None = None  # what `lungseg data fetch` downloads
    by_hand: str = ""  # how to get it where nothing is downloaded
    licence: str = ""  # of weights trained on it: what its masks and images allow
    cite: tuple[str, ...] = ()  # for a model's card
    radiographs: bool = False  # of patients, read by people, beside whom a network may be put
    disease_in_names: bool = False  # whether an image's name ends in _0 (normal) or _1 (tuberculosis)

    def load(self, root: Path) -> list[Case]:
        """Its cases, in any order."""
        module, function = self.function.split(":")
        result: list[Case] = getattr(import_module(module), function)(root)
        return result


DATASETS: dict[str, Dataset] = {
    "folder": Dataset(
        "lungseg.datasets.folder:load",
        by_hand="it is the layout for radiographs of your own: img/ and mask/ with the same file names",
    ),
    "montgomery": Dataset(
        "lungseg.datasets.montgomery:load",
        folder_name="Montgomery",
        image_name=r"MCUCXR_\d{4}_[01]",
        example="MCUCXR_0001_0",
        source=Source(
            url="http://openi.nlm.nih.gov/imgs/collections/NLM-MontgomeryCXRSet.zip",
            sha256="54601e952315d8f67383e9202a6e145997ade429f54f7e0af44b4e158714f424",
            cases=138,
        ),
        licence="MIT; the radiographs are the U.S. National Library of Medicine's: cite the sources",
        cite=(_JAEGER, "Candemir et al. 2014, IEEE Trans Med Imaging 33(2):577-590 (masks)"),
        radiographs=True,
        disease_in_names=True,
    ),
    "phantom": Dataset(
        "lungseg.datasets.phantom:load",
        by_hand="it is made, not downloaded: `lungseg data phantom <folder>`",
        licence="MIT; trained on procedural images",
    ),
    "shenzhen": Dataset(
        "lungseg.datasets.shenzhen:load",
        folder_name="Shenzhen",
        image_name=r"CHNCXR_\d{4}_[01]",
        example="CHNCXR_0001_0",
        by_hand="its masks (Stirenko et al. 2018) are available only after a login. Download the images "
        "(ChinaSet_AllFiles.zip, https://openi.nlm.nih.gov/faq#faq-tb-coll) and the masks "
        "(https://www.kaggle.com/datasets/yoctoman/shcxr-lung-mask) by hand, put them into <folder>/CXR_png and "
        "<folder>/mask, then run `lungseg data verify shenzhen <folder>`",
        licence="CC BY-NC-SA 4.0, as the masks of the training set",
        cite=(_JAEGER, "Stirenko et al. 2018, arXiv:1803.01199 (masks)"),
        radiographs=True,
        disease_in_names=True,
    ),
}


def dataset(name: str) -> Dataset:
    """The dataset of that name. Raises UsageError, which lists the known ones."""
    if name not in DATASETS:
        raise UsageError(f"unknown dataset {name!r}: known are {', '.join(DATASETS)}")
    return DATASETS[name]


def load(name: str, root: str | Path) -> list[Case]:
    """Cases of the dataset ``name`` in folder ``root``, sorted by id, whatever order the disk lists them in.

    Only names and readings are looked at; pixels are decoded by ``lungseg.prepare``.
    Raises UsageError for an unknown name, DataError that lists every missing or doubled file.
    """
    known = dataset(name)
    try:
        folder = Path(root).expanduser()
    except RuntimeError as error:
        raise DataError(f"{root}: no home folder of that name; give the root of the {name} set") from error
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give the root of the {name} set")
    cases: list[Case] = sorted(known.load(folder), key=lambda case: case.id)
    doubled = [key for key, times in Counter(case.id for case in cases).items() if times > 1]
    if doubled:
        raise DataError([f"{folder}: id {key!r} occurs more than once" for key in doubled])
    return cases


def refuse_foreign(name: str, images: Sequence[str], root: Path, remedy: str) -> None:
    """Raise UsageError where images given as those of a public set are not called as its are: what is made of them
    would bear that set's name, licence and sources. images: their stems."""
    known = dataset(name)
    foreign = [image for image in images if not re.fullmatch(known.image_name, image)] if known.image_name else []
    if foreign:
        raise UsageError(
            f"{root}: {len(foreign)} of {len(images)} images are not {known.folder_name or name}'s, such as "
            f"{foreign[0]!r} (expected names such as {known.example}); {remedy}"
        )


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


def _refuse_missing(root: Path, needed: Sequence[str]) -> None:
    """Raise DataError that tells a set's layout where one of its folders is not there."""
    if missing := [name for name in needed if not (root / name).exists()]:
        held = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        holds = f"it holds {', '.join(f'{name}/' for name in held[:5])}" if held else "it holds no folder"
        above = f"; {root.parent} has them: give that" if all((root.parent / name).is_dir() for name in needed) else ""
        layout = " and ".join(f"{name}/" for name in needed)
        raise DataError(
            f"{root}: has no folder {missing[0]}/; expected {layout} with PNG files of the same names, {holds}{above}"
        )


def paired(root: Path, image_folder: str, mask_folders: Sequence[str]) -> dict[str, tuple[Path, tuple[Path, ...]]]:
    """Pair images and masks of one name: stem -> (image, masks).

    Raises one DataError that lists every image without a mask, every mask without an image and every name
    that occurs twice; or says that a folder is missing, that it holds no PNG at all, or no name of the other.
    """
    _refuse_missing(root, (image_folder, *mask_folders))
    images, problems = images_in(root / image_folder)
    masks = []
    for folder in mask_folders:
        result, twice = images_in(root / folder)
        problems += twice
        if images and result and not images.keys() & result.keys():  # two lines for each would hide what is wrong
            image, mask = min(images.values()), min(result.values())
            raise DataError(f"{root}: no mask has the name of its image ({image.name}, but {mask.name}); rename them")
        problems += [f"{images[stem]}: has no mask in {root / folder}" for stem in images.keys() - result.keys()]
        problems += [f"{result[stem]}: has no image in {root / image_folder}" for stem in result.keys() - images.keys()]
        masks.append(result)
    if problems or not images:
        others = [details for name in (image_folder, *mask_folders) if (details := _other_kinds(root / name))]
        if others and not all((images, *masks)):
            raise DataError(others)  # none of that folder is read: a line for each name would hide why
        raise DataError([*others, *sorted(problems)] or f"{root / image_folder}: holds no PNG image")
    return {stem: (image, tuple(result[stem] for result in masks)) for stem, image in sorted(images.items())}


def reading(path: Path) -> str:
    """Text of a clinical reading, empty where there is none. Raises DataError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def named(case: Case, same_patient: Mapping[str, str]) -> Case:
    """The same case with what a public set's names tell: ``_0`` is normal, ``_1`` tuberculosis; and its patient.

    same_patient: image -> the first image of its patient, for patients of several images.
    """
    known = dict(case.attributes)
    if "tb" not in known and re.search(r"_[01]$", case.id):
        known["tb"] = int(case.id[-1])
    patient = same_patient.get(case.id, case.id) if case.patient == case.id else case.patient
    return replace(case, patient=patient, attributes=MappingProxyType(known))


def mixed_spacing(cases: Sequence[Case]) -> dict[str, list[str]]:
    """A warning -> the cases whose pixels have no size in mm, where other cases of the set have one; else nothing."""
    unknown = [case.id for case in cases if case.spacing_mm is None]
    warning = (
        "pixel spacing given for some images only (mm and px cannot be averaged; give it for all or none), missing for"
    )
    return {warning: unknown} if 0 < len(unknown) < len(cases) else {}


__all__ = ["DATASETS", "Case", "Dataset", "Source", "dataset", "load"]
