"""Compares the speed of our U-Net with a native PyTorch U-Net, both measured in one run on one machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.records import store
from bench.records.results import Results
from bench.running.executor import Executor, Job, Local
from bench.running.training import plain
from bench.speed import throughput, throughput_table
from bench.speed.torch_unet import Request
from bench.suites import Suite
from lungseg import csv_file, runtime
from lungseg.errors import EnvironmentFailure, UsageError

OURS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # peer's precision -> Keras policy
RATES = {  # what is divided -> by what
    "train": "train_images_per_second",
    "epochs": "train_images_per_second",
    "inference": "inference_images_per_second",
}
COLUMNS = (
    "peer", "precision", "width", "batch", "threads", "train_images_per_second", "inference_images_per_second",
    "our_train_images_per_second", "our_epochs_images_per_second", "our_inference_images_per_second",
    "train_ratio", "epochs_ratio", "inference_ratio", "our_backend", "device", "versions", "measured", "note",
)  # fmt: skip


def measure(
    suite: Suite,
    results: Results,
    say: Callable[[str], None],
    budget_s: float | None,
    executor: Executor | None = None,
    policy: str | None = None,
) -> tuple[Path, list[str]]:
    """Measure both in every precision, peers eager and compiled; the table, and what failed.

    policy: a Keras policy, in which alone both are measured; rows of the other precision stay in the table.
    Raises EnvironmentFailure where torch is not installed, UsageError for a policy without a peer.
    """
    wanted = {peer: ours for peer, ours in OURS.items() if policy in (None, ours)}
    if not wanted:
        raise UsageError(f"--peers --precision {policy}: the peers compute in {' and '.join(OURS.values())}")
    if importlib.util.find_spec("torch") is None:
        raise EnvironmentFailure(
            "torch is not installed, so there is no peer to measure; run `make speed-peers`, or install torch"
        )
    executor = executor or Local()
    one, rows, failures = replace(suite, architectures=("unet",)), [], list[str]()
    for precision, ours in wanted.items():
        measured = throughput.measure(one, results, say, budget_s, ours, executor=executor, determinism=False)
        failures += measured.failures
        batch = str(suite.recipe_of(suite.recipe).batch_size)
        ours_of = ("unet", str(suite.width_of("unet")), batch, str(suite.threads))
        by_key = {tuple(row[k] for k in throughput_table.KEY): row for row in throughput_table.read(measured.path)}
        local = by_key.get(ours_of, {})
        for compiled in (False, True):
            name = f"torch, {'compiled' if compiled else 'eager'}, channels last"
            job = Request(suite.width_of("unet"), int(batch), suite.size, precision, compiled, suite.threads, budget_s)
            log = results.log(suite.name, "peers", f"{precision}-{compiled}.log.txt")
            requested = Job(
                "bench.speed.torch_unet", plain(job), suite.threads, log, suite.timeout_s, deterministic=False
            )
            result, failed = throughput.run(requested, say, executor, name)
            why = "" if result else throughput.why(failed)
            if why:
                failures.append(f"{name}, {precision}: {why}")
            rows.append(_row(name, job, local, result or {}, why))
            say(_sentence(rows[-1]))
    height, width = suite.size
    path = results.throughput("peers", f"{machine.device_kind()}.{height}x{width}.csv")
    earlier = csv_file.read(path)[1] if path.exists() else []
    rows = [row for row in earlier if row["precision"] not in wanted] + rows
    store.write_text(path, csv_file.text(COLUMNS, rows))
    return path, failures


def _row(name: str, job: Request, local: Mapping[str, str], result: Mapping[str, Any], why: str) -> dict[str, str]:
    values: dict[str, Any] = {
        "peer": name, "precision": job.precision, "width": job.width, "batch": job.batch, "threads": job.threads,
        "our_backend": runtime.backend_name(), "measured": datetime.now(UTC).date().isoformat(), "note": why,
        **{key: result.get(key) for key in ("device", "versions", *RATES.values())},
    }  # fmt: skip
    for mode, other in RATES.items():
        if (ours := throughput_table.number(local, f"{mode}_images_per_second")) > 0:
            values[f"our_{mode}_images_per_second"] = ours
            values[f"{mode}_ratio"] = ours / result[other] if result.get(other) else None
    return {key: throughput_table.formatted(values.get(key)) for key in COLUMNS}


def _sentence(row: Mapping[str, str]) -> str:
    details = [f"{mode} {row[f'{mode}_ratio']}" for mode in RATES if row[f"{mode}_ratio"]]
    measured = ", ".join(details) if details else row["note"] or "not measured"
    return f"ours over {row['peer']}, {row['precision']}: {measured}"
