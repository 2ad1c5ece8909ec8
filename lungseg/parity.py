"""Compares exported networks with Keras: each form runs in its own runtime, on the same images.

A form is judged by how far it is from the network, in either direction: its mean change of Dice on the images measured
must not be larger than its limit, as measured, neither rounded first nor excused where it is a gain. A network that
masks other pixels is another network, and what it wins on these images it may lose on others. The interval tells how
sure the change is for other images of this kind; it decides nothing, because it would let a form pass, or fail, by
how few images it was tried on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungseg import metrics, runtime
from lungseg.errors import LungsegError
from lungseg.evaluation import Network, summary
from lungseg.exporting import SAVED_MODEL, Files, require
from lungseg.intervals import words

RUNS = 25  # of one image, whose times are told


class ParityError(LungsegError):
    """The predictions of an exported form differ too much from those of its network."""

    exit_code = 1


@dataclass(frozen=True)
class Limit:
    """The most that a form may differ by: in a pixel's probability, in flipped pixels, in mean Dice, lost or won.
    None: any."""

    probability: float | None = None
    flipped: int | None = None
    dice: float | None = None


EXACT = Limit(probability=1e-4, flipped=0)
LIMITS = {
    "onnx": EXACT,
    "litert-float32": EXACT,
    "litert-float16": Limit(dice=1e-4),
    "litert-weights-int8": Limit(dice=5e-4),
    "litert-int8": Limit(dice=3e-3),
    "saved-model": EXACT,
}


@dataclass(frozen=True)
class Parity:
    """How one form compares. probability: largest difference of any pixel. flipped: pixels of pixels whose side of the
    threshold changed. dice: summary of the change of Dice an image (``evaluation.summary``), worst its largest loss;
    None without masks. p50_ms, p95_ms: of one image."""

    form: str
    runtime: str
    size: int
    probability: float
    flipped: int
    pixels: int
    dice: Mapping[str, Any] | None
    worst: float | None
    p50_ms: float
    p95_ms: float

    @property
    def broken(self) -> list[str]:
        """The limits that it does not keep, in words."""
        limit, dice = LIMITS[self.form], self.dice["value"] if self.dice else 0.0
        rules = [
            ("probability differs by", self.probability, limit.probability),
            ("flipped pixels are", self.flipped, limit.flipped),
            ("mean Dice falls by" if dice < 0 else "mean Dice rises by", abs(dice), limit.dice),
        ]
        return [f"{self.form}: {what} {value:.3g}, {most:g} is accepted" for what, value, most in rules
                if most is not None and not value <= most]  # fmt: skip


def started(form: str, files: Files, threads: int = 1) -> tuple[str, Network]:
    """The form's own runtime, named with its version, ready to run: images float32 (N, h, w) to probabilities."""
    if form == "saved-model":
        return _saved_model(files)
    (data,) = files.values()
    return _onnx(data, threads) if form == "onnx" else _litert(data, threads)


def _saved_model(files: Files) -> tuple[str, Network]:
    version, serve = runtime.served({name.removeprefix(f"{SAVED_MODEL}/"): data for name, data in files.items()})
    return f"TensorFlow {version}", lambda images: serve(np.asarray(images, np.float32)[..., None])[..., 0]


def _onnx(data: bytes, threads: int) -> tuple[str, Network]:
    require("onnxruntime")
    from lungseg import engine

    version, session = engine.session(data, threads)
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    return f"ONNX Runtime {version}", lambda images: np.asarray(
        session.run([target.name], {source.name: np.asarray(images, np.float32)[..., None]})[0]
    )[..., 0]


def _litert(data: bytes, threads: int) -> tuple[str, Network]:
    require("ai_edge_litert")
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=threads)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def one(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], np.asarray(image, np.float32)[None, ..., None])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"]))[0, ..., 0]

    return f"LiteRT {version('ai-edge-litert')}", lambda images: np.stack([one(image) for image in images])


def compare(
    form: str, files: Files, expected: np.ndarray, images: np.ndarray, threshold: float,
    masks: np.ndarray | None = None, patients: Sequence[str] = (), threads: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Parity:  # fmt: skip
    """Run a form's files on images float32 (N, h, w) and compare with the probabilities that Keras gave.

    masks: bool (N, h, w), with the patient of each, for the change of Dice. Raises EnvironmentFailure where the form's
    runtime is not installed; whatever the runtime raises for a file that it cannot run becomes ParityError.
    """
    try:
        name, network = started(form, files, threads)
        result = np.concatenate([network(images[k : k + 1]) for k in range(len(images))])
    except LungsegError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ParityError(f"{form}: was written, but cannot run ({why})") from error
    times = []
    for k in range(RUNS):
        began = clock()
        network(images[k % len(images)][None])
        times.append(1e3 * (clock() - began))
    was, now = expected >= threshold, result >= threshold
    change = None if masks is None else _dice(now, masks) - _dice(was, masks)
    return Parity(
        form, name, sum(map(len, files.values())),
        float(np.abs(result - expected).max()), int((was != now).sum()), was.size,
        None if change is None else summary(change.tolist(), patients),
        None if change is None else float(max(0.0, -change.min())),
        float(np.percentile(times, 50)), float(np.percentile(times, 95)),
    )  # fmt: skip


def _dice(result: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Dice of each image; 1 where both are empty."""
    return np.array([metrics.dice(mask, prediction) for mask, prediction in zip(masks, result, strict=True)])


def table(rows: Sequence[Parity]) -> str:
    """The rows as lines of aligned columns."""
    head = ("form", "runtime", "KB", "largest dp", "pixels flipped", "change of Dice [95 %]", "worst", "ms p50/p95")
    lines = [head, *(_line(row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _line(row: Parity) -> tuple[str, ...]:
    dice = row.dice
    change = f"{dice['value']:+.6f} {words(dice, '+.6f')}" if dice else "-"
    worst = "-" if row.worst is None else f"{-row.worst:+.4f}"
    return (
        row.form, row.runtime, f"{row.size / 1e3:.0f}", f"{row.probability:.1e}", f"{row.flipped} of {row.pixels}",
        change, worst, f"{row.p50_ms:.1f}/{row.p95_ms:.1f}",
    )  # fmt: skip
