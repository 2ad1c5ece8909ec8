"""Input and output files of a prediction; no output may replace an input."""

from __future__ import annotations

import argparse
import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lungseg import csv_file, terminal
from lungseg.errors import DataError, UsageError
from lungseg.radiograph import ENDINGS

TABLE = "lungs.csv"
BESIDE = ("overlay", "probability", "right", "left", "seg")  # kinds of files beside a mask
_WILD = "*?["
_MOST_ENDINGS = 5  # that are counted each


@dataclass(frozen=True)
class Item:
    """One file to predict. name: its display name, below the folder or glob that it was found by. stem: how the names
    of its outputs begin, below the output folder."""

    path: Path
    name: str
    stem: str


def output(folder: Path, stem: str, kind: str) -> Path:
    """The file of an item's mask, or of what is written beside it."""
    return folder / f"{stem}_{kind}{'.dcm' if kind == 'seg' else '.png'}"


def beside(folder: Path, row: Mapping[str, str]) -> dict[str, Path]:
    """The files beside a row's mask that the table says were written with it, by their kinds."""
    texts = [text for text in row.get("beside", "").split("; ") if not text.startswith("no ")]
    stem = row.get("mask", "").removesuffix("_mask.png")
    return {kind: output(folder, stem, kind) for kind in map(kind_of, texts) if stem and kind in BESIDE}


def kind_of(text: str) -> str:
    """The kind of a file as a table's column ``beside`` names it: ``overlay 1024``, or ``no right`` of one withheld."""
    return text.removeprefix("no ").partition(" ")[0]


def items(given: Iterable[str], out: Path, say: Callable[[str], None] | None = None) -> list[Item]:
    """Files, folders (all below them whose names end as a radiograph's do, and DICOM files of whatever name) and globs,
    in the order given, each once.

    Of a folder or glob, files in ``out`` are left out, and so is what a ``lungs.csv`` beside or above them lists as
    written. say: told of each folder or glob how many files were left out, and their endings. Two files that would
    write the same outputs keep their endings in the names of these. Raises DataError for a path that is not there, a
    folder that cannot be listed and a folder or glob without any file, UsageError for an empty path and where ``out``
    is the very folder that is read: its masks would be read the next time.
    """
    result: dict[Path, str] = {}
    problems: list[str] = []
    predicted = _Predicted()
    for text in given:
        path = _path(text)
        if path.is_dir():
            if out.resolve() == path.resolve():
                raise UsageError(f"{out}: is the folder of the images; choose another --out, or one inside it")
            local = path.resolve() in out.resolve().parents
            inside = sorted(p for p in _below(path, problems) if not (local and _within(p, out)))
            own = [p for p in inside if p in predicted]
            kept = [p for p in inside if p not in predicted and _is_radiograph(p)]
            named = [(p, p.relative_to(path).as_posix()) for p in kept]
            _tell_left_out(say, text, own, set(inside) - {*own, *kept})
            what = f"holds no file that ends in {', '.join(ENDINGS)}, and no other DICOM file"
        elif path.exists() or not any(c in text for c in _WILD):
            named, what = [(path, path.name)], ""
            if not path.exists():
                problems.append(f"{text}: no such file or folder")
        else:
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            matches = [p for p in matches if p.is_file()]
            elsewhere = [p for p in matches if not _within(p, out)]
            if matches and not elsewhere:
                raise UsageError(f"{out}: is the folder of the images that {text} matches; choose another --out")
            own = [p for p in elsewhere if p in predicted]
            named = [(p, p.name) for p in elsewhere if p not in predicted]
            _tell_left_out(say, text, own, ())
            what = "matches no file"
        if not named:
            problems.append(f"{text}: {what}")
        for one, name in named:
            result.setdefault(one, name)
    if problems:
        raise DataError(problems)
    return _named(result)


class _Predicted:
    """What earlier runs wrote, by the tables in the folders above a file, each read once."""

    def __init__(self) -> None:
        self.of_folder: dict[Path, frozenset[Path]] = {}

    def __contains__(self, path: Path) -> bool:
        path = path.absolute()
        return any(path in self._listed(folder) for folder in path.parents)

    def _listed(self, folder: Path) -> frozenset[Path]:
        if folder not in self.of_folder:
            self.of_folder[folder] = frozenset(_listed(folder))
        return self.of_folder[folder]


