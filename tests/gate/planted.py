"""Plant real bugs, train suite smoke with each, and ask the gate: does its exit code say so?

    python -m tests.gate.planted                # all, a minute or two a bug on two cores
    python -m tests.gate.planted --only loss    # one

Each bug is a line replaced in a copy of the checkout in a temporary folder; the baseline is made in an unchanged copy
on the same machine. The last column asks the same run as if the baseline came from another machine kind, where counts
need not be equal. What needs no training is tests/gate/test_planted.py's business.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Bug:
    """A text to replace in a file of the checkout; the file must hold it once."""

    name: str
    words: str
    file: str = ""
    old: str = ""
    new: str = ""


BUGS = (
    Bug(
        "loss", "loss without the intersection's factor 2", "lungseg/losses.py",
        "(2.0 * both + SMOOTH)", "(both + SMOOTH)",
    ),
    Bug(
        "nearest", "masks resized by nearest neighbour", "lungseg/images.py",
        "return _resize(mask.astype(np.float32), size) >= 0.5 - ROUNDING",
        "return cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0",
    ),
    Bug(
        "addition", "masks united by addition in uint8", "lungseg/images.py",
        "return np.logical_or.reduce(list(masks))",
        "return np.add.reduce([mask * np.uint8(255) for mask in masks], dtype=np.uint8) == 255",
    ),
    Bug(
        "8-bit", "images read as 8-bit", "lungseg/images.py",
        "    full = 255 if pixels.dtype",
        "    pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels\n"
        "    full = 255 if pixels.dtype",
    ),
    Bug(
        "momentum", "BatchNormalization momentum 0.999", "lungseg/recipes.py",
        "batch_norm_momentum: float = 0.9\n", "batch_norm_momentum: float = 0.999\n",
    ),
    Bug(
        "last", "last epoch kept instead of the best", "lungseg/training.py",
        "if (math.isfinite(loss) and loss < self.loss) or self.epoch < 0:", "if True:",
    ),
    Bug(
        "restore", "best weights not put back before prediction", "lungseg/training.py",
        "    model.set_weights(best.weights)\n", "",
    ),
    Bug(
        "spacing", "row and column spacing swapped", "lungseg/metrics/boundary.py",
        "spacing = np.asarray(spacing_mm, dtype=np.float64)",
        "spacing = np.asarray(spacing_mm, dtype=np.float64)[::-1]",
    ),
    Bug(
        "validation", "validation images trained on", "lungseg/training.py",
        "Batches(data, fold.train, recipe", "Batches(data, (*fold.train, *fold.validation), recipe",
    ),
    Bug(
        "order", "order of images not shuffled", "lungseg/batches.py",
        "return [names[k] for k in generator.permutation(len(names))]", "return names",
    ),
    Bug(
        "threshold", "threshold 0.48 instead of 0.5", "lungseg/recipes.py",
        "threshold: float = 0.5\n", "threshold: float = 0.48\n",
    ),
    Bug("none", "no bug"),
)  # fmt: skip

ELSEWHERE = """
import json, sys
from pathlib import Path
from bench.records.results import Results
from bench import gate, suites
from bench.gate import dry_run
from bench.running import data
results, baseline = Path(sys.argv[1]), gate.load_baseline(Path(sys.argv[2]))
smoke = suites.suite("smoke")
root = data.resolve_root(smoke, None, Results(results))
suite_data = data.load_suite_data(smoke, root, Results(results))
dry = dry_run.metadata(smoke, root, Results(results))
now = gate.summarise(smoke, suite_data, Results(results).all(smoke.name), dry)
baseline["machine"]["cpu"] = "another"
findings = gate.compare(baseline, now)
print(json.dumps({"exit": gate.exit_code(findings), "findings": gate.as_json(findings)}))
"""


def planted(bug: Bug) -> str:
    """The file's text with the bug in it. Raises SystemExit where it does not hold the old text once."""
    text = (ROOT / bug.file).read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise SystemExit(f"{bug.file} holds {text.count(bug.old)} times: {bug.old!r}; renew the bug {bug.name!r}")
    return text.replace(bug.old, bug.new)


def copy(to: Path, bug: Bug | None = None) -> Path:
    """The packages in a folder of their own, with the bug in them."""
    for package in ("lungseg", "bench"):
        shutil.copytree(ROOT / package, to / package, ignore=shutil.ignore_patterns("__pycache__"))
    if bug and bug.file:
        (to / bug.file).write_text(planted(bug), encoding="utf-8")
    return to


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a copy, whose packages come first."""
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def blamed(verdict: dict[str, object]) -> str:
    """Subjects of the checks that failed."""
    failed = [f"{f['subject']}: {f['what']}" for f in verdict["findings"] if not f["ok"]]  # type: ignore[attr-defined]
    return "; ".join(failed) or "-"


def trial(bug: Bug, folder: Path, baseline: Path) -> str:
    """Train with the bug; a line of the table."""
    code = copy(folder / bug.name, bug)
    results = folder / f"{bug.name}-results"
    here = python(code, "-m", "bench", "gate", "--baseline", str(baseline), "--results", str(results))
    there = python(code, "-c", ELSEWHERE, str(results), str(baseline))
    try:
        elsewhere = json.loads(there.stdout.splitlines()[-1])
        other = f"{elsewhere['exit']} | {blamed(elsewhere)}"
    except (IndexError, ValueError):
        other = f"? | {there.stderr.strip().splitlines()[-1]}"
    path = results / "gate.json"
    why = blamed(json.loads(path.read_text())) if path.exists() else here.stderr.strip().splitlines()[-1]
    return f"| {bug.words} | {here.returncode} | {why} | {other} |"


def main() -> None:
    """Make the baseline, plant each bug, print the table; exit 1 if the gate was wrong once."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=[bug.name for bug in BUGS], action="append")
    chosen = parser.parse_args()
    bugs = [bug for bug in BUGS if not chosen.only or bug.name in chosen.only]
    for bug in bugs:
        if bug.file:
            planted(bug)  # before minutes of training
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        baseline = folder / "baseline.json"
        clean = copy(folder / "clean")
        made = python(
            clean, "-m", "bench", "baseline", "--baseline", str(baseline), "--results", str(folder / "clean-results")
        )
        if made.returncode:
            raise SystemExit(made.stdout + made.stderr)
        print("| bug | exit | failed checks | exit, other machine kind | failed checks |", flush=True)
        print("|---|--:|---|--:|---|", flush=True)
        wrong = 0
        for bug in bugs:
            line = trial(bug, folder, baseline)
            print(line, flush=True)
            _, here, _, there, *_ = line.split(" | ")
            wrong += (here, there) != (("1", "1") if bug.file else ("0", "0"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
