"""Write tests/differential/TABLE.md: pairs tried, largest differences, and where definitions do not agree.

python tests/differential/table.py          # minutes; needs the extra `oracles`
python tests/differential/table.py --share 0.01 --to /tmp/few.md
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent)]  # as pytest does

from comparisons import COMPARISONS, tally  # noqa: E402
from oracles import DISAGREE  # noqa: E402

PACKAGES = ("numpy", "scikit-learn", "monai", "torch", "MedPy", "surface-distance")

HEAD = """\
# Our metrics against independent ones

Made by `python tests/differential/table.py` on Hypothesis pairs of boolean masks up to 16 px (brute force: 9 px):
empty, full, one pixel, blobs and noise; unrelated, nested, nearly equal and equal; spacings from 0.05 to 4 mm. A
difference is |ours - theirs| / max(1, |ours|). `make test-all` holds each to its limit.

"""


def of_one(name: str, share: float) -> list[str]:
    """A line for each metric that one oracle has."""
    comparison, lines = COMPARISONS[name], []
    for metric, row in tally(comparison, max(20, int(share * comparison.long))).items():
        allowed = comparison.allowed(metric)
        limit = "another definition" if allowed is None else f"{allowed:g}"
        lines.append(f"| {name} | {metric} | {row.tried} | {row.largest:.2g} | {limit} |")
    print(f"{name}: done", file=sys.stderr, flush=True)
    return lines


def rows(share: float) -> list[str]:
    """The table, oracle by oracle, each in a process of its own."""
    lines = ["| against | metric | pairs | largest difference | allowed |", "|---|---|--:|--:|--:|"]
    with ProcessPoolExecutor(len(COMPARISONS)) as pool:
        for result in pool.map(of_one, COMPARISONS, [share] * len(COMPARISONS)):
            lines += result
    return lines


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the pairs of a long run")
    parser.add_argument("--to", type=Path, default=HERE / "TABLE.md")
    chosen = parser.parse_args()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    lines = rows(chosen.share)
    lines += ["", "## Where definitions do not agree", "", "| library | metric | masks | why |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in DISAGREE]
    lines += ["", f"Versions: {versions}."]
    chosen.to.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
