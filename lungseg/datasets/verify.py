"""Read every image and mask of a dataset and say what it holds, what is wrong and what looks odd."""

from __future__ import annotations

import hashlib
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.datasets import DATASETS, load
from lungseg.datasets.case import Case, images_in
from lungseg.errors import DataError, UsageError
from lungseg.png import read_header

if TYPE_CHECKING:  # at run time imported where pixels are met: an empty folder is told at once
    from lungseg.images import Image, Mask

PLAUSIBLE_AREA = (0.05, 0.5)  # share of the image that is lung; 704 public masks lie between 0.08 and 0.44
_WIDTH, _LABEL = 80, 24  # columns of a terminal, of which the table's left side
_PICTURE_FOLDERS = ("img", "mask", "CXR_png", "ManualMask/leftMask", "ManualMask/rightMask")


@dataclass(frozen=True)
class Finding:
    """What the files of one case hold. size: (rows, columns); area: share of the image that is lung;
    overlap: pixels in both left and right mask; same digest: same pixels."""

    case: Case
    size: tuple[int, int]
    bit_depth: int
    area: float
    components: int
    overlap: int
    constant: bool
    inverted: bool
    image_digest: str
    mask_digest: str


@dataclass(frozen=True)
class Report:
    """What ``verify`` found. rows: (label, value) of the table; errors: the set cannot be used;
    warnings: kind -> the cases concerned, for a person to look at."""

    title: str
    rows: Sequence[tuple[str, str]] = ()
    errors: Sequence[str] = ()
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        """Table and warnings, not the errors; 80 columns at most (a long path or name stays whole)."""
        lines = [self.title]
        for label, value in self.rows:
            lines += _wrapped(value, f"  {label:<{_LABEL}}", " " * (_LABEL + 2))
        for kind, names in self.warnings.items():
            lines += [f"warning: {kind}: {len(names)}", *_wrapped(", ".join(names), "  ", "  ")]
        return "\n".join(lines)


def verify(dataset: str, folder: Path, say: Callable[[str], None] | None = None) -> Report:
    """Decode every image and mask of ``dataset`` in ``folder``. say: receives progress, a line at a time.

    Never stops at the first error: each one that can be found is in the report. Raises only UsageError, for
    an unknown dataset.
    """
    if dataset not in DATASETS:
        raise UsageError(f"unknown dataset {dataset!r}: known are {', '.join(DATASETS)}")
    title = f"{dataset} in {folder}"
    try:
        cases = load(dataset, folder)
    except DataError as error:
        return Report(title, errors=list(dict.fromkeys([*error.problems, *_undecodable(folder)])))
    findings, errors, spoke = [], [], time.monotonic()
    for number, case in enumerate(cases, 1):
        try:
            findings.append(inspect(case))
        except DataError as error:
            errors += error.problems
        if say and time.monotonic() - spoke > 5:
            spoke = time.monotonic()
            say(f"{number} of {len(cases)} cases read")
    return Report(title, _table(cases, findings), errors, _warnings(findings))


def _undecodable(folder: Path) -> list[str]:
    """Problems of single files, where the folder as a whole cannot be paired."""
    problems = []
    for name in _PICTURE_FOLDERS:
        if not (folder / name).is_dir():
            continue
        from lungseg import images

        try:
            files = images_in(folder / name)[0].values()
        except DataError:
            continue  # `load` has said so
        for path in files:
            try:
                (images.read_mask if "ask" in name else images.read_image)(path)
            except DataError as error:
                problems += error.problems
    return problems


def inspect(case: Case) -> Finding:
    """Decode one case. Raises DataError with each file that is unreadable or not of the image's shape."""
    from lungseg import images
    from lungseg.metrics import components

    problems: list[str] = []
    image: Image | None = None
    masks: list[Mask] = []
    try:
        image = images.read_image(case.image)
    except DataError as error:
        problems += error.problems
    for path in case.masks:
        try:
            masks.append(images.read_mask(path))
        except DataError as error:
            problems += error.problems
            continue
        if image is not None and masks[-1].shape != image.shape:
            problems.append(_mismatch(path, masks[-1].shape, case.image, image.shape))
    if problems or image is None:
        raise DataError(problems)
    lungs = images.unite(masks)
    return Finding(
        case=case,
        size=(image.shape[0], image.shape[1]),
        bit_depth=read_header(case.image).bit_depth,
        area=float(lungs.mean()),
        components=components(lungs),
        overlap=sum(int(mask.sum()) for mask in masks) - int(lungs.sum()),
        constant=bool(image.min() == image.max()),
        inverted=looks_inverted(image, lungs),
        image_digest=_digest(image),
        mask_digest=_digest(lungs),
    )


