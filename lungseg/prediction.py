"""Predicts masks of many files in batches. Each mask is written at once; a bad file is reported and skipped."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lungseg import atomic, csv_file, images, lungs, radiograph
from lungseg.card import Card
from lungseg.errors import DataError, LungsegError
from lungseg.evaluation import Network
from lungseg.inputs import TABLE, Item, beside, kind_of, output, refuse_overwriting
from lungseg.metrics.overlap import border
from lungseg.postprocessing import lungs_at
from lungseg.prediction_table import Table, file_sha256
from lungseg.radiograph import Radiograph
from lungseg.terminal import tell as say

BATCH = 8
SIDE = 1024  # of an overlay's longer side: at an original's 4,892 rows a PNG takes a second and 12 MB
TINT, OUTLINE = (40, 170, 255), (255, 210, 0)  # of lungs in an overlay
_SHARE = 0.25


@dataclass(frozen=True)
class Wanted:
    """What is written beside masks and the table: overlays of at most ``longest`` pixels a side, probability maps
    (16-bit PNG, 65535 is 1), left and right lung apart, DICOM segmentations where the input is DICOM."""

    overlays: bool = False
    longest: int = SIDE
    probabilities: bool = False
    sides: bool = False
    dicom_seg: bool = False

    def paths(self, out: Path, item: Item) -> dict[str, Path]:
        """The files of one item by what they are."""
        kinds = ["mask"] + ["overlay"] * self.overlays + ["probability"] * self.probabilities
        kinds += ["right", "left"] * self.sides
        kinds += ["seg"] * (self.dicom_seg and is_dicom(item.path))
        return {kind: output(out, item.stem, kind) for kind in kinds}

    def described(self, kinds: Iterable[str]) -> list[str]:
        """How the table names files beside a mask: an overlay with its size, since one of another size is another."""
        return [f"overlay {self.longest}" if kind == "overlay" else kind for kind in kinds if kind != "mask"]


def is_dicom(path: Path) -> bool:
    """Whether the file is DICOM by its first bytes; what cannot be read is not."""
    try:
        return radiograph.kind(path) == "dicom"
    except DataError:  # told when it is read
        return False


@dataclass
class Tally:
    """How many files were predicted, passed over because they were done, and could not be used."""

    done: int = 0
    skipped: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _Read:
    """What is kept of a file until its batch is predicted: nothing of its own size."""

    item: Item
    small: images.Image
    preview: images.Image | None
    shape: tuple[int, int]
    about: Radiograph
    sha256: str


def predict(
    items: Sequence[Item], out: Path, card: Card, network: Network, wanted: Wanted, *, skip_existing: bool = False,
    tta: bool = False, postprocess: bool = True, watch: Callable[[Item, str | None, Tally], None] | None = None,
) -> Tally:  # fmt: skip
    """Predict each item and write its mask at its own size (uint8, 255 is lung), and what else is wanted, to ``out``.

    ``lungs.csv`` gets a row as soon as a file's mask is there, and is put into the items' order at the end, so that a
    killed run goes on with ``skip_existing``: files whose outputs and row are there, of this model, are passed over.
    What is beside a mask always belongs to it: where a mask changes, what an earlier run wrote beside the old one and
    this run does not write is removed. Rows of other files, from earlier runs, stay. Another command that predicts into
    ``out`` is waited for.
    tta: whether the network averages over test-time augmentation. postprocess: write masks after
    ``lungseg.postprocessing``; maps, flags and pieces are of the network's. The table states both with the model.
    watch: receives each item with its error or None. A file that cannot be used is reported and skipped; raises
    UsageError where an output would replace an input or another image's mask, or ``lungs.csv`` is another table,
    EnvironmentFailure where nothing can be written.
    """
    written = [p for item in items for p in wanted.paths(out, item).values()] + [out / TABLE]
    refuse_overwriting(items, written)
    with _alone(out):
        _remove_abandoned({path.parent for path in written})
        masks = {item: wanted.paths(out, item)["mask"] for item in items}
        table, tally = Table(out, masks, written[:-1]), Tally()
        earlier = (beside(out, table.row_of(item.name, mask)) for item, mask in masks.items())
        refuse_overwriting(items, (path for paths in earlier for path in paths.values()))
        longest = _longest_name(out)
        model = f"{card.name} {card.weights_sha256[:12]}{' tta' * tta}{' post-processed' * postprocess}"
        model = csv_file.on_one_line(model)  # as a row gives it back
        tell = watch or (lambda item, error, tally: None)

        def failed(item: Item, error: LungsegError) -> None:
            tally.failed += 1
            # without the file's place, which is this machine's and may name a person
            table.add_failed(item.name, str(error).removeprefix(f"{item.path}: "))
            tell(item, str(error), tally)

        todo, unfit = [], []
        for item in items:
            paths = wanted.paths(out, item)
            length = max(len(os.fsencode(path.name)) for path in paths.values())
            if length > longest:
                problem = f"names of its outputs have up to {length} bytes, where {out} takes {longest}"
                unfit.append((item, DataError(f"{item.path}: {problem}; rename the file")))
            elif skip_existing and table.is_done(item.name, model, paths, wanted.described(paths)):
                tally.skipped += 1
                tell(item, None, tally)
            else:
                todo.append(item)
        with table:
            for item, error in unfit:
                failed(item, error)
            for batch in _batches(todo, card, wanted, failed):
                for read, probability in zip(batch, network(np.stack([one.small for one in batch])), strict=True):
                    try:
                        row = _write(read, probability, card, wanted, table, model, postprocess)
                    except DataError as error:
                        failed(read.item, error)
                        continue
                    table.add(row)
                    tally.done += 1
                    tell(read.item, None, tally)
                batch.clear()  # before the next is read
            table.finish([item.name for item in items])
        return tally


def _longest_name(folder: Path) -> int:
    """Bytes that a file's name may have there; 255, as most file systems allow, where this one does not tell."""
    with contextlib.suppress(OSError, ValueError):
        if (result := os.pathconf(folder, "PC_NAME_MAX")) > 0:  # -1 or 0: no limit is known
            return result
    return 255


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the output folder, where the file system knows locks: of two commands each would drop the other's rows, so
    the second waits."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise atomic.refused(out / TABLE, error) from error
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"{out}: another command predicts into it; waiting for its end")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_abandoned(folders: Iterable[Path]) -> None:
    """What a killed run left half-written, under names that only this package gives."""
    for folder in folders:
        for path in folder.glob(f"{atomic.FILE}*"):
            if atomic.is_abandoned(path):
                with contextlib.suppress(OSError):
                    path.unlink()


