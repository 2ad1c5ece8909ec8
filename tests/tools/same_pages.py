"""Whether `bench report` makes every committed page, table and figure again, byte for byte, from committed records.

    PYTHONPATH=. python tests/tools/same_pages.py [results]

Works on a copy. What a report writes is deleted there first, so that a file which it no longer writes is missing.
Exit code 1 where a file differs, is missing or is new.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# what no report writes: inputs (throughput, costs), pictures of images, pages of exports, searches and same patients
GIVEN = re.compile(r"(export|throughput|tuning|same_patient)/.*|costs\.csv|figures/.*-gallery\.png")
WRITTEN = (".md", ".csv", ".html", ".png", ".svg")


def pages(folder: Path) -> set[str]:
    """Files that a report writes, from the results folder."""
    result = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix in WRITTEN)
    return {path.as_posix() for path in result if path.parts[0] != "local" and not GIVEN.fullmatch(path.as_posix())}


def main(committed: Path) -> int:
    """Report on a copy, compare, print; the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "results"
        shutil.copytree(committed, copy, ignore=lambda at, _: ["local"] if Path(at) == committed else [])
        for name in pages(copy):
            (copy / name).unlink()
        subprocess.run(
            [sys.executable, "-m", "bench", "report", "--results", str(copy)], cwd=ROOT, check=True, stdout=-3
        )
        before, now = pages(committed), pages(copy)
        wrong = [f"missing: {name}" for name in sorted(before - now)]
        wrong += [f"new: {name}" for name in sorted(now - before)]
        both = sorted(before & now)
        wrong += [f"differs: {name}" for name in both if (committed / name).read_bytes() != (copy / name).read_bytes()]
    print("\n".join([*wrong, f"{len(before) - len(wrong)} of {len(before)} committed files made again byte for byte"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "results").resolve()))
