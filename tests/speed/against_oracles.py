"""Border metrics of 138 predictions at 256 px: our time against MONAI's, MedPy's and surface-distance's, in one run.

    python -m tests.speed.against_oracles       # needs the extra `oracles`; processor time, one thread each

Each library computes what it has of HD95, ASSD and NSD at 2 mm, all from one measurement of the distances where it
allows that. Rounds alternate between the libraries, so that a busy machine slows all of them; the best round counts.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from itertools import combinations, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # strategies, as pytest finds it

import numpy as np
from strategies import lung_like

from lungseg import metrics

IMAGES, SPACING, ROUNDS = 138, (1.37, 1.67), 5
Pairs = list[tuple[np.ndarray, np.ndarray]]


def ours(pairs: Pairs) -> None:
    """HD95, ASSD, NSD."""
    for target, prediction in pairs:
        result = metrics.distances(target, prediction, SPACING)
        for name in ("hd95_mm", "assd_mm", "nsd_2mm"):
            metrics.METRICS[name].function(result)


def whole_record(pairs: Pairs) -> None:
    """Everything that a record stores: also ratios, components, holes, and counts against eroded and dilated ground
    truth."""
    for target, prediction in pairs:
        metrics.score(target, prediction, SPACING)


def monai() -> Callable[[Pairs], None]:
    """HD95, ASSD, NSD: three calls for the whole batch."""
    import torch
    from monai import metrics as of

    torch.set_num_threads(1)

    def run(pairs: Pairs) -> None:
        target, prediction = (torch.from_numpy(np.stack(side)[:, None]).float() for side in zip(*pairs, strict=True))
        more = {"include_background": True, "spacing": SPACING}
        of.compute_hausdorff_distance(prediction, target, percentile=95, **more)
        of.compute_average_surface_distance(prediction, target, symmetric=True, **more)
        of.compute_surface_dice(prediction, target, [2.0], **more)

    return run


def medpy() -> Callable[[Pairs], None]:
    """HD95 and ASSD; it has no NSD."""
    from medpy.metric import binary

    def run(pairs: Pairs) -> None:
        for target, prediction in pairs:
            binary.hd95(prediction, target, SPACING)
            binary.assd(prediction, target, SPACING)

    return run


def deepmind() -> Callable[[Pairs], None]:
    """HD95, both directed means, NSD, weighted by border length."""
    import surface_distance as of

    def run(pairs: Pairs) -> None:
        for target, prediction in pairs:
            result = of.compute_surface_distances(target, prediction, SPACING)
            of.compute_robust_hausdorff(result, 95)
            of.compute_average_surface_distance(result)
            of.compute_surface_dice_at_tolerance(result, 2.0)

    return run


def main() -> None:
    """Time and print the table."""
    warnings.simplefilter("ignore", FutureWarning)  # MONAI's own use of what it has deprecated
    runners: dict[str, Callable[[Pairs], None]] = {"lungseg": ours, "lungseg, whole record": whole_record}
    for name, load in (("MONAI", monai), ("MedPy (no NSD)", medpy), ("surface-distance", deepmind)):
        try:
            runners[name] = load()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    pairs = list(islice(combinations([lung_like(seed) for seed in range(18)], 2), IMAGES))
    best = dict.fromkeys(runners, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runners.items():
            began = time.process_time()
            run(pairs)
            best[name] = min(best[name], time.process_time() - began)
    print(f"| {IMAGES} pairs, 256 px | seconds | ms a pair | times as long as lungseg |\n|---|--:|--:|--:|")
    for name, seconds in best.items():
        times = seconds / best["lungseg"]
        print(f"| {name} | {seconds:.3f} | {1000 * seconds / IMAGES:.2f} | {times:.1f} |")


if __name__ == "__main__":
    main()
