"""The summary that a baseline holds: made from records and prepared data, or read from a file or results folder."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.gate.accuracy import scores
from bench.gate.verdict import NotComparable
from bench.records import store
from bench.records.conflicts import conflicts
from bench.records.record import PROTOCOL, Record
from bench.records.results import Results
from bench.running.data import SuiteData
from bench.running.training import settings
from bench.suites import Suite
from lungseg import recipes, runtime
from lungseg.batches import Batches
from lungseg.prepare import Prepared
from lungseg.splits import Fold

SCHEMA = 3  # earlier ones have other names of keys
MESSAGE = 120  # characters of an error's first line that a table shows
Summary = dict[str, Any]


def summarise(
    suite: Suite, suite_data: SuiteData, records: Sequence[Record], dry_run: Summary | None = None
) -> Summary:
    """The summary of a run, as a baseline holds it: data, folds, batches, scores, counts, and the dry run if there was
    one (``bench.gate.dry_run``)."""
    prepared = suite_data.prepared
    patients = dict(zip(prepared.ids, prepared.patients, strict=True))
    recipe = recipes.recipe(suite.recipe)
    used = suite.fold_subset if suite.fold_subset is not None else range(suite.folds)
    return {
        "schema": SCHEMA,
        "suite": suite.name,
        "dataset": suite.dataset,
        "size": list(suite.size),
        "records": store.SCHEMA,
        "protocol": PROTOCOL,
        "machine": machine_kind(suite.threads),
        "recipe": settings(recipes.recipe(suite.recipe)),
        "data": {
            "raw_sha256": prepared.raw_sha256,
            "prepared_sha256": prepared.sha256,
            "patients": patients,
            "target_pixels": prepared.target_pixels,
            "spacing_mm": {key: list(mm) for key, mm in zip(prepared.ids, prepared.spacing_mm, strict=True) if mm},
            **quarters(prepared),
        },
        "folds": {
            "n": suite.folds,
            "sha256": store.sha256([suite_data.folds_record(seed) for seed in suite.seeds]),
            "leaked": leaked([fold for seed in suite.seeds for fold in suite_data.partition(seed)], patients),
        },
        "batches": {
            f"f{k}.s{seed}": batches(Batches(prepared, suite_data.partition(seed)[k].train, recipe.batch_size, seed))
            for k in used
            for seed in suite.seeds
        },
        "architectures": _architectures(records),
        "failed": failed(records),
        **({"dry_run": dry_run} if dry_run else {}),
    }


def failed(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """Status, exception and message of the first failed cell of each network that has one."""
    result: dict[str, dict[str, str]] = {}
    for record in records:
        if not record.ok:
            message = record.error.message.partition("\n")[0]
            how = {"status": record.status, "type": record.error.type, "message": message[:MESSAGE]}
            result.setdefault(record.cell.network(), how)
    return dict(sorted(result.items()))


def _architectures(records: Sequence[Record]) -> dict[str, Any]:
    good = [record for record in records if record.ok]
    groups: dict[str, list[Record]] = {}
    for record in good:
        groups.setdefault(record.cell.network(), []).append(record)
    return {name: scores(groups[name]) for name in sorted(groups)}


def quarters(prepared: Prepared) -> dict[str, dict[str, Any]]:
    """Mean of each image, and of each quarter's image and mask (upper left, upper right, lower left, lower right).

    The whole image's mean and lung pixels are blind to a flip or a shift of one against the other.
    """
    n, (height, width) = len(prepared.ids), prepared.images.shape[1:]
    rows, columns = (0, height // 2, height), (0, width // 2, width)
    parts = [(..., slice(a, b), slice(c, d)) for a, b in pairwise(rows) for c, d in pairwise(columns)]

    def by_id(values: Any) -> dict[str, Any]:
        return dict(zip(prepared.ids, np.asarray(values).tolist(), strict=True))

    images, masks = np.asarray(prepared.images), np.asarray(prepared.masks)
    return {
        "image_means": by_id(images.reshape(n, -1).mean(axis=1, dtype="float64")),
        "image_quarters": by_id(np.transpose([images[p].mean(axis=(1, 2), dtype="float64") for p in parts])),
        "target_quarters": by_id(np.transpose([np.count_nonzero(masks[p], axis=(1, 2)) for p in parts])),
    }


def leaked(folds: Sequence[Fold], patients: Mapping[str, str]) -> list[str]:
    """Ids tested by a network that saw their patient, judged the best epoch by it, or was to: what folds forbid.

    An image of no known patient, as no record scored it, stands for one.
    """

    def of(ids: Iterable[str]) -> set[str]:
        return {patients.get(key, key) for key in ids}

    result = set()
    for fold in folds:
        trained, seen = of(fold.train), of((*fold.train, *fold.validation))
        result |= {key for key in fold.test if of([key]) & seen}
        result |= {key for key in fold.validation if of([key]) & trained}
    return sorted(result)


def batches(of: Batches) -> dict[str, Any]:
    """The content of the first epoch's batches: images, steps, lung pixels, and a hash of their order and pixels."""
    images, target, digest = 0, 0, hashlib.sha256()
    steps = 0
    for picture, mask in of.epoch(0):
        steps += 1
        images += len(picture)
        target += int(np.count_nonzero(mask))
        digest.update(np.ascontiguousarray(picture).tobytes() + np.ascontiguousarray(mask).tobytes())
    return {"images": images, "steps": steps, "target_pixels": target, "sha256": digest.hexdigest()}


