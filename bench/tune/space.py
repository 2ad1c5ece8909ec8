"""The search space: the parameters of a recipe that a search may change, and their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lungseg.errors import UsageError
from lungseg.recipes import Augmentation, Recipe

Value = float | int | str
Params = dict[str, Value]

# Of lungseg.losses, which would import a backend. Not all: a study is told by its space.
LOSSES = ("dice", "dice_cross_entropy", "focal_tversky")
LEARNING_RATE = (3e-4, 6e-3)
LONGEST_WARMUP = 10  # epochs
AUGMENTATION = {  # about twice what recipe strong uses
    "rotation_degrees": 20.0,
    "scale": 0.3,
    "shift": 0.15,
    "gamma": 0.6,
    "contrast": 0.4,
    "brightness": 0.2,
    "noise": 0.06,
}


@dataclass(frozen=True)
class Axis:
    """One parameter: any number from low to high (log: by its logarithm; whole: integers only), or one of choices."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Value, ...] = ()

    @property
    def real(self) -> bool:
        """Whether it is a real number."""
        return not (self.whole or self.choices)

    @property
    def span(self) -> str:
        """The range as text: ``0.0003 to 0.006, log scale`` or ``8, 16``."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{', log scale' if self.log else ''}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "choices": list(self.choices)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Axis:
        """The axis of ``as_dict``."""
        return cls(**{**values, "choices": tuple(values["choices"])})


def axes(base: Recipe) -> tuple[Axis, ...]:
    """The space around a suite's own recipe, wide enough to hold that recipe, so that it can be the first trial.

    Left as they are: epochs and batch size (more steps would win by their number), precision, threshold, the
    schedule's kind, mirroring (the heart lies on one side), and BatchNormalization's momentum, whose one trap is known
    (see Recipe). Warm-up is a parameter where the recipe has a cosine; nothing else reads it.
    Raises UsageError for a recipe that warms up for as long as it trains.
    """
    if base.cosine and base.warmup_epochs >= base.epochs:
        raise UsageError(
            f"recipe {base.name} warms up over {base.warmup_epochs} epochs: {base.epochs} epochs leave none to train; "
            f"use --epochs {base.warmup_epochs + 1} or more"
        )
    result = [
        Axis("learning_rate", *LEARNING_RATE, log=True),
        Axis("loss", choices=tuple(dict.fromkeys((*LOSSES, base.loss)))),
    ]
    if base.cosine:
        longest = max(min(LONGEST_WARMUP, base.epochs - 1), base.warmup_epochs)
        result.append(Axis("warmup_epochs", 0, longest, whole=True))
    result += [Axis(name, 0.0, high) for name, high in AUGMENTATION.items()]
    return tuple(_widened(axis, base) if axis.real else axis for axis in result)


def _widened(axis: Axis, base: Recipe) -> Axis:
    value = float(_value(axis, base))
    return replace(axis, low=min(axis.low, value), high=max(axis.high, value))


def values(recipe: Recipe) -> Params:
    """The recipe's place in its space; no augmentation is one that moves nothing.

    Real numbers are floats, whatever the recipe writes: 12 and 12.0 are hashed as two.
    """
    return {axis.name: _value(axis, recipe) for axis in axes(recipe)}


def _value(axis: Axis, recipe: Recipe) -> Value:
    holder = (recipe.augmentation or Augmentation()) if axis.name in AUGMENTATION else recipe
    value: Value = getattr(holder, axis.name)
    return float(value) if axis.real else value


def recipe(base: Recipe, params: Mapping[str, Value]) -> Recipe:
    """The recipe at a place in the space of ``base``, real numbers to three digits: what is trained is what pages show.

    An augmentation that moves nothing becomes None, which also spares the resampling of every image.
    """
    real = {axis.name for axis in axes(base) if axis.real}
    details = {name: float(f"{value:.3g}") if name in real else value for name, value in params.items()}
    moved = {name: details.pop(name) for name in AUGMENTATION}
    augmentation: Any = replace(base.augmentation or Augmentation(), **moved)  # type: ignore[arg-type]
    if not any(asdict(augmentation).values()):
        augmentation = None
    return replace(base, augmentation=augmentation, **details)  # type: ignore[arg-type]
