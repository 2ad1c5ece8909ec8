"""One training, as everything names it: its record, its page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lungseg import recipes


@dataclass(frozen=True)
class Cell:
    """One training: everything that tells it from the others. ``id`` names its record."""

    architecture: str
    width: int
    size: tuple[int, int]
    trained_on: str
    scored_on: str
    folds: int
    fold: int
    seed: int
    suite: str
    recipe: str

    @property
    def id(self) -> str:
        """Such as ``unet.montgomery.f0.s0``."""
        return cell_id(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "size": list(self.size)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cell:
        """The cell of ``as_dict``."""
        return cls(**{**values, "size": tuple(values["size"])})


def cell_id(cell: Mapping[str, Any]) -> str:
    """``unet.montgomery.f0.s0``, or ``unet~no-pose.montgomery.f0.s0`` under a variant of the suite's recipe.

    It names files: ``my.networks:tiny`` becomes ``my.networks-tiny``, since archives and CI refuse colons.
    """
    variant, name = _variant(cell), str(cell["architecture"]).replace(":", "-")
    name = f"{name}~{variant}" if variant else name
    return f"{name}.{cell['scored_on']}.f{cell['fold']}.s{cell['seed']}"


def variant_of(cell: Mapping[str, Any]) -> str:
    """``no-pose`` of recipe ``strong:no-pose``, by a short name where there is one; empty for a plain recipe."""
    return recipes.short(_variant(cell))


def network(cell: Mapping[str, Any], *more: str) -> str:
    """``unet``, or ``unet (no-pose)`` under a variant of the recipe; ``more`` comes before it in the brackets."""
    inside = ", ".join(filter(None, (*more, variant_of(cell))))
    return f"{cell['architecture']} ({inside})" if inside else str(cell["architecture"])


def _variant(cell: Mapping[str, Any]) -> str:
    return str(cell["recipe"]).partition(":")[2]
