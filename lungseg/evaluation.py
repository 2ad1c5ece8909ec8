"""Scores of one model on labelled images, with intervals over patients, as a model card states them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungseg import images
from lungseg.case_files import depth_of, read_case
from lungseg.datasets import Case
from lungseg.errors import DataError, UsageError
from lungseg.intervals import ALIKE, FEW, MIN_PATIENTS, NORMAL, RESAMPLES, SEED, quantile
from lungseg.postprocessing import lungs_at, two_lungs

BATCH = 16

Network = Callable[[np.ndarray], np.ndarray]  # images float32 (N, h, w) to probabilities float32 (N, h, w)


@dataclass(frozen=True)
class Evaluation:
    """Scores of each image and their summary.

    cases: for each image id, patient, ``network`` (scores at the network's size) and ``stored`` (at its mask's own
    size): counts, dice, distances in mm, or in pixels where the spacing is unknown.
    """

    cases: tuple[Mapping[str, Any], ...]

    def dice(self, at: str = "stored") -> Mapping[str, Any]:
        """Mean Dice over patients with its 95 % bootstrap interval (BCa), JSON-ready; see ``summary``. at: ``stored``
        or ``network``."""
        if at not in ("stored", "network"):
            raise UsageError(f"at {at!r}: expected 'stored' or 'network'")
        patients = [case["patient"] for case in self.cases]
        return summary([case[at]["dice"] for case in self.cases], patients)

    def hd95(self) -> tuple[float, str]:
        """Median over images of the 95 % Hausdorff distance at the masks' stored size, and its unit: ``mm``, or ``px``
        where the spacing of every image is unknown. Infinite where half of the masks or more are empty; NaN where only
        some spacings are known."""
        values = [case["stored"]["hd95_mm"] for case in self.cases]
        units = {case["stored"]["distance_unit"] for case in self.cases}
        if len(units) != 1:
            return math.nan, ""
        return float(np.median([math.inf if value is None else value for value in values])), units.pop()

    def lowest(self, n: int = 5) -> list[tuple[str, float]]:
        """The n images of the lowest Dice at the masks' stored size, the lowest first: (id, Dice)."""
        return sorted(((case["id"], case["stored"]["dice"]) for case in self.cases), key=lambda one: one[1])[:n]


def score(
    case: Case, probability: np.ndarray, threshold: float, target: images.Mask, small: images.Mask, *,
    postprocess: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Scores of one image: probability float32 (h, w), ground truth bool (H, W) as stored, small bool (h, w) as the
    network would have it. postprocess: of masks after ``lungseg.postprocessing`` (of a map after it, the same)."""
    from lungseg import metrics

    prediction = lungs_at(probability, target.shape, threshold, postprocess=postprocess)
    at_network = np.asarray((two_lungs(probability, threshold) if postprocess else probability) >= threshold)
    rows, columns = (large / little for large, little in zip(target.shape, small.shape, strict=True))
    spacing = case.spacing_mm and (case.spacing_mm[0] * rows, case.spacing_mm[1] * columns)
    result = {
        "network": metrics.score_at_stored(small, at_network, spacing),
        "stored": metrics.score_at_stored(target, prediction, case.spacing_mm),
    }
    for scores in result.values():
        counts = metrics.Counts(*(scores[name] for name in ("tp", "fp", "fn", "tn")))
        scores["dice"] = metrics.METRICS["dice"].function(counts)
    return {"id": case.id, "patient": case.patient, **result}


def evaluate(
    network: Network, cases: Sequence[Case], size: tuple[int, int], threshold: float,
    watch: Callable[[int, int], None] | None = None, *, postprocess: bool = True,
) -> Evaluation:  # fmt: skip
    """Predict and score each case; sixteen images are in memory at a time.

    postprocess: score masks after ``lungseg.postprocessing``, as ``predict`` writes them.
    watch: told (images done, images) after each batch. Raises DataError that lists every file that cannot be used, and
    where there is no case.
    """
    require_cases(cases)
    if not cases:
        raise DataError("no image to score")
    bits, result = depth_of(cases), list[dict[str, Any]]()  # as ``prepare`` reads a set
    problems: list[str] = []
    done = 0
    for part in (cases[k : k + BATCH] for k in range(0, len(cases), BATCH)):
        read = []
        for case in part:
            try:
                image, target = read_case(case, bits)
            except DataError as error:
                problems += error.problems
                continue
            read.append((case, images.resize_image(image, size), target))
        if read and not problems:
            for (case, _, target), probability in zip(read, network(np.stack([r[1] for r in read])), strict=True):
                small = images.resize_mask(target, size)
                result.append(score(case, probability, threshold, target, small, postprocess=postprocess))
        done += len(part)
        if watch:
            watch(done, len(cases))
    if problems:
        raise DataError(problems)
    return Evaluation(tuple(result))


def require_cases(cases: object) -> None:
    """Raise UsageError for a name or a path in the place of the cases that ``lungseg.load`` reads there."""
    if isinstance(cases, str | Path) or not isinstance(cases, Sequence):
        raise UsageError(f"cases: expected the list that lungseg.load gives, not {cases!r}"[:200])


def summary(values: Sequence[float], patients: Sequence[str]) -> dict[str, Any]:
    """Mean over patients, of one patient's images first, of values of images, with a 95 % interval: {"images",
    "patients", "over", "value", "low", "high", "interval"}.

    Patients are drawn; BCa (Efron 1987) by SciPy, at the levels of Student's t (``intervals.quantile``). The bounds of
    fewer than MIN_PATIENTS patients, or of patients of one and the same value, are the mean itself, and ``interval``
    says none and why.
    """
    from scipy import stats

    names, at = np.unique(np.asarray(patients), return_inverse=True)
    means = np.bincount(at, values) / np.bincount(at)
    mean = float(means.mean())
    result: dict[str, Any] = {"images": len(values), "patients": len(names), "over": "patients", "value": mean}
    few = len(names) < MIN_PATIENTS
    result |= {"low": mean, "high": mean, "interval": FEW if few else ALIKE}
    if few or np.ptp(means) < 1e-12:  # rounding aside
        return result
    level = 2 * NORMAL.cdf(quantile(len(names))) - 1
    drawn = stats.bootstrap(
        (means,), np.mean, n_resamples=RESAMPLES, vectorized=True, confidence_level=level, method="BCa",
        rng=np.random.default_rng(SEED), batch=200,
    ).confidence_interval  # fmt: skip
    if not np.isfinite([drawn.low, drawn.high]).all():
        return result
    interval = "95 %, bootstrap over patients, BCa"
    return {**result, "low": float(drawn.low), "high": float(drawn.high), "interval": interval}


def fingerprint(cases: Iterable[Case]) -> str:
    """Hash over ids and files' bytes, in the order of ids: the data that a score was measured on."""
    digest = hashlib.sha256()
    for case in sorted(cases, key=lambda case: case.id):
        digest.update(f"{case.id}\0".encode())
        for path in (case.image, *case.masks):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
