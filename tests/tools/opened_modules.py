"""Which of the project's modules one cell passes through, from `bench run` to its row of the leaderboard.

    python tests/tools/opened_modules.py [checkout] [--suite smoke] [--arch unet] [--fold 0]

Trains that one cell in the checkout (this one unless given), in a results folder of its own, and watches every Python
call of the command and of each process that it starts. A module is opened when one of its functions runs, or when one
of its dataclasses is made, for that is where a reader must look. Not counted: what runs only while a module is
imported (tables are filled then), and modules that hold nothing but constants and exceptions.

The row is the one that the terminal shows. What only the sentences under it, the pages and the figures open is listed
apart: they tell of the whole suite. Speed is not measured. Prints one line a module, and the two numbers. Works on
older checkouts too, from 201c4dd on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ASIDE = (  # what is called in these is sentences, pages and figures
    "bench.pages.report.write",
    "bench.figures.gallery.draw",
    "bench.pages.showcase.draw",
    "bench.pages.answers.best",
    "bench.pages.answers.significance",
    "bench.pages.completeness.missing",
    "bench.pages.suite_page.own_questions",
    "bench.pages.section_page.own_questions",
    "bench.statistics.related.related",  # and where older checkouts compute the same:
    "bench.statistics.hardest_gain.hardest_gains",
    "bench.statistics.pairs.cross_machine",
    "bench.statistics.pairs.cross_precision",
    "bench.statistics.pairs.extra_data_effects",
    "bench.statistics.stats._concurrent_cells",
    "bench.statistics.stats._scored",
    "bench.statistics.variance.components",
    "bench.statistics.variance.power",
    "bench.statistics.variance.variances",
    "bench.records.costs.at_once",
    "bench.records.readable.conflicts",
)
WATCH = """
import os, sys, threading
seen, told, aside = set(), set(), []
log = open(os.path.join(os.environ["OPENED_MODULES"], str(os.getpid())), "a", buffering=1)

def importing(frame):
    while frame := frame.f_back:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
    return False

def left(frame, event, value):
    if event == "return":
        aside.pop()
    return left

def called(frame, event, value):
    code, names = frame.f_code, frame.f_globals
    if (code, bool(aside)) in seen:
        return None
    name = names.get("__name__") or ""
    if name == "__main__" and names.get("__spec__"):
        name = names["__spec__"].name
    if name.partition(".")[0] not in ("bench", "lungseg"):
        seen.update([(code, False), (code, True)])
        return None
    if not code.co_flags & 2 or importing(frame):  # the body of a module or a class has no fast locals
        return None
    enters = f"{name}.{code.co_name}" in os.environ["OPENED_ASIDE"].split()
    if enters:
        aside.append(name)
    if (name, bool(aside)) not in told:
        told.add((name, bool(aside)))
        print("pages" if aside else "row", name, file=log)
    if not enters:
        seen.add((code, bool(aside)))
    return left if enters else None

threading.settrace(called)
sys.settrace(called)
"""


def opened(checkout: Path, suite: str, architecture: str, fold: str) -> tuple[list[str], list[str]]:
    """Modules on the way to the row, and those that only pages and figures open. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as scratch:
        hook, log = Path(scratch, "hook"), Path(scratch, "log")
        hook.mkdir()
        log.mkdir()
        (hook / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
        watched = {
            "PYTHONPATH": str(hook), "OPENED_MODULES": str(log), "OPENED_ASIDE": " ".join(ASIDE),
        }  # fmt: skip
        words = ["run", suite, "--arch", architecture, "--folds", fold, "--seeds", "1", "--no-speed"]
        words += ["--results", str(Path(scratch, "results"))]
        subprocess.run(
            [sys.executable, "-m", "bench", *words],
            cwd=checkout, env={**os.environ, **watched}, check=True, stdout=sys.stderr,
        )  # fmt: skip
        lines = {line for file in log.iterdir() for line in file.read_text(encoding="utf-8").splitlines()}
    row = {line.split()[1] for line in lines if line.startswith("row ")}
    return sorted(row), sorted({line.split()[1] for line in lines} - row)


def lines(checkout: Path, module: str) -> int:
    """Of a module's source."""
    path = checkout.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return len(path.read_text(encoding="utf-8").splitlines())


def main(arguments: list[str] | None = None) -> int:
    """Trace, print; always 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--arch", default="unet")
    parser.add_argument("--fold", default="0")
    chosen = parser.parse_args(arguments)
    checkout = chosen.checkout.resolve()
    row, pages = opened(checkout, chosen.suite, chosen.arch, chosen.fold)
    for title, modules in (("to the row", row), ("for sentences, pages and figures alone", pages)):
        print("\n".join(f"{lines(checkout, module):5} {module}" for module in modules))
        print(f"{len(modules)} modules opened {title}, {sum(lines(checkout, m) for m in modules)} lines\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
