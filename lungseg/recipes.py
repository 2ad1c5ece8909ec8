"""How a network is trained. A recipe is a value; a variant is ``dataclasses.replace`` of another."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lungseg.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training besides architecture, data, size and seed.

    learning_rate: Adam's. patience in epochs, judged on the validation loss. batch_norm_momentum: share of the
    moving statistics kept a step; Keras's own 0.99 lags so far behind at 300 steps that U-Net scores 0.65
    where 0.9 gives 0.97.
    """

    name: str
    epochs: int = 50
    batch_size: int = 16
    learning_rate: float = 1e-3
    loss: str = "dice"
    batch_norm_momentum: float = 0.9
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    minimum_learning_rate: float = 1e-5
    early_stopping_patience: int = 15
    precision: str = "float32"
    threshold: float = 0.5


# The source document's protocol: Dice loss, Adam, batch 16, 50 epochs, best weights kept, early stopping,
# learning rate lowered on a plateau, no augmentation.
DOCUMENT = Recipe("document")

# The same for suite smoke, whose few images need small batches and many epochs to take enough steps.
BRIEF = replace(DOCUMENT, name="brief", epochs=40, batch_size=4, learning_rate=2e-3)

# For suite quick, which has more images: fewer epochs leave every network between 0.85 and 0.98, so that they differ.
SHORT = replace(BRIEF, name="short", epochs=16)

RECIPES = {recipe.name: recipe for recipe in (DOCUMENT, BRIEF, SHORT)}


def recipe(name: str) -> Recipe:
    """The recipe of that name; UsageError lists the known ones."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}: known are {', '.join(RECIPES)}")
    return RECIPES[name]
