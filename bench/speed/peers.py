"""Compares the speed of our U-Net with a native PyTorch U-Net, both measured in one run on one machine.

The peer is the network of ``lungseg.architectures.unet``, written as a PyTorch user would, in a process of its own:
channels last, cuDNN's benchmark, TF32 where float32 is asked for, automatic mixed precision for bfloat16,
``torch.compile`` where compiled is. Needs the extra ``peers``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.records import store
from bench.records.results import Results
from bench.running.child import Say, serve, telling
from bench.running.executor import Executor, Job, Local
from bench.running.training import from_json, to_json
from bench.speed import throughput, throughput_table, timing
from bench.speed.throughput_table import OURS
from bench.suites import Suite
from lungseg import csv_file, runtime
from lungseg.errors import EnvironmentFailure, UsageError

RATES = {  # what is divided -> by what
    "train": "train_images_per_second",
    "epochs": "train_images_per_second",
    "inference": "inference_images_per_second",
}
COLUMNS = (
    "peer", "precision", "width", "batch", "threads", "train_images_per_second", "inference_images_per_second",
    "our_train_images_per_second", "our_epochs_images_per_second", "our_inference_images_per_second",
    "train_ratio", "epochs_ratio", "inference_ratio", "our_backend", "device", "versions", "measured", "note",
    "our_steady_state", "our_contended", "steady_state", "contended",
)  # fmt: skip
SMOOTH = 1.0  # pixel, as lungseg.losses


@dataclass(frozen=True)
class PeerTiming:
    """One configuration to measure. size: (height, width) pixels. precision: ``float32`` or ``bfloat16``."""

    width: int
    batch: int
    size: tuple[int, int]
    precision: str
    compiled: bool
    threads: int
    budget_s: float | None


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
    one, failures = replace(suite, architectures=("unet",)), list[str]()
    height, width = suite.size
    path = results.throughput("peers", f"{machine.device_kind()}.{height}x{width}.csv")
    rows = csv_file.read(path)[1] if path.exists() else []
    for precision, ours in wanted.items():
        rows = [row for row in rows if row["precision"] != precision]
        measured = throughput.measure(
            replace(one, precision=ours), results, say, budget_s, executor=executor, determinism=False
        )
        failures += measured.failures
        batch = str(suite.recipe_of(suite.recipe).batch_size)
        ours_of = ("unet", str(suite.width_of("unet")), batch, str(suite.threads))
        by_key = {tuple(row[k] for k in throughput_table.KEY): row for row in throughput_table.read(measured.path)}
        local = by_key.get(ours_of, {})
        for compiled in (False, True):
            name = f"torch, {'compiled' if compiled else 'eager'}, channels last"
            job = PeerTiming(
                suite.width_of("unet"), int(batch), suite.size, precision, compiled, suite.threads, budget_s
            )
            log = results.log(suite.name, "peers", f"{precision}-{compiled}.log.txt")
            requested = Job("bench.speed.peers", to_json(job), suite.threads, log, suite.timeout_s, deterministic=False)
            result, failed = throughput.run(requested, say, executor, name)
            why = "" if result else throughput.why(failed)
            if why:
                failures.append(f"{name}, {precision}: {why}")
            rows.append(_row(name, job, local, result or {}, why))
            store.write_text(path, csv_file.text(COLUMNS, rows))  # at once: what follows may be cut off
            say(_sentence(rows[-1]))
    return path, failures


def _row(name: str, job: PeerTiming, local: Mapping[str, str], result: Mapping[str, Any], why: str) -> dict[str, str]:
    values: dict[str, Any] = {
        "peer": name, "precision": job.precision, "width": job.width, "batch": job.batch, "threads": job.threads,
        "our_backend": runtime.backend_name(), "measured": datetime.now(UTC).date().isoformat(), "note": why,
        **{key: result.get(key) for key in ("device", "versions", "steady_state", "contended", *RATES.values())},
        **{f"our_{key}": local.get(key) for key in ("steady_state", "contended")},
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


def unet(width: int) -> Any:
    """Two convolutions a level, four levels, each followed by normalisation; (B, 1, H, W) to logits of that shape."""
    from torch import cat, nn

    def block(channels: int, filters: int) -> Any:
        layers: list[Any] = []
        for given in (channels, filters):
            layers += [nn.Conv2d(given, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(True)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            levels = [width * 2**level for level in range(5)]
            self.down = nn.ModuleList(block(given, made) for given, made in zip([1, *levels[:-1]], levels, strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * made, made, 2, 2) for made in levels[:-1])
            self.join = nn.ModuleList(block(2 * made, made) for made in levels[:-1])
            self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(width, 1, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for level in self.down[:-1]:
                skips.append(level(x))
                x = self.pool(skips[-1])
            x = self.down[-1](x)
            for up, join, skip in zip(reversed(self.up), reversed(self.join), reversed(skips), strict=True):
                x = join(cat([skip, up(x)], 1))
            return self.head(x)

    return UNet()


def measure_torch(job: PeerTiming, say: Say) -> dict[str, Any]:
    """Images a second of training and inference on random data on the device, and what it was measured with."""
    import torch

    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32 on a card, nothing on a CPU
    torch.backends.cudnn.allow_tf32 = True
    model = unet(job.width).to(device, memory_format=torch.channels_last)
    run = torch.compile(model) if job.compiled else model
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    shape = (job.batch, 1, *job.size)
    images = torch.rand(shape, device=device).to(memory_format=torch.channels_last)
    target = (torch.rand(shape, device=device) < 0.3).float()

    def within() -> AbstractContextManager[Any]:
        half = job.precision == "bfloat16"
        return torch.autocast(device, torch.bfloat16) if half else nullcontext()

    def train() -> float:
        adam.zero_grad(set_to_none=True)
        with within():
            logits = run(images)
        prediction = torch.sigmoid(logits.float())
        both, total = (prediction * target).sum((1, 2, 3)), (prediction + target).sum((1, 2, 3))
        loss = (1 - (2 * both + SMOOTH) / (total + SMOOTH)).mean()
        loss.backward()
        adam.step()
        return float(loss.item())  # waits for the step, as ours does

    def infer() -> Any:
        with torch.inference_mode(), within():
            return torch.sigmoid(run(images).float()).cpu().numpy()  # as ours: probabilities in memory

    result: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters() if p.requires_grad)}
    measured = []
    schedule = timing.schedule(job.budget_s, device)
    for mode, step in (("train", train), ("inference", infer)):
        model.train(mode == "train")
        step()
        measured.append(timing.measure(step, lambda: None, schedule))
        result[f"{mode}_images_per_second"] = measured[-1].rate * job.batch
        say({"event": "measured", "text": f"{mode} {result[f'{mode}_images_per_second']:.4g} images/s"})
    name = torch.cuda.get_device_name(0) if device == "cuda" else "cpu"
    result["steady_state"] = all(one.steady_state for one in measured)
    result["contended"] = any(one.contended for one in measured)
    return {**result, "device": name, "versions": f"torch {torch.__version__}"}


work = telling(lambda payload, say: say({"event": "row", "row": measure_torch(from_json(PeerTiming, payload), say)}))


if __name__ == "__main__":
    sys.exit(serve(work))