def _listed(folder: Path) -> Iterator[Path]:
    """The table of a folder, and what it lists as written; nothing where there is none, or another kind of table."""
    if not (folder / TABLE).is_file():
        return
    try:
        columns, rows = csv_file.read(folder / TABLE)
    except DataError:
        return
    if not {"file", "mask", "input_sha256"} <= set(columns):
        return
    yield folder / TABLE
    for row in rows:
        if row.get("mask"):
            yield folder / row["mask"]
            yield from beside(folder, row).values()


def _tell_left_out(
    say: Callable[[str], None] | None, text: str, own: Collection[Path], others: Collection[Path]
) -> None:
    """Say how many files were left out: of earlier runs, without the tables, and others by their endings."""
    written = sum(path.name != TABLE for path in own)
    said = [f"{written} that earlier runs wrote"] * (written > 0)
    counted = Counter(path.suffix.lower() for path in others)
    endings = sorted(counted.items(), key=lambda of: (-of[1], of[0]))
    said += [f"{n} {ending or 'without an ending'}" for ending, n in endings[:_MOST_ENDINGS]]
    if rest := sum(n for _, n in endings[_MOST_ENDINGS:]):
        said.append(f"{rest} of other endings")
    if said and say:
        say(f"{text}: left out of its files: {', '.join(said)}")


def _is_radiograph(path: Path) -> bool:
    """By the name's ending or, as archives and their media name files without one (``IM000001``), by DICOM's mark,
    unless the file is a report or a structure set, which holds no image."""
    if path.suffix.lower() in ENDINGS:
        return True
    if path.name.upper() == "DICOMDIR" or not path.is_file():  # some systems show names of a disc in lower case
        return False
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return False
    except OSError:  # it does not look like one
        return False
    from lungseg import dicom

    return dicom.may_hold_image(path)


def _path(text: str) -> Path:
    """The path that a user gave. Raises UsageError as ``terminal.path`` explains it."""
    try:
        return terminal.path(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"input {error}") from error


def _below(folder: Path, problems: list[str]) -> Iterator[Path]:
    """The files below a folder that are not hidden, in linked folders, too, each folder once; folders that cannot be
    listed are added to the problems."""
    seen = set[tuple[int, int]]()

    def unlisted(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be listed ({error.strerror}); its images would be missing")

    for root, folders, files in os.walk(folder, onerror=unlisted, followlinks=True):
        state = os.stat(root)
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder above it has no end
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in files if not name.startswith("."))


def _within(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents


def _named(result: dict[Path, str]) -> list[Item]:
    short = {path: _without_ending(name) for path, name in result.items()}
    times = Counter(stem.casefold() for stem in short.values())
    stems = {path: result[path] if times[stem.casefold()] > 1 else stem for path, stem in short.items()}
    repeated = Counter(stem.casefold() for stem in stems.values())
    if doubled := [path for path, stem in stems.items() if repeated[stem.casefold()] > 1]:
        first = doubled[0]
        second = next(path for path in doubled[1:] if stems[path].casefold() == stems[first].casefold())
        raise UsageError(
            f"{first} and {second} have the same name, so one mask would replace the other; "
            "segment them with two commands, each with an --out of its own, or give the folder above both"
        )
    return [Item(path, result[path], stem) for path, stem in stems.items()]


def _without_ending(name: str) -> str:
    ending = Path(name).suffix
    return name.removesuffix(ending) if ending.lower() in ENDINGS else name  # 1.2.840.7 is a whole name


def refuse_overwriting(read: Sequence[Item], written: Iterable[Path]) -> None:
    """Raise UsageError where a file that is to be written is one that is read, under whatever name."""
    inputs = {(state.st_dev, state.st_ino): item.path for item in read if (state := _state(item.path))}
    for path in written:
        state = _state(path)
        if state and (state.st_dev, state.st_ino) in inputs:
            replaced = inputs[state.st_dev, state.st_ino]
            raise UsageError(f"{path}: would replace the input {replaced}; choose another --out")


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
