"""``lungseg export``: writes a model in other forms, each compared with Keras in its own runtime first."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lungseg import runtime, terminal
from lungseg.terminal import plain, tell, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from lungseg.model_folder import ModelFolder
    from lungseg.parity import Parity

FORMS = ("onnx", "litert-float32", "litert-float16", "litert-weights-int8", "litert-int8", "saved-model")
USUAL = FORMS[:4]
PHANTOMS = 16
CALIBRATION = 60


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "export",
        help="export a model as ONNX, LiteRT or SavedModel, and compare each file with Keras",
        description="Export a model as ONNX, LiteRT or SavedModel, run each file in its own runtime and print how far "
        "its predictions differ from Keras. A form that differs by more than its limit is not written, and the exit "
        "code is 1. Export always runs on TensorFlow, whatever backend trained the model.",
    )
    parser.add_argument("model", help="model folder with weights, or name of a shipped model; an exported "
                        "model.onnx is also added to a folder of your own")  # fmt: skip
    parser.add_argument("out", type=terminal.path, help="output folder")
    parser.add_argument("--forms", default=",".join(USUAL),
                        help=f"all, or a comma-separated part of {', '.join(FORMS)} (default: first four)")  # fmt: skip
    parser.add_argument("--data", nargs=2, metavar=("DATASET", "ROOT"),
                        help=f"labelled images to compare on (default: {PHANTOMS} synthetic ones)")  # fmt: skip
    parser.add_argument("--images", type=whole(1), help="use at most IMAGES images for the comparison")
    terminal.add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write, run, compare; print the table."""
    from lungseg.errors import UsageError

    forms = list(FORMS) if arguments.forms == "all" else [form.strip() for form in arguments.forms.split(",")]
    if unknown := [form for form in forms if form not in FORMS]:
        raise UsageError(f"--forms {unknown[0]!r}: known are {', '.join(FORMS)}")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the only one that all forms are written from
    runtime.set_up(arguments.threads)
    from lungseg import exporting, model_folder

    model = model_folder.find(arguments.model)
    if model.weights is None:
        raise UsageError(f"{model.path}: has no weights, only {model_folder.ONNX}, which runs as it is")
    runtime.check_backend()
    exporting.require(*dict.fromkeys(package for form in forms for package in exporting.NEEDS[form]))
    from lungseg import atomic, engine, parity

    pictures, masks, patients = _images(arguments, model.card.size)
    expected = engine.start(model, "keras", arguments.threads)(pictures)
    network = model_folder.build(model)
    rows, failures = [], list[str]()
    for form in forms:
        tell(f"{form}: exporting")
        files = exporting.FORMS[form](network, pictures[:CALIBRATION])
        try:
            row = parity.compare(
                form, files, expected, pictures, model.card.threshold, masks, patients, arguments.threads
            )
        except parity.ParityError as error:
            failures.append(str(error))
            continue
        rows.append(row)
        failures += row.broken
        if row.broken:
            continue
        for name, data in files.items():
            atomic.write_bytes(arguments.out / name, data)
        if form == "onnx" and arguments.model not in model_folder.shipped():  # the package stays as it is installed
            model = model_folder.update(model, onnx=files["model.onnx"])
    record = _record(arguments, model, rows, failures)
    atomic.write_bytes(arguments.out / "parity.json", (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    print(plain(f"{len(pictures)} images of {arguments.data[0] if arguments.data else 'phantom'}, {model.card.size}"))
    print(parity.table(rows))
    if failures:
        raise parity.ParityError("; ".join(failures))
    return 0


def _record(
    arguments: argparse.Namespace, model: ModelFolder, rows: Sequence[Parity], failures: Sequence[str]
) -> dict[str, Any]:
    """What ``parity.json`` holds: the model, the images, the machine, and each form."""
    card = model.card
    return {
        "model": card.name,
        "architecture": card.architecture,
        "width": card.width,
        "size": list(card.size),
        "parameters": card.parameters,
        "train_set": card.data.get("set", ""),
        "training_backend": card.training.get("backend", ""),
        "weights_sha256": card.weights_sha256,
        "threshold": card.threshold,
        "data": arguments.data[0] if arguments.data else "phantom",
        "threads": arguments.threads,
        "machine": platform.machine(),
        "versions": runtime.versions(),
        "forms": [{**asdict(row), "broken": row.broken} for row in rows],
        "failures": list(failures),
    }


def _images(arguments: argparse.Namespace, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images float32 (N, h, w), masks bool (N, h, w) and patients."""
    import numpy as np

    from lungseg import images
    from lungseg.case_files import depth_of, read_case
    from lungseg.datasets import load, phantom

    if arguments.data is None:
        drawn = [phantom.thorax(seed, size) for seed in range(min(arguments.images or PHANTOMS, PHANTOMS))]
        pictures = np.stack([np.asarray(one.image, np.float32) for one in drawn])
        return pictures, np.stack([one.left | one.right for one in drawn]), [str(k) for k in range(len(drawn))]
    cases = load(arguments.data[0], arguments.data[1])[: arguments.images]
    bits = depth_of(cases)
    read = [read_case(case, bits) for case in cases]
    return (
        np.stack([images.resize_image(image, size) for image, _ in read]),
        np.stack([images.resize_mask(mask, size) for _, mask in read]),
        [case.patient for case in cases],
    )
