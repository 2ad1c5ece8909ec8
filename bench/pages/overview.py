"""The text of `bench list`: suites with their measured costs, recipe variants, architectures, datasets."""

from __future__ import annotations

import shutil
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bench.markdown import WIDTH, counted, listed
from bench.records import costs
from bench.records.results import Results, home
from bench.suites import SUITES, Suite, cells
from lungseg import ARCHITECTURES, DATASETS, recipes
from lungseg.terminal import elapsed


def overview() -> str:
    """Suites with their measured costs, recipe variants, architectures and datasets, as plain text."""
    measured = costs.read(Results(home() / "results"))
    lines = ["Suites"]
    for suite in SUITES.values():
        lines += [
            f"  {suite.name}",
            *_filled(suite.title, "    "),
            *_filled(_conditions(suite), "    "),
            *(line for cost in _costs(suite, measured) for line in _filled(cost, "    ")),
        ]
    lines += ["", "Variants of recipe strong"]
    for name, what in recipes.meanings(recipes.VARIANT_NAMES).items():
        lines += _filled(f"{name}: {what}", "  ")
    for gloss in recipes.glosses(recipes.JOINED):
        lines += _filled(gloss, "  ")
    lines += ["", "Architectures", *_filled(", ".join(ARCHITECTURES), "  ")]
    lines += _filled("or a function of another package: --arch package.module:function", "  ")
    lines += ["", "Datasets", *_filled(", ".join(DATASETS), "  ")]
    return "\n".join(lines)


def _filled(text: str, indent: str) -> list[str]:
    """Lines as wide as the terminal, as prose where there is none or it is wider."""
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _conditions(suite: Suite) -> str:
    others: defaultdict[int, list[str]] = defaultdict(list)
    for name, width in suite.widths:
        others[width].append(name)
    of_these = "".join(f" ({listed(names)}: {width})" for width, names in others.items())
    return (
        f"{listed(suite.architectures)}: "
        f"{suite.dataset}, {suite.size[0]} x {suite.size[1]} px, width {suite.width}{of_these}, "
        f"{f'tested on {suite.test_set}' if suite.test_set else f'{suite.folds} folds'}, "
        f"{f'all of {suite.extra_train} added to training, ' if suite.extra_train else ''}"
        f"{counted(len(suite.seeds), 'seed')}, recipe {suite.recipe}"
        f"{f' and its variants {listed(suite.variants)}' if suite.variants else ''}"
        f"{''.join(f'; {gloss}' for gloss in recipes.glosses(suite.variants))}; {counted(len(cells(suite)), 'cell')}"
    )


def _costs(suite: Suite, measured: Sequence[Mapping[str, str]]) -> list[str]:
    """A line for each device and precision of its measured cells; float32 goes without saying."""
    lines = []
    for row in (row for row in measured if row["suite"] == suite.name):
        alongside = f", up to {row['at_once']} in parallel," if int(row["at_once"]) > 1 else ""
        took = elapsed(60 * float(row["minutes"]))
        precision = "" if row["precision"] == "float32" else f", {row['precision']}"
        lines.append(
            f"measured: {counted(int(row['cells']), 'cell')} in {took}{alongside} on {row['device']}{precision}: "
            f"{row['cpu']}"
        )
    return lines or ["cost not measured"]
