"""Prepares cases as arrays at the network's size, with a cache on disk keyed by what they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lungseg import atomic, images
from lungseg.case_files import ahead, depth_of, read_case
from lungseg.datasets import Case
from lungseg.errors import DataError, EnvironmentFailure

LARGE = 1 << 30  # bytes of pixels: under a second to hash; from here on a set is hashed once and then marked
RELEASED = 64  # rows after which mapped pages that were read are given back; 21 MB at 256 px
VERSION = 2  # rises when reading, uniting or resizing yields other pixels, so that no old cache is used


@dataclass(frozen=True)
class Pixels:
    """What one pass over all pixels finds, each in the order of ids.

    sha256: of all ids and pixels. image_sha256: of each image. target_pixels: lung pixels of each mask.
    """

    sha256: str
    image_sha256: tuple[str, ...]
    target_pixels: tuple[int, ...]


@dataclass(frozen=True)
class Prepared:
    """Images and masks of a dataset at one size, rows sorted by id.

    images: float32 (N, H, W) in [0, 1], memory-mapped. masks: bool (N, H, W).
    spacing_mm: for each id (row, column) of the resized pixels, or None.
    raw_sha256: of every file's bytes by id. sha256: of the prepared pixels.
    pixels: what the check of the cache found; None: looked for when it is asked for.
    """

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    images: np.ndarray
    masks: np.ndarray
    spacing_mm: tuple[tuple[float, float] | None, ...]
    raw_sha256: str
    sha256: str
    pixels: Pixels | None = None

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Row of each id."""
        return {key: row for row, key in enumerate(self.ids)}

    def take(self, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Copies of these ids' images, float32 (n, H, W), and masks, bool (n, H, W)."""
        rows = [self.index_of[key] for key in ids]
        result = np.asarray(self.images[rows]), np.asarray(self.masks[rows])
        release(self.images, self.masks)
        return result

    @property
    def target_pixels(self) -> dict[str, int]:
        """Lung pixels of each id."""
        return dict(zip(self.ids, self._pixels.target_pixels, strict=True))

    @property
    def image_sha256(self) -> dict[str, str]:
        """Hash of each id's prepared image: what the network sees alike has the same."""
        return dict(zip(self.ids, self._pixels.image_sha256, strict=True))

    @cached_property
    def _pixels(self) -> Pixels:
        return self.pixels or pixels_of(self.ids, self.images, self.masks)


def pixels_of(ids: Sequence[str], pictures: np.ndarray, masks: np.ndarray) -> Pixels:
    """Hashes and lung pixels, read an image at a time."""
    whole, each, lung = hashlib.sha256(), [], []
    for key, picture, mask in zip(ids, streamed(pictures), streamed(masks), strict=True):
        pixels = picture.tobytes()
        whole.update(f"{key}\0".encode() + pixels + mask.tobytes())
        each.append(hashlib.sha256(pixels).hexdigest())
        lung.append(int(np.count_nonzero(mask)))
    return Pixels(whole.hexdigest(), tuple(each), tuple(lung))


def streamed(array: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of an array, which may be larger than memory where it is mapped."""
    for number, row in enumerate(array, 1):
        yield row
        if number % RELEASED == 0:
            release(array)


def release(*arrays: np.ndarray) -> None:
    """Give the pages of memory-mapped arrays that were read back to the kernel, which keeps them in its cache while
    there is room; until then they count as this process's memory, in the end all of a set."""
    for array in arrays:
        held: object = array.base
        if isinstance(held, mmap.mmap):
            held.madvise(mmap.MADV_DONTNEED)


def prepare(cases: Sequence[Case], size: tuple[int, int], cache: Path) -> Prepared:
    """Arrays of all cases at ``size`` (height, width); made once, then memory-mapped from ``cache``.

    The cache is keyed by each file's name, length, times of change and inode, so that a file replaced by one of the
    same length and time is seen, and checked by the hash of its pixels. A few images at a time are in memory.
    Raises one DataError that lists every unreadable or mismatched file.
    """
    cases = sorted(cases, key=lambda case: case.id)
    states = _states(cases)
    folder = cache / _key(cases, size, states)
    cached = _read(folder, cases)
    if cached is None:
        shutil.rmtree(folder, ignore_errors=True)  # half-made or damaged
        _make(cases, size, folder, states)
        cached = _read(folder, cases)
    if cached is None:
        raise EnvironmentFailure(f"{folder}: what was written reads back differently; check the disk")
    about, pictures, masks, result = cached
    spacing = (_resized_spacing(case, shape, size) for case, shape in zip(cases, about["shapes"], strict=True))
    return Prepared(
        ids=tuple(case.id for case in cases),
        patients=tuple(case.patient for case in cases),
        images=pictures,
        masks=masks,
        spacing_mm=tuple(spacing),
        raw_sha256=about["raw_sha256"],
        sha256=about["sha256"],
        pixels=result,
    )


def _read(folder: Path, cases: Sequence[Case]) -> tuple[dict[str, Any], np.ndarray, np.ndarray, Pixels] | None:
    """What a cache holds, None unless it is whole and its pixels have the hash they were written with.

    A large set is hashed by the first process that reads it; the next ones trust its mark as long as the file system
    says that nothing was written to the pixels since. 100,000 images at 256 px are 33 GB, minutes for each cell.
    """
    try:
        about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        pictures = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)
        if not len(pictures) == len(masks) == len(about["shapes"]) == len(cases) or "raw_sha256" not in about:
            return None
        states = _states_of_pixels(folder) if pictures.nbytes + masks.nbytes >= LARGE else None
        result = _marked(folder, states) if states else None
        if result is None or result.sha256 != about["sha256"]:
            result = pixels_of([case.id for case in cases], pictures, masks)
            if states and result.sha256 == about["sha256"]:
                with contextlib.suppress(EnvironmentFailure):  # a full disk or a folder that others own: hashed again
                    _mark(folder, states, result)
    except (OSError, EOFError, ValueError, TypeError, KeyError):  # damaged, or written by something else
        return None
    return (about, pictures, masks, result) if result.sha256 == about["sha256"] else None


def _states_of_pixels(folder: Path) -> list[list[int]]:
    return [list(_state(folder / name)) for name in ("images.npy", "masks.npy")]


def _mark(folder: Path, states: list[list[int]], result: Pixels) -> None:
    """Leave what a full check found and the state of the files that it read, after the hash of both."""
    details = json.dumps([states, result.sha256, result.image_sha256, result.target_pixels]).encode()
    atomic.write_bytes(folder / "checked", hashlib.sha256(details).hexdigest().encode(), b"\n", details)


def _marked(folder: Path, states: list[list[int]]) -> Pixels | None:
    """What a full check of files in this state found; None where there was none."""
    try:
        digest, _, details = (folder / "checked").read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if digest != hashlib.sha256(details).hexdigest().encode():
        return None
    of, sha256, images_sha256, target_pixels = json.loads(details)
    return Pixels(sha256, tuple(images_sha256), tuple(target_pixels)) if of == states else None


State = tuple[int, int, int, int]
States = dict[Path, State]


def _state(path: Path) -> State:
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _states(cases: Sequence[Case]) -> States:
    """Length, times and number of every file, as the file system keeps them: the time of its last change of contents,
    which anybody can set, that of its inode's (ctime), which nobody can, and the inode. Raises
    DataError that lists those that cannot be read."""
    states, problems = {}, []
    for path in (path for case in cases for path in (case.image, *case.masks)):
        try:
            states[path] = _state(path)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    if problems:
        raise DataError(problems)
    return states


def _key(cases: Sequence[Case], size: tuple[int, int], states: States) -> str:
    digest = hashlib.sha256(f"{VERSION}:{size}".encode())
    for case in cases:
        for path in (case.image, *case.masks):
            digest.update(f"{case.id}\0{path}\0{states[path]}\0".encode())
    return digest.hexdigest()[:20]


def _refuse_changes(cases: Sequence[Case], before: States) -> None:
    """Raise DataError that lists the files which changed while they were read: their pixels may be of two versions."""
    now = _states(cases)
    changed = [path for path in before if now[path][:3] != before[path][:3]]  # some file systems make up inodes
    if changed:
        raise DataError(
            [f"{path}: changed while it was read; run again once nothing writes to the set" for path in changed]
        )


def _make(cases: Sequence[Case], size: tuple[int, int], folder: Path, states: States) -> None:
    """Fill a temporary folder and rename it, so that a half-made or mixed cache is never read."""
    with atomic.whole_folder(folder, (folder / "about.json").exists) as work:
        about = _fill(cases, size, work)
        _refuse_changes(cases, states)
        (work / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def _fill(cases: Sequence[Case], size: tuple[int, int], work: Path) -> dict[str, Any]:
    """Write images.npy and masks.npy a row at a time. Not through a memory map: there a full disk is no error that
    can be caught, but SIGBUS, which ends the process. Files are decoded and resized a few ahead."""
    raw, pixels, depth = hashlib.sha256(), hashlib.sha256(), depth_of(cases)
    shapes: list[tuple[int, ...]] = []
    problems: list[str] = []
    with (work / "images.npy").open("wb") as pictures, (work / "masks.npy").open("wb") as masks:
        _header(pictures, np.float32, (len(cases), *size))
        _header(masks, np.bool_, (len(cases), *size))
        for case, row in zip(cases, ahead(lambda case: _row(case, depth, size), cases), strict=True):
            if isinstance(row, DataError):
                problems += row.problems
                continue
            shapes.append(row.shape)
            pictures.write(row.image)
            masks.write(row.mask)
            raw.update(f"{case.id}\0".encode() + row.files)
            pixels.update(f"{case.id}\0".encode() + row.image + row.mask)
    if problems:
        raise DataError(problems)
    return {"raw_sha256": raw.hexdigest(), "sha256": pixels.hexdigest(), "shapes": shapes}


class _Row(NamedTuple):
    """A case as it is stored: float32 and bool at the network's size; files: SHA-256 of each file's bytes, joined."""

    shape: tuple[int, ...]
    image: bytes
    mask: bytes
    files: bytes


def _row(case: Case, depth: int | None, size: tuple[int, int]) -> _Row | DataError:
    try:
        image, mask = read_case(case, depth)
        files = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in (case.image, *case.masks))
    except DataError as error:
        return error
    except OSError as error:  # gone since it was read: not the cache's folder, whose errors name the disk
        return DataError([f"{error.filename}: cannot be read ({error.strerror})"])
    return _Row(
        image.shape,
        images.resize_image(image, size).astype(np.float32, copy=False).tobytes(),
        images.resize_mask(mask, size).astype(np.bool_, copy=False).tobytes(),
        files,
    )


def _header(file: BinaryIO, kind: type[np.generic], shape: tuple[int, ...]) -> None:
    about = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)


def _resized_spacing(case: Case, shape: Sequence[int], size: tuple[int, int]) -> tuple[float, float] | None:
    if case.spacing_mm is None:
        return None
    return case.spacing_mm[0] * shape[0] / size[0], case.spacing_mm[1] * shape[1] / size[1]
