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
    from lungseg.architectures.blocks import Style
    from lungseg.datasets import phantom

    keras.utils.set_random_seed(0)
    images = np.stack([np.asarray(phantom.thorax(k, (SIDE, SIDE)).image, np.float32) for k in range(IMAGES)])
    model = lungseg.build(name, (SIDE, SIDE, 1), WIDTH, Style(momentum=0.1))
    for _ in range(CALLS):  # statistics of a layer settle once those of the layers before have
        model(images[..., None], training=True)
    return model, images


def measured(name: str, forms: Sequence[str] = FORMS) -> dict[str, Any]:
    """Of each form the largest change of any probability, or in one line why there is none; and how far the
    probabilities spread."""
    import keras
    import numpy as np

    from lungseg import exporting, parity

    model, images = calibrated(name)
    expected = np.asarray(model.predict_on_batch(images[..., None]))[..., 0]
    found: dict[str, Any] = {"spread": float(expected.std()), "parameters": model.count_params()}
    for form in forms:
        try:
            row = parity.compare(form, exporting.FORMS[form](model, images), expected, images, 0.5)
        except Exception as error:  # whatever a converter or a runtime raises is its answer
            found[form] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        else:
            found[form] = row.probability
    keras.utils.clear_session()
    return found


def measure(names: Sequence[str]) -> None:
    """Measure these architectures and keep what was known of the others."""
    import lungseg

    known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    for name in names or list(lungseg.ARCHITECTURES):
        known[name] = measured(name)
        print(name, known[name], flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: known[name] for name in lungseg.ARCHITECTURES if name in known}, indent=1)
        MEASURED.write_text(text + "\n", encoding="utf-8")


def told(form: str, value: float | str, limit: float) -> str:
    """``yes, 2e-06``, or what is wrong."""
    if isinstance(value, str):
        return "no"
    return f"{value:.0e}" if form not in EXACT or value <= limit else f"**{value:.0e}**"


def reachable(found: Mapping[str, Mapping[str, Any]], limit: float) -> str:
    """The table of all architectures, and below it why a form is missing."""
    from bench.markdown import code, escape, table

    rows = [[name, *(told(form, values[form], limit) for form in FORMS)] for name, values in found.items()]
    lines = [table(["Architecture", *FORMS], rows)]
    reasons = [
        f"* {name}, {form}: {code(escape(values[form], 200))}"
        for name, values in found.items() for form in FORMS if isinstance(values[form], str)
    ]  # fmt: skip
    return "\n".join([*lines, "", *(reasons or ["Every architecture has every form."])])


def costs(record: Mapping[str, Any]) -> str:
    """One trained network's table of parity."""
    from bench.markdown import escape, table

    rows = []
    for form in record["forms"]:
        dice = form["dice"]
        rows.append([
            form["form"], escape(form["runtime"]), f"{form['size'] / 1e3:,.0f}", f"{form['probability']:.1e}",
            f"{form['flipped']:,}", f"{dice['value']:+.6f} [{dice['low']:+.6f}, {dice['high']:+.6f}]",
            f"{-form['worst']:+.4f}", f"{form['p50_ms']:.1f} / {form['p95_ms']:.1f}",
            "refused" if form["broken"] else "kept",
        ])  # fmt: skip
    head = ["Form", "Runtime", "KB", "Largest dp", "Pixels flipped", "Change of mean Dice [95 %]", "Worst image",
            "ms p50 / p95", "Verdict"]  # fmt: skip
    some = record["forms"][0]
    title = f"### {escape(record['model'])}: {record['architecture']}, width {record['width']}, {record['parameters']:,} weights"
    about = (
        f"Trained on {escape(record['trained_on'])} on {escape(record['training_backend'])}; {some['dice']['images']} images "
        f"of {escape(record['data'])}, none of which it saw, at {record['size'][0]} x {record['size'][1]} px, "
        f"{some['pixels']:,} pixels; {record['threads']} thread of a shared machine, {escape(record['machine'])}."
    )
    refused = [f"* {escape(failure)}" for failure in record["failures"]]
    return "\n".join([title, "", about, "", table(head, rows, left=2), *(["", "Refused:", "", *refused] if refused else [])])


def page() -> str:
    """The page of what is recorded."""
    from lungseg import parity

    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(TRAINED.glob("*.json"))]
    limits = parity.LIMITS
    exact = limits["onnx"]
    return f"""<!-- Written by `python tests/export_table.py`; edits are lost. -->

# What an export costs

`lungseg export MODEL OUT --forms all --data shenzhen ROOT` writes each form, runs it in its own runtime on labelled
images beside Keras, and keeps it only where it is near enough. dp is the change of a pixel's probability.

The rule, fixed before any form is looked at: float32 forms may change no probability by more than {exact.probability:g}
and flip {exact.flipped} pixels; mean Dice may change, **up or down**, by {limits["litert-float16"].dice:g} in float16, by
{limits["litert-weights-int8"].dice:g} with weights of 8 bits, by {limits["litert-int8"].dice:g} in full int8. The change is
judged as measured on these images, not rounded first, and a gain is no excuse: a form that masks other pixels is
another network. The interval over patients is told and decides nothing, because it would let a form pass or fail by how
few images it was tried on.

## Trained networks

{chr(10).join(costs(record) + chr(10) for record in records)}
## Every architecture

Largest change of a probability where a form was written and ran, at {SIDE} x {SIDE} px and width {WIDTH} (the
architectures whose channels are fixed keep theirs), on {IMAGES} phantoms; weights as initialised, normalisation
calibrated on the images. "no": written or run it cannot be. Bold: a float32 form beyond {exact.probability:g}. How much
a reduced form costs is to be read off trained networks alone.

{reachable(found, exact.probability)}
"""


if __name__ == "__main__":
    if sys.argv[1:] != ["--page"]:
        measure(sys.argv[1:])
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
