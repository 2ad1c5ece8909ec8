"""Made-up summaries of the gate, as `bench.gate.summarise` makes them from records."""

import copy
import statistics

from bench import gate, store
from bench.gate import compare

IDS = [f"c{k:02d}" for k in range(16)]


def scores(*wrong, loss=0.08):
    """An architecture whose image k has `wrong[k]` missed pixels of 100."""
    counts = {f"0/{key}": [100 - n, 0, n, 900] for key, n in zip(IDS, wrong, strict=True)}
    dice = [2 * tp / (2 * tp + fn) for tp, _, fn, _ in counts.values()]
    return {"dice": statistics.fmean(dice), "f1": statistics.fmean(dice), "validation_loss": loss, "counts": counts}


def smoke():
    """A baseline of two architectures and 16 images, Dice 0.95 or so."""
    return {
        "schema": gate.SCHEMA,
        "suite": "smoke",
        "dataset": "phantom",
        "size": [64, 64],
        "records": store.SCHEMA,
        "machine": {"cpu": "one", "device_kind": "cpu", "backend": "tensorflow", "threads": 1, "versions": {}},
        "recipe": {"name": "brief", "epochs": 40},
        "data": {
            "raw_sha256": "r" * 64,
            "prepared_sha256": "p" * 64,
            "patients": {key: key for key in IDS},
            "truth_pixels": dict.fromkeys(IDS, 100),
            "truth_quarters": {key: [30, 30, 20, 20] for key in IDS},
            "image_means": dict.fromkeys(IDS, 0.5),
            "image_quarters": {key: [0.4, 0.6, 0.5, 0.5] for key in IDS},
        },
        "folds": {"n": 2, "sha256": "f" * 64, "leaked": []},
        "batches": {"f0.s0": {"images": 14, "steps": 4, "truth_pixels": 1400, "sha256": "b" * 64}},
        "architectures": {"unet": scores(*[6, 10] * 8), "resunet": scores(*[10, 9, 11, 10] * 4)},
    }


def elsewhere(summary):
    """The same summary from another kind of machine."""
    now = copy.deepcopy(summary)
    now["machine"]["cpu"] = "another"
    return now


def put(summary, path, value):
    """Set an inner value."""
    for key in path[:-1]:
        summary = summary[key]
    summary[path[-1]] = value


def failures(baseline, now, **how):
    """What the comparison blames."""
    return [f"{f.subject}: {f.what}" for f in compare(baseline, now, **how) if not f.ok]
