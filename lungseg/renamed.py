"""Old names of recipes and variants (up to version 0.1), so that an error can name the new ones. None is accepted."""

from __future__ import annotations

RECIPES = {"document": "reference", "brief": "smoke", "short": "quick"}
VARIANTS = {
    "small-batches": "batch-4",
    "twice-epochs": "epochs-300",
    "third-of-epochs": "epochs-50",
    "weight-average": "ema",
    "no-pose": "no-geometric",
    "no-exposure": "no-intensity",
    "mirror": "hflip",
    "thorough": "long",
}


def hint(name: str) -> str:
    """``"; small-batches is called batch-4 now"`` for each old part of a recipe's name, empty where there is none."""
    base, _, variants = name.partition(":")
    old = {base: RECIPES.get(base), **{part: VARIANTS.get(part) for part in variants.split("+")}}
    return "".join(f"; {before} is called {now} now" for before, now in old.items() if now)