def machine_kind(threads: int) -> dict[str, Any]:
    """Machines of one kind give the same bits: processor, threads, backend, versions."""
    return {
        "cpu": machine.cpu_name(),
        "device_kind": machine.device_kind(),
        "backend": runtime.backend_name(),
        "threads": threads,
        "versions": runtime.versions(),
    }


def unreadable(error: Exception) -> str:
    """Why a baseline cannot be used, without Python's names for it."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, TypeError | AttributeError):
        return "it is of another layout"
    return getattr(error, "strerror", "") or str(error)


def load_baseline(path: Path) -> Summary:
    """The baseline. Raises NotComparable, with the command that makes one, when it is missing or unusable."""
    if not path.exists():
        raise NotComparable(
            f"{path}: there is no baseline; `make baseline` (in another project `lungseg-bench baseline`) on a trusted "
            "commit writes one"
        )
    try:
        baseline: Summary = store.strict_json(path.read_text(encoding="utf-8"))  # no NaN, no infinity
        scores = [v for a in baseline["architectures"].values() for v in (a["dice"], a["f1"], a["validation_loss"])]
        on, data = baseline["machine"], baseline["data"]
        needed = baseline["suite"], baseline["dataset"], on["backend"], on["device_kind"], data["target_pixels"]
        held = [v for v in (*_leaves(baseline["data"]), *_leaves(baseline["architectures"])) if not isinstance(v, str)]
        finite = all(math.isfinite(value) for value in (*scores, *held))
        fine = baseline["schema"] == SCHEMA and all(needed) and scores and finite
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotComparable(
            f"{path}: not a baseline ({unreadable(error)}); `make baseline` writes a new one"
        ) from error
    if not fine:
        raise NotComparable(
            f"{path}: has another schema, or a score that is not finite; `make baseline` writes a new one"
        )
    return baseline


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


def summarise_results(results: Results, suite: Suite) -> dict[str, Summary]:
    """Stored records of a suite -> a summary for each ``<backend>-<device kind>-<precision>`` they were made on.

    Only the suite's architectures, and records of cells that succeeded. Raises NotComparable where there is none.
    """
    result: dict[str, list[Record]] = {}
    for path in results.paths(suite.name):
        record = store.load_record(path)
        if record.cell.architecture in suite.architectures:
            result.setdefault(path.parent.name, []).append(record)
    result = {key: records for key, records in result.items() if any(record.ok for record in records)}
    if not result:
        raise NotComparable(
            f"{results.root}: no finished record of {', '.join(suite.architectures)} in suite {suite.name}; train it"
            f" with `make bench SUITE={suite.name}`, or name a folder that holds some (--candidate, --baseline)"
        )
    return {key: _of_records(suite, records) for key, records in result.items()}


def left_out(results: Results, suite: Suite) -> list[str]:
    """Architectures of finished records that are not among the suite's, which ``summarise_results`` does not read."""
    known = set(suite.architectures)
    others = (path for path in results.paths(suite.name) if re.split("[.~]", path.name)[0] not in known)
    return sorted({r.cell.architecture for r in map(store.load_record, others) if r.ok} - known)


def _of_records(suite: Suite, stored: Sequence[Record]) -> Summary:
    """As ``summarise``, from what records alone tell: no pixels, so no quarters and no batches."""
    records = [record for record in stored if record.ok]
    if mixed := conflicts(records):
        raise NotComparable(
            f"{suite.name}: its records cannot be compared with each other: {'; '.join(mixed)}; run it again"
        )
    patients = {case.id: case.patient for record in records for case in record.cases}
    folds = {(r.cell.seed, r.cell.fold): Fold(r.split.train, r.split.validation, r.split.test) for r in records}
    first, last = min(records, key=lambda r: r.cell.seed), records[-1]
    on, made_from, prepared = last.machine, last.inputs.every, last.data
    return {
        "schema": SCHEMA,
        "suite": suite.name,
        "dataset": last.cell.test_set,
        "size": list(last.cell.size),
        "records": last.document["schema"],
        "protocol": made_from.get("protocol"),
        "machine": {key: getattr(on, key) for key in ("cpu", "device_kind", "backend", "threads", "versions")},
        "recipe": made_from.get("recipe", {}),
        "data": {
            "raw_sha256": prepared.raw_sha256,
            "prepared_sha256": prepared.prepared_sha256,
            "patients": patients,
            "target_pixels": {key: n for r in records for key, n in r.data.target_pixels.items()},
        },
        "folds": {
            "n": last.cell.folds,
            "sha256": first.inputs.every.get("folds"),  # each seed has a partition of its own; all follow from the set
            "leaked": leaked(list(folds.values()), patients),
        },
        "architectures": _architectures(records),
        "failed": failed(stored),
    }
