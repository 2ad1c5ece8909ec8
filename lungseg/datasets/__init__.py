"""The registry of datasets: one file and one function ``root -> list[Case]`` each, one row here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from lungseg.datasets.case import Case
from lungseg.errors import DataError, UsageError

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


__all__ = ["DATASETS", "Case", "Dataset", "Source", "dataset", "load"]
