"""The gate as a product: how often it cries wolf, how often it misses one, on stored per-image scores.

    python -m tests.gate.simulate               # a minute; prints the table

A rerun of equal code with another seed is simulated from two stored trainings that scored the same images: with
their difference e_i of image i, m_f its mean in fold f (one network a fold) and signs s, v drawn for each fold and
image, the rerun's Dice is the stored one plus s_f m_f + v_i (e_i - m_f): a wild bootstrap (Liu 1988), so that hard
images stay the restless ones. Signs are free because equal code makes both orders of two trainings equally likely.
The two are two seeds of one architecture where records hold them, else two architectures, which differ by more. The
column `noise` multiplies e, against the chance that those two are unusually alike.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import gate, suites
from bench.gate import accuracy
from bench.records import store
from bench.records.record import Record
from bench.records.results import Results

ROOT = Path(__file__).resolve().parent.parent.parent
SUITE, ARCHITECTURES = "montgomery-128", ("unet", "resunet")
MACHINE = "tensorflow-cpu-float32"
Dice = dict[str, float]
Loss = Callable[[np.random.Generator, int], np.ndarray]


def nothing(rng: np.random.Generator, n: int) -> np.ndarray:
    """Equal code."""
    return np.zeros(n)


def everywhere(rng: np.random.Generator, n: int) -> np.ndarray:
    """Each image loses 0.01."""
    return np.full(n, 0.01)


def on_a_fifth(rng: np.random.Generator, n: int) -> np.ndarray:
    """A fifth of the images, drawn anew, lose 0.05 each: the same mean, harder to tell from chance."""
    return np.where(rng.permutation(n) < n // 5, 0.01 * n / (n // 5), 0.0)


def stored(results: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Summary of the committed records of seed 0, and each image's fold."""
    suite = dataclasses.replace(suites.suite(SUITE), architectures=ARCHITECTURES)
    summary = gate.summarise_results(Results(results), suite)[MACHINE]
    for of in summary["architectures"].values():
        of["counts"] = {key: value for key, value in of["counts"].items() if key.startswith("0/")}
        of["dice"] = float(np.mean([accuracy.dice(value) for value in of["counts"].values()]))
    return summary, {case.id: r.cell.fold for r in trainings(results) for case in r.cases}


def trainings(results: Path) -> list[Record]:
    """The suite's records of one kind of machine: another's are other trainings of the same name."""
    return [store.load_record(path) for path in Results(results).paths(SUITE) if path.parent.name == MACHINE]


def differences(results: Path, architecture: str) -> tuple[Dice, str]:
    """e_i of each image, and where it is from."""
    dice: dict[tuple[str, int], Dice] = {}
    for record in trainings(results):
        cell = record.cell
        dice.setdefault((cell.architecture, cell.seed), {}).update({c.id: c.dice for c in record.cases})
    one = dice[architecture, 0]
    for other, of in dice.items():
        if other[0] == architecture and other[1] > 0 and of.keys() == one.keys():
            return {key: of[key] - one[key] for key in one}, f"its seed {other[1]}"
    (peer,) = (name for name in ARCHITECTURES if name != architecture)
    return {key: dice[peer, 0][key] - one[key] for key in one}, f"{peer}, seed 0"


def rerun(
    before: Mapping[str, list[int]], e: Dice, fold: Mapping[str, int], lost: np.ndarray, rng: np.random.Generator
) -> dict[str, list[int]]:
    """Counts of a simulated training: ground truth and predicted area stay, the overlap follows from the new Dice."""
    ids = [key.partition("/")[2] for key in before]
    folds = np.array([fold[key] for key in ids])
    apart = np.array([e[key] for key in ids])
    means = np.bincount(folds, apart) / np.bincount(folds)
    signs = rng.choice((-1.0, 1.0), len(means))
    moved = signs[folds] * means[folds] + rng.choice((-1.0, 1.0), len(ids)) * (apart - means[folds])
    counts = {}
    for (key, (tp, fp, fn, tn)), change in zip(before.items(), (moved - lost).tolist(), strict=True):
        target, prediction = tp + fn, tp + fp
        dice = 2 * tp / (target + prediction) + change
        both = min(max(round(dice * (target + prediction) / 2), 0), target, prediction)
        counts[key] = [both, prediction - both, target - both, tn + fp - (prediction - both)]
    return counts


def alarms(results: Path, loss: Loss, noise: float, reruns: int, seed: int = 0, of: str | None = None) -> int:
    """How many reruns the gate fails; the loss is planted in `of`, or in all architectures."""
    before, fold = stored(results)
    apart = {name: {k: noise * v for k, v in differences(results, name)[0].items()} for name in ARCHITECTURES}
    rng = np.random.default_rng(seed)
    failed = 0
    for _ in range(reruns):
        now = {**before, "architectures": copy.deepcopy(before["architectures"])}
        for name, scores in now["architectures"].items():
            n = len(scores["counts"])
            lost = loss(rng, n) if of in (None, name) else np.zeros(n)
            scores["counts"] = rerun(scores["counts"], apart[name], fold, lost, rng)
            scores["dice"] = float(np.mean([accuracy.dice(value) for value in scores["counts"].values()]))
        failed += gate.exit_code(gate.compare(before, now, expected_change=True)) != gate.OK
    return failed


def main() -> None:
    """Print how the noise was got and how often the gate fails a run, by noise and by planted loss."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reruns", type=int, default=100)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    for name in ARCHITECTURES:
        e, source = differences(chosen.results, name)
        values = np.array(list(e.values()))
        print(f"{name}: differs from {source} by {values.mean():+.4f}, SD over images {values.std(ddof=1):.4f}")
    limits = gate.limits_of(SUITE)
    print(f"margin {limits.margin}, level {limits.level}, {chosen.reruns} reruns of both; the gate failed:\n")
    print("| noise | equal code | 0.01 lost by each image of U-Net | 0.05 lost by a fifth of them |")
    print("|--:|--:|--:|--:|")
    for noise in (1.0, 2.0, 3.0):
        failed = [alarms(chosen.results, nothing, noise, chosen.reruns)]
        failed += [alarms(chosen.results, loss, noise, chosen.reruns, of="unet") for loss in (everywhere, on_a_fifth)]
        print(f"| x {noise:g} | " + " | ".join(f"{n} of {chosen.reruns}" for n in failed) + " |")


if __name__ == "__main__":
    main()
