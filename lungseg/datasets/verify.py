"""Checks every image and mask of a dataset: a summary, errors and warnings."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.datasets import Case, images_in, load, metadata, mixed_spacing
from lungseg.datasets import dataset as known_dataset
from lungseg.errors import DataError
from lungseg.terminal import every

if TYPE_CHECKING:  # an empty set is reported without loading decoding libraries
    from lungseg.datasets.checks import ImageCheck
    from lungseg.datasets.same_patient import Pair

AREA_RANGE = (0.05, 0.5)  # share of the image that is lung; 704 public masks lie between 0.08 and 0.44
ALIKE = 10  # of 256 bits of the perceptual hash; different patients of 704 public images differ in 17 at least
HALF = 0.5  # of white; 704 public radiographs reach 0.92 at least
SMOOTH_SHARE = 0.5  # of the masks without fine detail, from which on the set is suspect and not single drawings

_WIDTH, _LABEL = 80, 24  # columns of a terminal, of which the table's left side
_PICTURE_FOLDERS = ("img", "mask", "CXR_png", "ManualMask/leftMask", "ManualMask/rightMask")


@dataclass(frozen=True)
class Report:
    """What ``verify`` found. rows: (label, value) of the table; errors: the set cannot be used;
    warnings: kind -> the cases concerned, for a person to look at. pairs: of one patient by their anatomy, None where
    they were not sought."""

    title: str
    rows: Sequence[tuple[str, str]] = ()
    errors: Sequence[str] = ()
    warnings: dict[str, list[str]] = field(default_factory=dict)
    pairs: Sequence[Pair] | None = None

    def text(self) -> str:
        """Table and warnings, not the errors; 80 columns at most (a long path or name stays whole)."""
        lines = [self.title]
        for label, value in self.rows:
            lines += _wrapped(value, f"  {label:<{_LABEL}}", " " * (_LABEL + 2))
        for kind, names in self.warnings.items():
            lines += [f"warning: {kind}: {len(names)}", *_wrapped(", ".join(names), "  ", "  ")]
        return "\n".join(lines)


def verify(
    dataset: str, folder: Path, say: Callable[[str], None] | None = None, *, same_patient: bool = False
) -> Report:
    """Decode every image and mask of ``dataset`` in ``folder``. say: receives progress, a line at a time.

    same_patient: also compare every pair of images by their anatomy, which takes minutes; left out where there are
    errors. Never stops at the first error: each one that can be found is in the report. Raises only UsageError, for
    an unknown dataset.
    """
    known_dataset(dataset)
    title = f"{dataset} in {folder}"
    try:
        cases = load(dataset, folder)
    except DataError as error:
        return Report(title, errors=list(dict.fromkeys([*error.problems, *_undecodable(folder)])))
    from lungseg.datasets.checks import inspect  # decodes; an empty folder is told at once, without it

    findings, errors, tell = [], list[str](), every(5, say)
    for number, case in enumerate(cases, 1):
        try:
            findings.append(inspect(case))
        except DataError as error:
            errors += error.problems
        tell(f"{number} of {len(cases)} cases read")
    rows = summary(cases, findings)
    of_table = metadata.remarks(cases, folder) if dataset != "phantom" else {}
    warnings = {**mixed_spacing(cases), **of_table, **data_warnings(findings)}
    if not same_patient or errors:
        return Report(title, rows, errors, warnings)
    from lungseg.datasets import same_patient as anatomy

    pairs = anatomy.find(cases, say)
    return Report(title, [*rows, *anatomy.rows(cases, pairs)], errors, {**warnings, **anatomy.warnings(pairs)}, pairs)


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


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """Lines of 80 columns, the first and the others indented by these."""
    return textwrap.TextWrapper(_WIDTH, first, rest, break_long_words=False, break_on_hyphens=False).wrap(text)


def summary(cases: Sequence[Case], findings: Sequence[ImageCheck]) -> list[tuple[str, str]]:
    """What the set holds, as rows (label, value): of all cases, and of the findings of those that could be decoded."""
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
        *_value_bits(findings),
        ("masks per image", _counted(str(len(f.case.masks)) for f in findings)),
        (
            "mask area",
            f"{areas[0]:.1f} to {areas[-1]:.1f} % of the image, median {areas[len(areas) // 2]:.1f} %",
        ),
        ("mask components", _counted(str(f.components) for f in findings)),
        ("left and right overlap", f"in {sum(f.overlap > 0 for f in findings)} images"),
        ("identical images", f"{sum(map(len, _twins(findings, 'image_digest')))}"),
    ]


def _value_bits(findings: Sequence[ImageCheck]) -> list[tuple[str, str]]:
    """The row that tells how many bits the values of 16-bit files have; none for a set of 8 bits."""
    depths = [finding.depth for finding in findings if finding.depth is not None]
    return [("values of 16-bit files", _counted(f"of {depth.bits} bits" for depth in depths))] if depths else []


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


def data_warnings(findings: Sequence[ImageCheck]) -> dict[str, list[str]]:
    """Warnings about a dataset: each kind with the cases concerned; no kind without a case."""
    low, high = AREA_RANGE
    kinds = {
        **_depths(findings),
        "constant image": [f.case.id for f in findings if f.constant],
        "image looks inverted (lungs brighter than their surroundings)": [f.case.id for f in findings if f.inverted],
        "images with identical pixels (kept in one fold)": [
            " = ".join(ids) for ids in _twins(findings, "image_digest")
        ],
        "near-duplicates of two patients (if they are one, give them one patient: folds could part them)": list(
            _near(findings)
        ),
        "masks look inverted (lung 0, background 255)": [f.case.id for f in findings if f.inside_out],
        "masks with identical pixels": [" = ".join(ids) for ids in _twins(findings, "mask_digest")],
        f"mask area below {low:.0%} or above {high:.0%} of the image": [
            f"{f.case.id} ({f.area:.1%})" for f in findings if not low <= f.area <= high and not f.inside_out
        ],
        "mask without exactly two components": [f"{f.case.id} ({f.components})" for f in findings if f.components != 2],
        "left and right masks overlap": [f"{f.case.id} ({f.overlap} px)" for f in findings if f.overlap],
        "left and right masks swapped, compared with most of the set": _swapped(findings),
        "mask with grey pixels (resized with interpolation?)": [
            f"{f.case.id} ({100 * f.grey:.2g} %)" for f in findings if f.grey
        ],
        "masks without detail below 3 pixels (dilated, with scores of enlarged outlines, or drawn smoothly?)": (
            _without_detail(findings)
        ),
    }
    return {kind: names for kind, names in kinds.items() if names}


def _depths(findings: Sequence[ImageCheck]) -> dict[str, list[str]]:
    """Images that do not fit the depth of their set's values."""
    from lungseg.images import set_bits

    result = [(finding, finding.depth) for finding in findings if finding.depth is not None]
    bits = set_bits(depth for _, depth in result)
    eight = [finding for finding in findings if finding.bit_depth == 8 and not finding.constant]
    dark = eight if all(finding.brightest < HALF for finding in eight) else []
    kinds = {"8-bit images that all use only the lower half of their range": [f.case.id for f in dark]}
    if bits is None:
        kinds["16-bit file with values of at most 12 bits in a set with more (scaled by itself)"] = [
            f.case.id for f, depth in result if depth.bits <= 12
        ]
    else:
        kinds[f"pixels above the {bits} bits of the set (a marker burned in?), read as white"] = [
            f"{f.case.id} ({100 * depth.above[bits]:.2g} %)" for f, depth in result if depth.above[bits]
        ]
    return kinds


