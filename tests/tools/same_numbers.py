"""Whether two results folders publish the same numbers: `same_numbers.py BEFORE AFTER`, or against a commit of git.

Words, names of columns, of files and of rows may differ, and rows that are sorted by name may stand in another order.
Every row of a table must hold the same numbers in the same order, as must every paragraph. A number is compared as it
is printed: 0.970 is not 0.97. Digits that belong to a name (unet3plus, f0, epochs-300, a hash) are words. BEFORE may be
`git:<commit>`: that commit's `results/`.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

NUMBER = re.compile(r"(?<![\w~.-])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w~]|-\d{2}-|\.\w)")
LINK = re.compile(r"\]\([^)]*\)|`[^`]*`")  # targets of links and code are names
HASH = re.compile(r"\b[0-9a-f]{12,64}\b")


def numbers(text: str) -> list[str]:
    """The numbers of a Markdown text, in their order; a line's break does not part a number from its unit."""
    plain = HASH.sub("", LINK.sub("](", text))
    return NUMBER.findall(plain)


def blocks(text: str) -> list[tuple[str, ...]]:
    """The numbers of each row of a table and of each paragraph; of a list of lines, of each line."""
    result = []
    for part in re.split(r"\n\s*\n", text):
        lines = part.split("\n")
        if any(line.lstrip().startswith("|") for line in lines):
            result += [tuple(numbers(line)) for line in lines]
        else:
            result.append(tuple(numbers(part)))
    return [block for block in result if block]


def cells(text: str) -> list[list[str]]:
    """The values of a CSV file that are numbers, a list a row, the header left out."""
    return [[value for value in row if NUMBER.fullmatch(value)] for row in list(csv.reader(text.splitlines()))[1:]]


def differences(before: Path, after: Path, renamed: dict[str, str] | None = None) -> list[str]:
    """What differs, a line each; none where all numbers are the same. renamed: folders and files, old -> new."""
    result, names = [], renamed or {}
    files = sorted(p.relative_to(before).as_posix() for kind in ("*.md", "*.csv") for p in before.rglob(kind))
    there = {p.relative_to(after).as_posix() for kind in ("*.md", "*.csv") for p in after.rglob(kind)}
    expected = {name: names.get(name, name) for name in files}
    for name, other in expected.items():
        if other not in there:
            result.append(f"{other}: missing")
            continue
        old, new = (root.joinpath(one).read_text(encoding="utf-8") for root, one in ((before, name), (after, other)))
        if name.endswith(".csv"):
            if sorted(map(tuple, cells(old))) != sorted(map(tuple, cells(new))):
                lost, gained = (
                    Counter(map(tuple, cells(a))) - Counter(map(tuple, cells(b))) for a, b in ((old, new), (new, old))
                )
                result.append(f"{name}: {_shown(lost)} -> {_shown(gained)}")
        elif lost := Counter(blocks(old)) - Counter(blocks(new)):
            gained = Counter(blocks(new)) - Counter(blocks(old))
            result.append(
                f"{name}: {len(list(lost.elements()))} rows or paragraphs differ: {_shown(lost)} -> {_shown(gained)}"
            )
    return result + [f"{name}: new" for name in sorted(there - set(expected.values()))]


def _shown(some: Counter[tuple[str, ...]]) -> str:
    return "; ".join(" ".join(block[:12]) for block in list(some.elements())[:2]) or "nothing"


def main() -> int:
    """Print the differences; 1 where there is one."""
    parser = argparse.ArgumentParser(description="Compare the numbers of two results folders.")
    parser.add_argument("before", help="a folder, or git:<commit>")
    parser.add_argument("after", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = Path(chosen.before)
        if chosen.before.startswith("git:"):
            packed = Path(folder) / "before.tar"
            commit = chosen.before.removeprefix("git:")
            subprocess.run(["git", "archive", "--output", str(packed), commit, "results"], check=True)
            subprocess.run(["tar", "-xf", str(packed), "-C", folder], check=True)
            before = Path(folder) / "results"
        result = differences(before, chosen.after)
    print("\n".join(result) if result else "every number is the same")
    return 1 if result else 0


if __name__ == "__main__":
    sys.exit(main())
