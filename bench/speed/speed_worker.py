"""Measures one architecture in a fresh process: the child's side of ``bench.speed.throughput``."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

import lungseg
from bench import machine
from bench.running.child import Say, serve, telling
from bench.running.training import from_json
from bench.speed import throughput_table, timing
from bench.speed.throughput_table import ThroughputRow
from lungseg import runtime
from lungseg.errors import LungsegError, UsageError
from lungseg.prepare import Prepared
from lungseg.recipes import Recipe
from lungseg.splits import Fold

TRAINING = 3  # forward and backward pass cost as much as three forward passes
FLOP = 2  # of a multiply-accumulate
LUNG = 0.3  # share of random ground truth that is lung
TRAIN, VALIDATION = 96, 14  # images of the source protocol's folds
EPOCHS = 50  # at most, of the source protocol
CPU_PRODUCT = (2048, 1)  # side of the square matrices whose product tells the limit, products in a row
ACCELERATOR_PRODUCT = (8192, 10)  # enough that waiting for the last costs nothing
XLA_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True)
class CellTiming:
    """What one process measures. size: (height, width) pixels. budget_s: None for the whole protocol.

    recipe: in its precision and batch size. deterministic: training alone, with operations that give the same bits each
    time.
    """

    architecture: str
    width: int
    size: tuple[int, int]
    recipe: Recipe
    threads: int
    device_kind: str
    budget_s: float | None
    deterministic: bool = False


class MeasurementError(LungsegError):
    """A measurement contradicts itself, so its numbers are not written."""


def row_of(job: CellTiming, say: Say) -> ThroughputRow:
    """Measure in this process, which must be fresh. Raises MeasurementError where a check fails."""
    recipe = job.recipe
    device = runtime.init_backend(0, job.threads, deterministic=job.deterministic, lean=True)
    if device.kind != job.device_kind:
        raise UsageError(f"this machine has {job.device_kind}, but {runtime.backend_name()} runs on {device.kind}")
    from lungseg import complexity

    on_cpu = device.kind == "cpu"
    model = _model(job)
    compute_type = computed_in(model, recipe.precision)
    train, infer, synchronise = _steps(model, (recipe.batch_size, *job.size, 1))
    schedule = timing.schedule(job.budget_s, device.kind)
    gmacs = complexity.gmacs(model)

    began = time.perf_counter()
    train()
    compile_seconds = time.perf_counter() - began
    stage = "deterministic training" if job.deterministic else "training"
    counted = Counted(train)
    before = joules()
    trained = _measured(stage, counted, synchronise, schedule, recipe.batch_size, say)
    spent = joules_per_image(before, joules(), counted.steps * recipe.batch_size)
    rate = trained.rate * recipe.batch_size
    if job.deterministic:
        return {
            "deterministic_train_images_per_second": throughput_table.formatted(rate),
            "deterministic_epochs_images_per_second": throughput_table.formatted(_epochs(stage, model, job, rate, say)),
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if on_cpu else None  # of host memory
    infer()
    inferred = _measured("inference", infer, synchronise, schedule, recipe.batch_size, say)
    limit = peak_gflops(compute_type, *(CPU_PRODUCT if on_cpu else ACCELERATOR_PRODUCT), schedule)

    epochs = _epochs(stage, model, job, rate, say)  # last: it compiles the model again

    numbers: dict[str, float] = {}
    for mode, result, cost in (("train", trained, TRAINING), ("inference", inferred, 1)):
        of_mode = timing.quantities(result, recipe.batch_size, cost * FLOP * gmacs)
        of_mode["fraction_of_peak"] = of_mode["gflops"] / limit
        numbers |= {f"{mode}_{name}": value for name, value in of_mode.items()}
    steady_state = trained.steady_state and inferred.steady_state
    return throughput_table.new_row({
        "architecture": job.architecture, "width": job.width, "batch": recipe.batch_size, "threads": job.threads,
        "parameters": complexity.parameters(model), "gmacs": gmacs, **numbers, "compile_seconds": compile_seconds,
        "peak_memory_bytes": peak, "peak_gflops": limit, "contended": trained.contended or inferred.contended,
        "epochs_images_per_second": epochs, "joules_per_image": spent,
        "background_load": timing.worst_others((trained, inferred)), "steady_state": steady_state,
        "device": machine.cpu_name() if on_cpu else device.name, "precision": recipe.precision,
        "note": note(numbers, steady_state, min(trained.accounted, inferred.accounted)),
        **_provenance(),
    })  # fmt: skip


def note(numbers: Mapping[str, float], steady_state: bool, accounted: float) -> str:
    """Caveats of a row's measurement, empty if there are none.

    accounted: share of the time that lies within steps.
    """
    over = [f"{name} {value:.2f}" for name, value in numbers.items() if name.endswith("fraction_of_peak") and value > 1]
    parts = [f"{', '.join(over)}: fewer operations than counted (Winograd), or a disturbed limit"] if over else []
    if accounted < timing.ACCOUNTED:
        parts.append(f"steps account for {accounted:.0%} of the time, so latencies are too low")
    return "; ".join(parts if steady_state else [*parts, "the warm-up did not reach a steady state"])


@dataclass
class Counted:
    """A step that counts its calls."""

    step: timing.Step
    steps: int = 0

    def __call__(self) -> object:
        """Take it."""
        self.steps += 1
        return self.step()


def joules_per_image(before: float | None, after: float | None, images: int) -> float | None:
    """Joules an image between two readings, None where the driver tells none."""
    return None if before is None or after is None else (after - before) / images


def _epochs(stage: str, model: Any, job: CellTiming, rate: float, say: Say) -> float:
    """Images a second of a complete training as a cell's is, on random images: median over the epochs after the first,
    which compiles; validation counts in the time and not in the images.

    rate: of a step alone, images a second.
    """
    from lungseg import training

    n, epochs = amount(job.recipe.batch_size, rate, job.budget_s)
    shortened = replace(job.recipe, epochs=epochs, early_stopping_patience=epochs, warmup_epochs=0, ema_decay=0.0)
    trained = training.fit(model, *made_up(n, max(1, n * VALIDATION // TRAIN), job.size), shortened, seed=0)
    result = n / float(np.median(trained.history["seconds"][1:]))
    say({"event": "measured", "text": f"{stage}, epochs after the first {result:.4g} images/s"})
    return result


def amount(batch: int, rate: float, budget_s: float | None) -> tuple[int, int]:
    """Images and epochs that fit in about ``budget_s`` seconds; None takes the source protocol's. Fewer images than
    there, never less than two batches, where even three epochs of them would not fit."""
    least = 2 * batch
    if budget_s is None:
        return max(TRAIN, least), 5 if rate < TRAIN else EPOCHS
    n = int(np.clip(rate * budget_s / 3 // batch * batch, least, max(TRAIN, least)))
    return n, int(np.clip(rate * budget_s / n, 3, EPOCHS))


def made_up(train: int, validation: int, size: tuple[int, int]) -> tuple[Prepared, Fold]:
    """Random images and masks, and the fold that trains on them."""
    rng, n = np.random.default_rng(0), train + validation
    ids = tuple(f"{k:05d}" for k in range(n))
    images = rng.random((n, *size), np.float32)
    masks = rng.random((n, *size), np.float32) < LUNG
    data = Prepared(ids, ids, images, masks, (None,) * n, "made up", "made up")
    return data, Fold(ids[:train], ids[train:], ())


def _provenance() -> dict[str, Any]:
    source, jit = machine.source(), runtime.jit_compile()
    return {
        "jit": jit,
        "deterministic": jit and XLA_DETERMINISTIC in os.environ.get("XLA_FLAGS", ""),  # the user's own
        "versions": runtime.versions_spelled(),
        "commit": (source["commit"] or "")[:12] + ("-dirty" if source["dirty"] else ""),
        "measured": datetime.now(UTC).date().isoformat(),
    }


def _model(job: CellTiming) -> Any:
    from lungseg import losses, training
    from lungseg.architectures.blocks import LayerFactory

    recipe = job.recipe
    layers = LayerFactory(momentum=recipe.batch_norm_momentum, dtype=recipe.precision)
    model = lungseg.build(job.architecture, (*job.size, 1), job.width, layers)
    model.compile(training.optimizer(recipe, steps=1), losses.LOSSES[recipe.loss], jit_compile=runtime.jit_compile())
    model.optimizer.build(model.trainable_variables)  # before the first step, which would trace twice otherwise
    return model


def _steps(model: Any, shape: tuple[int, ...]) -> tuple[timing.Step, timing.Step, timing.Step]:
    """One training step, one inference step, and a wait for both, on random inputs (B, H, W, 1) in memory."""
    import keras

    rng = np.random.default_rng(0)
    images = keras.ops.convert_to_tensor(rng.random(shape, np.float32))
    target = keras.ops.convert_to_tensor((rng.random(shape) < LUNG).astype(np.float32))
    return (
        lambda: model.train_on_batch(images, target),  # gives the loss as a float, so it waits for the step
        lambda: model.predict_on_batch(images),  # gives a NumPy array, so it waits, too
        lambda: keras.ops.convert_to_numpy(model.trainable_variables[-1]),
    )


def _measured(
    stage: str, step: timing.Step, synchronise: timing.Step, schedule: timing.TimingSchedule, batch: int, say: Say
) -> timing.Timing:
    result = timing.measure(step, synchronise, schedule)
    if result.accounted < timing.ASYNCHRONOUS:
        raise MeasurementError(
            f"{stage}: only {result.accounted:.0%} of the time lies within steps: they return before their work is done"
        )
    warnings = [
        text
        for text, so in (("no steady state", not result.steady_state), ("machine contended", result.contended))
        if so
    ]
    text = ", ".join([f"{stage} {result.rate * batch:.4g} images/s", *warnings])
    say({"event": "measured", "text": text})
    return result


def computed_in(model: Any, precision: str) -> str:
    """The type that the model's convolutions compute in. Raises MeasurementError if it is not the policy's."""
    import keras

    wanted = str(keras.DTypePolicy(precision).compute_dtype)
    result = {layer.compute_dtype for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    if wanted not in result or not result <= {wanted, "float32"}:  # a head may stay in float32
        raise MeasurementError(f"{precision} computes in {wanted}, but the convolutions in {', '.join(sorted(result))}")
    return wanted


def peak_gflops(compute_type: str, side: int, count: int, schedule: timing.TimingSchedule) -> float:
    """10^9 floating-point operations a second of large square matrix products: the best of the repeats.

    Each of the ``count`` products of a step depends on the one before, so that reading the last waits for all;
    a step that did not wait would queue products for as long as a window lasts, and run them for minutes.
    """
    import keras

    rng = np.random.default_rng(0)
    factor = keras.ops.cast(rng.normal(0, side**-0.5, (side, side)).astype(np.float32), compute_type)
    product = keras.ops.cast(rng.random((side, side), np.float32), compute_type)

    def multiply() -> object:
        nonlocal product
        for _ in range(count):
            product = keras.ops.matmul(factor, product)  # factor is scaled so that the product keeps its size
        return keras.ops.convert_to_numpy(keras.ops.cast(product[0, 0], "float32"))  # NumPy has no bfloat16

    short = timing.TimingSchedule(schedule.warm_up_s / 2, schedule.window_s / 2, max(2, schedule.window_steps // 5))
    result = timing.measure(multiply, lambda: None, short)
    return FLOP * count * side**3 * max(window.rate for window in result.windows) / 1e9


def joules() -> float | None:
    """Energy in joules that the first visible NVIDIA card has used since its driver was loaded; None if unknown.

    Everything that runs on the card counts, so two readings tell what was between them only where nothing else ran.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        handle = (
            pynvml.nvmlDeviceGetHandleByIndex(int(visible))
            if visible.isdecimal()
            else pynvml.nvmlDeviceGetHandleByUUID(visible)
        )
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except pynvml.NVMLError:  # no card, or one too old to tell
        return None


work = telling(lambda payload, say: say({"event": "row", "row": row_of(from_json(CellTiming, payload), say)}))


if __name__ == "__main__":
    sys.exit(serve(work))
