"""Which architecture exports to what, and why not; and what a form costs trained networks: the page results/export.

``python tests/export_table.py [NAME ...]`` measures all architectures, or some, and writes the page; half an hour of
processor time, TensorFlow and the extra ``export``. ``--page`` writes the page from the records alone. The record of a
trained network is the ``parity.json`` that ``lungseg export MODEL OUT --forms all`` wrote, in ``trained/``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "results" / "export"
PAGE, MEASURED, TRAINED = FOLDER / "README.md", FOLDER / "architectures.json", FOLDER / "trained"
SIDE, WIDTH, IMAGES, CALLS = 64, 16, 8, 6
SPREAD = 1e-3  # standard deviation of probabilities, less of which any two forms would share
FORMS = ("onnx", "litert-float32", "litert-float16", "litert-weights-int8", "litert-int8", "saved-model")
EXACT = ("onnx", "litert-float32", "saved-model")


def calibrated(name: str) -> tuple[Any, Any]:
    """A network whose normalisation has seen its images, and those images float32 (N, h, w).

    As it was initialised, its statistics would blow logits up until every probability saturates and all forms agree.
    """
    import keras
    import numpy as np

    import lungseg
    from lungseg.architectures.blocks import LayerFactory
    from lungseg.datasets import phantom

    keras.utils.set_random_seed(0)
    images = np.stack([np.asarray(phantom.thorax(k, (SIDE, SIDE)).image, np.float32) for k in range(IMAGES)])
    model = lungseg.build(name, (SIDE, SIDE, 1), WIDTH, LayerFactory(momentum=0.1))
    for _ in range(CALLS):  # statistics of a layer settle once those of the layers before have
        model(images[..., None], training=True)
    return model, images


def measured(name: str, forms: Sequence[str] = FORMS) -> dict[str, Any]:
    """Of each form the largest change of any probability, or in one line why there is none; and how far the
    probabilities spread."""
    import keras
    import numpy as np

    from lungseg import exporting, parity
    from lungseg.errors import EnvironmentFailure

    model, images = calibrated(name)
    expected = np.asarray(model.predict_on_batch(images[..., None]))[..., 0]
    result: dict[str, Any] = {"spread": float(expected.std()), "parameters": model.count_params()}
    for form in forms:
        try:
            row = parity.compare(form, exporting.FORMS[form](model, images), expected, images, 0.5)
        except EnvironmentFailure:  # a package that is missing is no property of the network
            raise
        except Exception as error:  # whatever a converter or a runtime raises is its answer
            result[form] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        else:
            result[form] = row.probability
    keras.utils.clear_session()
    return result


def measure(names: Sequence[str]) -> None:
    """Measure these architectures and keep what was known of the others."""
    import lungseg

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or list(lungseg.ARCHITECTURES):
        result = measured(name)
        print(name, result, flush=True)
        known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
        known[name] = result
        text = json.dumps({name: known[name] for name in lungseg.ARCHITECTURES if name in known}, indent=1)
        MEASURED.write_text(text + "\n", encoding="utf-8")


def details(form: str, value: float | str, limit: float) -> str:
    """``2.1e-06``, bold where that is too much for a float32 form; ``no`` where there is none."""
    if isinstance(value, str):
        return "no"
    return f"**{value:.1e}**" if form in EXACT and value > limit else f"{value:.1e}"


def reachable(result: Mapping[str, Mapping[str, Any]], limit: float) -> str:
    """The table of all architectures, and below it why a form is missing."""
    from bench.markdown import code, table

    rows = [
        [f"{name} ({values['spread']:.2g})", *(details(form, values[form], limit) for form in FORMS)]
        for name, values in result.items()
    ]
    reasons = [
        f"* {name}, {form}: {code(values[form])}"
        for name, values in result.items()
        for form in FORMS
        if isinstance(values[form], str)
    ]
    why = "\n".join(reasons) or "Every architecture has every form."
    return f"{table(['Architecture', *FORMS], rows)}\n\n{why}"


def costs(record: Mapping[str, Any]) -> str:
    """One trained network's table of parity."""
    from bench.markdown import escape, paragraph, table, unbroken

    rows = []
    for form in record["forms"]:
        dice = form["dice"]
        change = f"{dice['value']:+.6f} [{dice['low']:+.6f}, {dice['high']:+.6f}]"
        rows.append([
            unbroken(form["form"]), f"{form['size'] / 1e3:,.0f}", f"{form['probability']:.1e}", f"{form['flipped']:,}",
            unbroken(change), f"{0 - form['worst']:+.4f}", "refused" if form["broken"] else "kept",
        ])  # fmt: skip
    head = ["Form", "KB", "Largest dp", "Pixels flipped", "Change in mean Dice [95 %]", "Worst image", "Verdict"]
    runtimes = ", ".join(dict.fromkeys(form["runtime"] for form in record["forms"]))
    first, (height, width) = record["forms"][0], record["size"]
    about = (
        f"Width {record['width']}, {record['parameters']:,} weights, trained on {escape(record['train_set'])} by "
        f"{escape(record['training_backend'])}. On all {first['dice']['images']} images of {escape(record['data'])} at "
        f"{height} x {width} px, {first['pixels']:,} pixels, by {escape(runtimes)}. Means are over "
        f"{first['dice'].get('over', 'images')}. Times per image are in the record "
        "only, because other work ran on that machine."
    )
    parts = [f"### {escape(record['model'])} ({record['architecture']})", paragraph(about), table(head, rows)]
    if record["failures"]:
        parts.append("\n".join(paragraph(f"Refused: {escape(one)}.", "* ") for one in record["failures"]))
    return "\n\n".join(parts)


