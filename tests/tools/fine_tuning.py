"""What few labelled images of another hospital gain: a network trained on n of them from random weights, and fine-tuned
from a trained model, both scored on the same patients that neither has seen.

    PYTHONPATH=. python tests/tools/fine_tuning.py shenzhen <folder> --images 10,20,40 --table fine_tuning.csv

Patients are drawn once by a fixed seed; more images are the fewer ones and others. Model folders stay below ``--work``,
where the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

import lungseg
from lungseg import model_folder
from lungseg.datasets import DATASETS

COLUMNS = ("start", "images", "patients_tested", "dice", "low", "high", "cpu_seconds")
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("root", type=Path)
    parser.add_argument("--model", default=model_folder.DEFAULT, help="model folder or shipped model to start from")
    parser.add_argument("--images", default="10,20,40", help="numbers of images to train on")
    parser.add_argument("--held-out", type=int, default=200, help="images to test on")
    parser.add_argument("--work", type=Path, default=Path("fine-tuning"))
    parser.add_argument("--table", type=Path, default=Path("fine_tuning.csv"))
    arguments = parser.parse_args()
    cases = sorted(lungseg.load(arguments.dataset, arguments.root), key=lambda case: case.id)
    patients = sorted({case.patient for case in cases})
    drawn = [patients[k] for k in np.random.default_rng(SEED).permutation(len(patients))]
    ordered = [case for patient in drawn for case in cases if case.patient == patient]
    tested = ordered[: arguments.held_out]
    left = [case for case in ordered if case.patient not in {case.patient for case in tested}]
    card = model_folder.find(arguments.model).card
    rows = [row(arguments.model, tested, "trained model, as it is", 0, 0.0)]
    for n in (int(number) for number in arguments.images.split(",")):
        for start in ("trained model", "random weights"):
            out = arguments.work / f"{start.replace(' ', '-')}-{n}"
            if start == "trained model":
                settings = {"pretrained": arguments.model}
            else:
                settings = {"architecture": card.architecture, "width": card.width, "size": card.size}
            if not out.exists():
                lungseg.fit(left[:n], out, hold_out=False, threads=1, about={"set": arguments.dataset}, **settings)
            seconds = model_folder.open_folder(out).card.training["cpu_seconds"]
            rows.append(row(out, tested, start, n, seconds))
    with arguments.table.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *rows])


def row(model: str | Path, tested: list[lungseg.Case], start: str, n: int, seconds: float) -> tuple[object, ...]:
    """One line of the table, printed as well."""
    dice = lungseg.evaluate(model, tested, engine_name="keras").dice()
    values = (start, n, dice["patients"], *(f"{dice[key]:.4f}" for key in ("value", "low", "high")), f"{seconds:.0f}")
    print(*values, sep="\t", flush=True)
    return values


if __name__ == "__main__":
    main()