def _twins(findings: Sequence[ImageCheck], digest: str) -> list[list[str]]:
    """Ids that share a digest, group by group."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(getattr(finding, digest), []).append(finding.case.id)
    return [ids for ids in groups.values() if len(ids) > 1]


def _near(findings: Sequence[ImageCheck]) -> Iterator[str]:
    """Pairs of different pixels and patients whose perceptual hashes nearly agree."""
    judged = [finding for finding in findings if not finding.constant]  # those have no rises at all
    for one, other in combinations(judged, 2):
        if one.image_digest != other.image_digest and one.case.patient != other.case.patient:
            differing = int((one.image_hash != other.image_hash).sum())
            if differing <= ALIKE:
                yield f"{one.case.id} ~ {other.case.id}"


def _swapped(findings: Sequence[ImageCheck]) -> list[str]:
    """Cases whose left and right masks lie the other way round than in most; nobody where it is a draw."""
    sides = [finding for finding in findings if finding.left_of is not None]
    first = sum(bool(finding.left_of) for finding in sides)
    if 2 * first == len(sides):
        return []
    usual = 2 * first > len(sides)
    return [finding.case.id for finding in sides if finding.left_of is not usual]


def _without_detail(findings: Sequence[ImageCheck]) -> list[str]:
    smooth = [finding.case.id for finding in findings if finding.smooth]
    return smooth if len(smooth) >= SMOOTH_SHARE * len(findings) else []
