"""A cell: one training of a network on one fold with one seed, what decides it, and its names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import machine
from lungseg import recipes
from lungseg.recipes import Recipe
from lungseg.splits import Fold


@dataclass(frozen=True)
class Cell:
    """One training: what identifies it among the others, and what its process needs to know.

    size: (height, width) pixels. recipe: in the suite's precision. threads: affects results. timeout_s: wall-clock
    seconds after which its process is stopped. deterministic: whether operations are bit-reproducible. devices:
    that share each batch. split: the images of a search's training, inner fold or held-out; None: those of ``fold`` in
    the seed's partition.
    """

    architecture: str
    width: int
    size: tuple[int, int]
    train_set: str
    test_set: str
    folds: int
    fold: int
    seed: int
    suite: str
    recipe: Recipe
    threads: int = 1
    timeout_s: float = 6 * 3600
    deterministic: bool = True
    devices: int = 1
    split: Fold | None = None

    @property
    def id(self) -> str:
        """The cell's id, such as ``unet.montgomery.f0.s0``; also the name of its record."""
        return cell_id(self.as_dict())

    @property
    def machine_key(self) -> str:
        """Name of the folder of its record and of all that may share a table with it on this machine."""
        return machine.key(self.recipe.precision, self.deterministic, self.devices)

    def as_dict(self) -> dict[str, Any]:
        """The ``cell`` part of a record, JSON-ready; the record's other parts hold the rest."""
        local = ("architecture", "width", "size", "train_set", "test_set", "folds", "fold", "seed", "suite", "recipe")
        result = {key: getattr(self, key) for key in local}
        return {**result, "size": list(self.size), "recipe": self.recipe.name}


def cell_id(cell: Mapping[str, Any]) -> str:
    """``unet.montgomery.f0.s0``, or ``unet~no-geometric.montgomery.f0.s0`` under a variant of the suite's recipe.

    It names files: ``my.networks:tiny`` becomes ``my.networks-tiny``, since archives and CI refuse colons.
    """
    variant, name = _variant(cell), str(cell["architecture"]).replace(":", "-")
    name = f"{name}~{variant}" if variant else name
    return f"{name}.{cell['test_set']}.f{cell['fold']}.s{cell['seed']}"


def variant_of(cell: Mapping[str, Any]) -> str:
    """``no-geometric`` of recipe ``strong:no-geometric``, by a short name where there is one; empty for a plain
    recipe."""
    return recipes.abbreviated(_variant(cell))


def network(cell: Mapping[str, Any], *more: str) -> str:
    """``unet``, or ``unet (no-geometric)`` under a variant of the recipe; ``more`` comes before it in the brackets."""
    inside = ", ".join(filter(None, (*more, variant_of(cell))))
    return f"{cell['architecture']} ({inside})" if inside else str(cell["architecture"])


def _variant(cell: Mapping[str, Any]) -> str:
    return str(cell["recipe"]).partition(":")[2]
