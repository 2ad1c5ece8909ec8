"""The commands that make the records of a page."""

from __future__ import annotations

from collections.abc import Set

from bench.names import POST, SEED_MEAN, TTA
from bench.statistics.rows import Leaderboard
from bench.suites import Suite
from lungseg import ARCHITECTURES


def commands(suite: Suite, leaderboard: Leaderboard) -> list[str]:
    """What makes the leaderboard's records, from its suite's data in a folder: a command for each number of seeds.
    Empty where nothing does with these seeds."""
    key = leaderboard.conditions
    seeds: dict[str, set[int]] = {}
    for cell in leaderboard.cells:
        if cell.trained:
            seeds.setdefault(cell.architecture, set()).add(cell.seed)
    if any(of_one != set(range(len(of_one))) for of_one in seeds.values()):
        return []
    result = []
    for count in sorted(set(map(len, seeds.values())), key=lambda n: (n != len(suite.seeds), n)):
        run = {architecture for architecture, of_one in seeds.items() if len(of_one) == count}
        parts = [f"make bench SUITE={suite.name}"]
        parts += ["DATA=<folder>"] if suite.dataset != "phantom" else []
        parts += [f"BACKEND={key.backend}"] if key.backend != "tensorflow" else []
        parts += [f"ARCH={_named(suite, run)}"] if run != set(suite.architectures) else []
        parts += [f"SEEDS={count}"] if count != len(suite.seeds) else []
        result.append(" ".join(parts))
    return [*result, *_ensemble_commands(suite, leaderboard)]


def _ensemble_commands(suite: Suite, leaderboard: Leaderboard) -> list[str]:
    """What makes the ensembles of the networks that were trained: a command for each variant of the recipe."""
    made = [row for row in leaderboard.rows if not row.single]
    backend = leaderboard.conditions.backend
    result = []
    for variant in dict.fromkeys(row.variant for row in made):
        local = [row for row in made if row.variant == variant]
        run = {row.architecture.removesuffix(POST).removesuffix(TTA).removesuffix(SEED_MEAN) for row in local}
        parts = [f"KERAS_BACKEND={backend}"] if backend != "tensorflow" else []
        parts += [f"python -m bench ensemble {suite.name}"]
        parts += ["--data <folder>"] if suite.dataset != "phantom" else []
        parts += [f"--arch {_named(suite, run)}"] if run != set(suite.architectures) else []
        parts += [f"--variant {variant}"] if variant else []
        parts += ["--tta"] if any(row.transforms > 1 for row in local) else []
        parts += ["--postprocess"] if any(row.postprocessed for row in local) else []
        result.append(" ".join(parts))
    return result


def _named(suite: Suite, architectures: Set[str]) -> str:
    """The architectures as an option, in the suite's order."""
    order = [*suite.architectures, *ARCHITECTURES]
    return ",".join([*dict.fromkeys(n for n in order if n in architectures), *sorted(architectures - set(order))])