def _batches(
    items: Sequence[Item], card: Card, wanted: Wanted, failed: Callable[[Item, LungsegError], None]
) -> Iterator[list[_Read]]:
    batch: list[_Read] = []
    for item in items:
        try:
            batch.append(_read(item, card, wanted))
        except LungsegError as error:
            failed(item, error)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(item: Item, card: Card, wanted: Wanted) -> _Read:
    result = radiograph.read(item.path)
    small_view = preview(result.pixels, wanted.longest) if wanted.overlays else None
    small = images.resize_image(result.pixels, card.size)
    height, width = result.pixels.shape
    about = replace(result, pixels=np.empty((0, 0), np.float32))  # of its own size nothing is kept
    return _Read(item, small, small_view, (height, width), about, file_sha256(item.path))


def _write(
    read: _Read, probability: images.Image, card: Card, wanted: Wanted, table: Table, model: str, postprocess: bool
) -> dict[str, str]:
    """Write one item's files, the mask last, and return its row."""
    out = table.folder
    paths = wanted.paths(out, read.item)
    result = lungs.findings(probability, read.small, card.threshold, card.exposure)
    deep = None
    if wanted.probabilities:
        deep = (images.resize_image(probability, read.shape) * 65535 + 0.5).astype(np.uint16)
    mask = lungs_at(probability, read.shape, card.threshold, postprocess=postprocess)
    # of the mask as written: at the network's size lungs may still be one piece, and what was dropped the other
    side = images.resize_image(lungs.right_side(images.resize_mask(mask, card.size)), read.shape)
    right_at = read.about.right_at
    right = mask & (np.asarray(side < 0.5) if right_at == "right" else np.asarray(side >= 0.5))
    del side
    withheld = [kind for kind in paths if kind in ("right", "left", "seg") and right_at is None]
    if withheld:
        why = "by its header it is no upright frontal view, so its lungs cannot be told apart"
        say(f"{read.item.path}: {why}; not written: {', '.join(withheld)}")
    paths = {kind: path for kind, path in paths.items() if kind not in withheld}
    made: dict[str, bytes] = {}
    if "seg" in paths:  # first: of an image that allows none, no other file is to be touched
        from lungseg import dicom_seg

        made["seg"] = dicom_seg.segmentation_bytes(read.item.path, right, mask & ~right, card)
    made["mask"] = images.png_bytes(_bytes(mask))
    also = wanted.described(paths) + [f"no {kind}" for kind in withheld]
    before = table.row_of(read.item.name, paths["mask"])
    if before and before["model"] == model and _holds(paths["mask"], made["mask"]):
        # the same mask, to which what is beside it belongs as before
        also += [text for text in before["beside"].split("; ") if kind_of(text) not in (*map(kind_of, also), "")]
    elif before:  # and first of all: a run killed below leaves no mask beside files that are not of it
        _remove([paths["mask"], *beside(out, before).values()])
    if "seg" in paths:
        atomic.write_bytes(paths["seg"], made["seg"])
    if deep is not None:
        atomic.write_bytes(paths["probability"], images.png_bytes(deep))
    if "right" in paths:
        atomic.write_bytes(paths["right"], images.png_bytes(_bytes(right)))
        atomic.write_bytes(paths["left"], images.png_bytes(_bytes(mask & ~right)))
    if wanted.overlays and read.preview is not None:
        atomic.write_bytes(paths["overlay"], images.png_bytes(drawn(read.preview, mask)))
    atomic.write_bytes(paths["mask"], made["mask"])
    return {
        **_findings(read, result, mask, right),
        "mask": paths["mask"].relative_to(out).as_posix(),  # two folders may hold one name
        "model": model,
        "beside": "; ".join(also),
    }


