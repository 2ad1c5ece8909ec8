"""Phantom: a procedural chest radiograph whose lung masks are exact, and sets of them on disk. Needs no download."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lungseg import atomic
from lungseg.datasets import Attributes, Case
from lungseg.datasets.montgomery import load_original
from lungseg.datasets.phantom.anatomy import ASPECT, FIELD_MM, frame, outlines, patient
from lungseg.datasets.phantom.radiography import radiograph
from lungseg.errors import DataError, UsageError
from lungseg.images import write_png

VERSION = 1  # rises whenever the same seed yields other pixels
ABOUT = "phantom.json"
_WHITE = 4095  # 12-bit, as the original set is stored
_KEPT_BYTES = 16 << 20


class Thorax(NamedTuple):
    """image: float64 (H, W) in [0, 1], air dark.

    left, right: bool (H, W), the lungs by the patient's sides, so `left` is at the image's right.
    attributes: sex ("F" or "M"), age (years), tb (0 or 1; opacities are drawn where it is 1).
    """

    image: NDArray[np.float64]
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]
    attributes: Attributes


def thorax(seed: int, size: tuple[int, int]) -> Thorax:
    """The radiograph of patient `seed` (0 or more) at `size` (rows, columns).

    The field is 352 mm tall and 293 mm wide at any size, so sizes of another shape are squashed. The patient is the
    same at every size; only the grain, which belongs to the pixels, is not. Opacities, ribs and vessels lie over a lung
    and belong to its mask; the heart, the diaphragm and what lies behind them do not.
    """
    # Allocating and freeing once what is larger than any array below makes glibc keep freed memory, instead of handing
    # it back to the system after each array: page faults took half of the time.
    np.empty(_KEPT_BYTES, np.uint8)
    body = patient(seed)
    at = frame(body.pose, size)
    drawn = outlines(body, at)
    left, right = drawn.masks()
    image = radiograph(seed, body, at, drawn)
    return Thorax(image, left, right, {"sex": body.sex, "age": body.age, "tb": body.tb})


def write(root: Path, n: int, size: tuple[int, int] = (384, 320), seed: int = 0) -> None:
    """Write `n` radiographs in the layout of the original Montgomery set: 12-bit values in 16-bit PNG, left and right
    masks {0, 255}, and clinical readings.

    In every third case each mask file also holds a stripe of the other lung. Their union is exactly both lungs, but a
    reader that adds the files, in which 255 + 255 wraps to 254 and 1 + 1 is 2, yields other pixels than one that unites
    them. PNGs are not compressed, so that their bytes do not depend on the processor.

    The set appears under its name only when it is complete. A complete set with the same n, size and seed is left
    alone. Raises UsageError when the folder holds anything else, EnvironmentFailure when it cannot be written.
    """
    about = {"generator": VERSION, "n": n, "size": list(size), "seed": seed}
    if n < 1 or min(size) < 16 or seed < 0:
        raise UsageError(f"phantom of n={n}, size={size}, seed={seed}: n >= 1, size >= (16, 16), seed >= 0 expected")
    if _is_there(root, about):
        return
    with atomic.whole_folder(root, lambda: _is_there(root, about)) as work:  # an empty folder of that name may be there
        _fill(work, n, size, seed)
        (work / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


def load(root: Path) -> list[Case]:
    """Cases of a set that `write` made, each a patient of its own, read by the Montgomery set's ordinary loader.

    Raises UsageError when no complete set is there, DataError when files are missing or do not belong to it.
    """
    about = _about(root)
    if about is None:
        raise UsageError(
            f"{root}: holds no complete phantom set ({ABOUT} is missing); `lungseg data phantom FOLDER` writes one, "
            "to a folder of its own"
        )
    try:
        n, (h, w) = int(about["n"]), about["size"]
        spacing = (FIELD_MM / h, FIELD_MM * ASPECT / w)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{root / ABOUT}: not written by this program; remove the folder and write it again") from error
    # The Montgomery set has patients with several images; the same numbers mean nothing here.
    cases = [replace(case, patient=case.id) for case in load_original(root, spacing_mm=spacing)]
    if len(cases) != n:
        raise DataError(f"{root}: {len(cases)} images, {n} were written; remove the folder and write it again")
    return cases


def _about(root: Path) -> Any:
    """What phantom.json says, None where there is none."""
    path = root / ABOUT
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _is_there(root: Path, about: dict[str, Any]) -> bool:
    """Whether this very set is there already. Raises UsageError when something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    result = _about(root)
    if result == about:
        return True
    what = (
        "something that is not a complete phantom set" if result is None else f"another phantom set ({_said(result)})"
    )
    raise UsageError(
        f"{root}: holds {what}, not {_said(about)}; choose another, or remove the folder if nothing in it is needed"
    )


def _said(about: Any) -> str:
    """What phantom.json says, in words; as it stands where it is another's."""
    try:
        rows, columns = about["size"]
        return f"{about['n']} images of {rows}x{columns}, seed {about['seed']}, by generator {about['generator']}"
    except (TypeError, KeyError, ValueError):
        return str(about)


def _fill(root: Path, n: int, size: tuple[int, int], seed: int) -> None:
    folders = [root / name for name in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask", "ClinicalReadings")]
    for folder in folders:
        folder.mkdir(parents=True)
    images, lefts, rights, readings = folders
    for number in range(n):
        drawn = thorax(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]), size)
        stem = f"MCUCXR_{number + 1:04d}_{drawn.attributes['tb']}"
        write_png(images / f"{stem}.png", np.rint(drawn.image * _WHITE).astype(np.uint16), compression=0)
        masks = _overlapping(drawn.left, drawn.right) if number % 3 == 0 else (drawn.left, drawn.right)
        for folder, mask in zip((lefts, rights), masks, strict=True):
            write_png(folder / f"{stem}.png", mask.astype(np.uint8) * np.uint8(255), compression=0)
        (readings / f"{stem}.txt").write_text(_reading(drawn.attributes), encoding="utf-8")


def _overlapping(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The same masks, each with a stripe of the other added at mid-height, where both lungs are wide."""
    height = len(left)
    stripe = np.zeros((height, 1), bool)
    stripe[height * 7 // 16 : height // 2] = True
    return left | right & stripe, right | left & stripe


def _reading(attributes: Attributes) -> str:
    finding = "opacities consistent with TB" if attributes["tb"] else "normal"
    return f"Patient's Sex: {attributes['sex']}\nPatient's Age: {attributes['age']:03d}Y\n{finding}\n"
