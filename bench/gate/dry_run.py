"""A dry run: one cell of a suite with a scripted network instead of a trained one. It shows what the pipeline does
without arithmetic that differs between processors, so its results are compared exactly on every kind of machine.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import suites
from bench.records import store
from bench.records.results import Results
from bench.running import data, worker
from bench.running.child import serve, telling
from bench.running.data import SuiteData
from bench.running.executor import Job, Local
from bench.running.training import Training, fingerprint_inputs, from_json, to_json
from bench.suites import Suite
from lungseg import ARCHITECTURES
from lungseg.prepare import Prepared

NAME = "scripted"
UNKNOWN = "?"  # an image, or a mask, that is none of the set's
ALIKE = 1e-5  # between an image's mean in the set and in a batch
LIMIT_S = 1800.0  # it takes seconds
SCORES = ("tp", "fp", "fn", "tn", "dice", "iou", "hd95_mm", "assd_mm", "nsd_2mm", "distance_unit")
# what decides the steps of an optimizer, except for the learning rate, which a schedule changes
OPTIMIZER = ("name", "amsgrad", "beta_1", "beta_2", "clipnorm", "clipvalue", "epsilon", "global_clipnorm", "use_ema",
             "weight_decay")  # fmt: skip
Metadata = dict[str, Any]


@dataclass(frozen=True)
class DryRun:
    """The payload of the dry run's process, which writes to a results folder of its own."""

    suite: Suite
    root: Path
    results: Results


def metadata(suite: Suite, root: Path, results: Results) -> Metadata:
    """The results of a dry run of the suite's first cell, in a fresh process like any cell.

    ``{"failed": words, "slow": bool}`` where it failed: slow unless an exception said why, since any machine can run
    one small network for seconds."""
    folder = results.log(suite.name, "dry-run")
    requested = to_json(DryRun(suite, root, Results(folder)))
    job = Job("bench.gate.dry_run", requested, suite.threads, folder / "log.txt", LIMIT_S)
    result: Metadata = {}
    outcome = Local().submit(job, lambda event: result.update(event.get("facts", {})))
    if outcome.error:
        slow = outcome.status in ("timeout", "oom") or not outcome.explained
        return {"failed": f"{outcome.status}: {outcome.error['message']}", "slow": slow}
    return result


def trained(suite: Suite, root: Path, results: Results) -> Metadata:
    """The child's side: run the cell, and put what its network was told beside what its record says."""
    ARCHITECTURES.add(NAME, "bench.gate.scripted:scripted")
    suite = replace(suite, architectures=(NAME,), widths=())
    suite_data = data.load_suite_data(suite, root, results)
    (cell, *_) = suites.cells(suite)
    record = worker.run(Training(cell, suite, root, results, fingerprint_inputs(cell, suite_data)), lambda event: None)
    from bench.gate.scripted import MADE

    return described(record, MADE[-1], suite_data)


def described(record: Mapping[str, Any], model: Any, suite_data: SuiteData) -> Metadata:
    """JSON-ready. order: a hash of each epoch's ids, batch by batch."""
    names = Names(suite_data.prepared)
    epochs = [[[names.of(*image) for image in batch] for batch in epoch] for epoch in model.trace["epochs"]]
    flat = [[key for batch in epoch for key in batch] for epoch in epochs]
    settings = model.optimizer.get_config()
    return {
        "train_set": sorted({key for keys in flat for key in keys}),
        "each_once": all(len(keys) == len(set(keys)) == len(flat[-1]) for keys in flat),
        "validation_set": sorted(names.of(*image) for image in model.trace["validation"]),
        "order": [store.sha256(epoch)[:16] for epoch in epochs],
        "batch_sizes": [len(batch) for batch in epochs[0]],
        "learning_rates": [float(rate) for rate in record["history"]["learning_rate"]],
        "optimizer": {key: settings[key] for key in OPTIMIZER if key in settings},
        "loss": _loss(model.given_loss),
        "best_epoch": record["best_epoch"],
        "weights_of_epoch": int(np.asarray(model.get_layer("epoch").bias)[0]) - 1,
        "cases": {case["id"]: _scores(case) for case in record["cases"]},
    }


class Names:
    """Ids of images by what reached the network: their mask's bits and, because these are no picture, their mean."""

    def __init__(self, prepared: Prepared) -> None:
        from bench.gate.scripted import digest

        self.ids = prepared.ids
        self.of_mask = {digest(np.asarray(mask)): key for key, mask in zip(prepared.ids, prepared.masks, strict=True)}
        self.means = np.asarray(prepared.images).mean(axis=(1, 2), dtype=np.float64)

    def of(self, mask: str, mean: float) -> str:
        """The id; both ids where the mask is another image's; a question mark for what is not in the set."""
        nearest = int(np.argmin(np.abs(self.means - mean)))
        image = self.ids[nearest] if abs(self.means[nearest] - mean) <= ALIKE else UNKNOWN
        target = self.of_mask.get(mask, UNKNOWN)
        return image if image == target else f"{image} with the mask of {target}"


def _loss(loss: Any) -> list[float]:
    """Of two masks against a ramp: one half full, one nearly empty."""
    prediction = np.tile(np.linspace(0.05, 0.95, 8, dtype=np.float32)[None, :, None], (8, 1, 1))
    target = np.zeros((2, 8, 8, 1), np.float32)
    target[0, :4], target[1, 0, 7] = 1, 1
    return [float(value) for value in np.ravel(np.asarray(loss(target, np.stack([prediction, prediction]))))]


def _scores(case: Mapping[str, Any]) -> dict[str, Any]:
    """Of the case, and of what it is at the stored size where the record says so."""
    local = {key: case[key] for key in SCORES if key in case}
    stored = case.get("at_stored") or {}
    return local | {f"at_stored.{key}": stored[key] for key in SCORES if key in stored}


work = telling(lambda payload, say: say({"event": "facts", "facts": trained(**vars(from_json(DryRun, payload)))}))


if __name__ == "__main__":
    sys.exit(serve(work))