def _mismatch(mask: Path, found: tuple[int, ...], image: Path, wanted: tuple[int, ...]) -> str:
    hint = "it is transposed" if found == wanted[::-1] else "masks are never resized silently"
    return (
        f"{mask}: {found[0]} x {found[1]} pixels, but its image {image.name} has {wanted[0]} x {wanted[1]}; "
        f"{hint}: use the mask drawn on this image"
    )


def looks_inverted(image: Image, lungs: Mask) -> bool:
    """Whether lungs are brighter on average than the rest of the box around them (MONOCHROME1 shown as is).

    image: float32 (H, W); lungs: bool (H, W). On 704 public radiographs, none inverted, lungs are darker than
    the rest of their box by at least 0.07 of the full scale; of the whole image they are not (black borders).
    """
    import numpy as np

    if not lungs.any():
        return False
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside, around = image[box][lungs[box]], image[box][~lungs[box]]
    return bool(around.size and inside.mean() > around.mean())


def _digest(pixels: Image | Mask) -> str:
    """Hash of shape and pixels, so that the same picture is known again however it was compressed."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _table(cases: Sequence[Case], findings: Sequence[Finding]) -> list[tuple[str, str]]:
    readable = f"{len(cases)}" if len(findings) == len(cases) else f"{len(cases)}, {len(findings)} usable"
    rows = [("images", readable), ("patients", f"{len({case.patient for case in cases})}")]
    disease: dict[object, str] = {0: "normal", 1: "tuberculosis"}
    rows.append(("disease", _counted(disease.get(c.attributes.get("tb"), "unknown") for c in cases)))
    rows.append(("sex", _counted(str(c.attributes.get("sex", "unknown")) for c in cases)))
    ages = [int(c.attributes["age"]) for c in cases if "age" in c.attributes]
    rows.append(("age", _known(_range(ages, ".0f", "years"), len(ages), len(cases))))
    spacings = [case.spacing_mm for case in cases if case.spacing_mm]
    both = [f"{side} {_range([s[i] for s in spacings], '.4g', 'mm')}" for i, side in enumerate(("rows", "columns"))]
    rows.append(("pixel spacing", _known(", ".join(both), len(spacings), len(cases))))
    if not findings:
        return rows
    areas = sorted(100 * finding.area for finding in findings)
    return [
        *rows,
        ("size (rows x columns)", _counted(f"{f.size[0]} x {f.size[1]}" for f in findings)),
        ("image bit depth", _counted(str(f.bit_depth) for f in findings)),
        ("masks per image", _counted(str(len(f.case.masks)) for f in findings)),
        (
            "mask area",
            f"{areas[0]:.1f} to {areas[-1]:.1f} % of the image, median {areas[len(areas) // 2]:.1f} %",
        ),
        ("mask components", _counted(str(f.components) for f in findings)),
        ("left and right overlap", f"in {sum(f.overlap > 0 for f in findings)} images"),
        ("images of same pixels", f"{sum(map(len, _twins(findings, 'image_digest')))}"),
    ]


def _range(values: Sequence[float], form: str, unit: str) -> str:
    low, high = (format(value, form) for value in (min(values, default=0), max(values, default=0)))
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _known(value: str, known: int, total: int) -> str:
    """A value with the number of cases that it is not known for."""
    if not known:
        return "unknown"
    return value if known == total else f"{value} (unknown for {total - known})"


def _counted(values: Iterable[str], most: int = 6) -> str:
    """``'8 (137), 16 (1)'``: each value with how often it occurs, the frequent ones first."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{value} ({times})" for value, times in counts[:most])
    return shown if len(counts) <= most else f"{shown} and {len(counts) - most} others"


def _warnings(findings: Sequence[Finding]) -> dict[str, list[str]]:
    low, high = PLAUSIBLE_AREA
    kinds = {
        "constant image": [f.case.id for f in findings if f.constant],
        "image looks inverted (lungs brighter than around them)": [f.case.id for f in findings if f.inverted],
        "images of the same pixels": [" = ".join(ids) for ids in _twins(findings, "image_digest")],
        "masks of the same pixels": [" = ".join(ids) for ids in _twins(findings, "mask_digest")],
        f"mask area below {low:.0%} or above {high:.0%} of the image": [
            f"{f.case.id} ({f.area:.1%})" for f in findings if not low <= f.area <= high
        ],
        "mask not of two components": [f"{f.case.id} ({f.components})" for f in findings if f.components != 2],
        "left and right masks overlap": [f"{f.case.id} ({f.overlap} px)" for f in findings if f.overlap],
    }
    return {kind: names for kind, names in kinds.items() if names}


def _twins(findings: Sequence[Finding], digest: str) -> list[list[str]]:
    """Ids that share a digest, group by group."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(getattr(finding, digest), []).append(finding.case.id)
    return [ids for ids in groups.values() if len(ids) > 1]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