def page() -> str:
    """The page of what is recorded."""
    from bench.markdown import paragraph
    from lungseg.exporting import KEPT
    from lungseg.parity import LIMITS

    result = json.loads(MEASURED.read_text(encoding="utf-8"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(TRAINED.glob("*.json"))]
    exact, half = LIMITS["onnx"], LIMITS["litert-float16"]
    small, full = LIMITS["litert-weights-int8"], LIMITS["litert-int8"]
    rule = (
        f"The rule: a float32 form may change no probability by more than {exact.probability:g} and may flip "
        f"{exact.flipped} pixels. Mean Dice may rise or fall by at most {half.dice:g} in float16, {small.dice:g} with "
        f"8-bit weights and {full.dice:g} in full int8. The change measured on these images is judged without "
        "rounding. A gain also counts against a form: a form that masks other pixels is another network and may lose "
        "on other images what it gains on these. The interval over patients is reported but does not decide, because a "
        "form would then pass or fail by the number of images it was tested on. (For a while only a loss failed a "
        "form. That rule was made after LW-Net's float16 file had gained 0.000104, so it was withdrawn.)"
    )
    every = (
        f"The table shows the largest change in a probability of each form that was written and ran, at {SIDE} x "
        f"{SIDE} px and width {WIDTH}, on {IMAGES} phantoms. Weights are as initialised; normalisation is calibrated "
        "on the images. In brackets after a name: the standard deviation of its probabilities; without spread, "
        "agreement means nothing. No: the form cannot be written or run. Bold: a float32 form beyond "
        f"{exact.probability:g}. Only trained networks show what a reduced form costs."
    )
    parts = [
        "<!-- Written by `python tests/export_table.py`; edits are lost. -->",
        "# What an export costs",
        paragraph(
            "`lungseg export MODEL OUT --forms all --data shenzhen ROOT` writes each form, runs it in its own "
            "runtime on labelled images, compares it with Keras and keeps it only within the limits below. dp is the "
            "change in a pixel's probability."
        ),
        paragraph(rule),
        paragraph(
            "float16 and weights-int8 round only the weights, to 16 bits or to 8 bits with one scale per channel, and "
            f"compute in float32. All biases and the smallest weight tensors, together about {KEPT:.0%} of a network, "
            "stay float32. They belong to the layers next to the image and next to the probability. These layers touch "
            "every pixel, and their sums are too short to average out rounding. TensorFlow's converter rounds them "
            "too. This flips 4 to 25 times as many pixels in float16, and it put LW-Net's float16 file and U-Net's "
            "weights-int8 file beyond their limits (changes in mean Dice of 0.000104 and 0.000563). The share kept was "
            "chosen on lwnet-128, m2unet-128 and montgomery-64-unet. unet-128 was trained afterwards, so its table "
            "tests that choice."
        ),
        "## Trained networks",
        *map(costs, records),
        "## Every architecture",
        paragraph(every),
        reachable(result, exact.probability),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--page"]:
        measure(sys.argv[1:])
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