def _findings(read: _Read, result: lungs.Findings, mask: images.Mask, right: images.Mask) -> dict[str, str]:
    """The part of an item's row that is of its image and its mask alone."""
    spacing, pixels = read.about.spacing_mm, {"area": np.count_nonzero(mask)}
    if read.about.right_at is not None:
        pixels["right_area"] = np.count_nonzero(right)
        pixels["left_area"] = pixels["area"] - pixels["right_area"]
    factor = spacing[0] * spacing[1] if spacing else 1.0
    return {
        "file": read.item.name,
        "status": "ok",
        "height": str(read.shape[0]),
        "width": str(read.shape[1]),
        **{name: _area(n * factor, spacing is not None) for name, n in pixels.items()},
        "unit": "mm2" if spacing else "px",
        "spacing_from": read.about.spacing_from,
        "pieces": str(result.pieces),
        "stability": f"{result.stability:.4f}",
        "flags": "; ".join((*result.flags, *read.about.remarks)),
        "input_sha256": read.sha256,
    }


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise atomic.refused(path, error) from error


def preview(image: images.Image, longest: int) -> images.Image:
    """The image float32 (H, W) with its longer side at most ``longest`` pixels."""
    scale = min(1.0, longest / max(image.shape))
    return images.resize_image(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def drawn(image: images.Image, mask: images.Mask) -> np.ndarray:
    """An overlay uint8 (h, w, 3) in red, green, blue: image float32 (h, w) in grey, with the lungs of a mask of any
    size tinted and outlined."""
    mask = images.resize_mask(mask, (image.shape[0], image.shape[1]))
    low, high = float(image.min()), float(image.max())
    grey = (image - low) / (high - low) if high > low else image
    picture = np.repeat(255 * grey[..., None], 3, axis=2)
    picture[mask] = (1 - _SHARE) * picture[mask] + _SHARE * np.array(TINT)
    picture[border(mask)] = OUTLINE
    return np.asarray(picture.round(), np.uint8)


def _bytes(mask: images.Mask) -> np.ndarray:
    return np.asarray(mask.astype(np.uint8) * np.uint8(255))


def _area(value: float, millimetres: bool) -> str:
    return f"{value:.1f}" if millimetres and math.isfinite(value) else f"{value:.0f}"
