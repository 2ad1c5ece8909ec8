"""Training recipes: all hyperparameters of a training as a frozen value, and variants of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lungseg.errors import UsageError

MONITORS = ("val_loss", "val_hard_dice")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")  # Keras's names: what is computed in, weights in float32


@dataclass(frozen=True)
class Augmentation:
    """How far a training image may move from what it is; each draw is uniform, 0 leaves a property alone.

    rotation_degrees: about the centre, to either side. scale: share by which all grows or shrinks. shift: share of
    each side. gamma: of the exponent's natural logarithm. contrast: share, about the image's mean. brightness: share
    of full white. noise: highest standard deviation of a pixel's Gaussian noise, share of full white. hflip: left
    and right swapped in every second image; off in every recipe, because the heart lies on one side. elastic: standard
    deviation, share of each side, by which the points of a coarse grid are displaced (Ronneberger 2015, section 3.1).
    """

    rotation_degrees: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    hflip: bool = False
    elastic: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """All settings of a training except architecture, data, size and seed.

    learning_rate: Adam's; with ``cosine`` it rises over ``warmup_epochs`` and falls to ``minimum_learning_rate`` at
    the last of the epochs, all of which are trained. Without, it is lowered on a plateau and training may stop early:
    patience in epochs, judged on the validation loss. loss: see ``lungseg.losses``. batch_norm_momentum: share of the
    moving statistics kept a step; Keras's own 0.99 lags so far behind at 300 steps that U-Net scores 0.65
    where 0.9 gives 0.97. monitor: by what the best epoch is chosen, whose weights are kept: ``val_loss``, the lowest,
    or ``val_hard_dice``, the highest mean Dice of the validation masks, which is what a leaderboard ranks by and one
    rule for all where losses are compared.
    ema_decay: decay an epoch of an exponential moving average of the weights, which is validated and kept instead
    of them (0.9: of the last 10, about), so that a plateau is the average's, too; 0 takes none. See
    ``lungseg.training.WeightEMA``.
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
    cosine: bool = False
    warmup_epochs: int = 0
    augmentation: Augmentation | None = None
    monitor: str = "val_loss"
    ema_decay: float = 0.0


# The source document's protocol: Dice loss, Adam, batch 16, 50 epochs, best weights kept, early stopping,
# learning rate lowered on a plateau, no augmentation.
REFERENCE = Recipe("reference")

# The same for suite smoke, whose few images need small batches and many epochs to take enough steps. Its rate is high
# and its patience short, so that a training ends some epochs after its best: a harness that kept the last would show.
SMOKE = replace(
    REFERENCE, name="smoke", epochs=40, batch_size=4, learning_rate=1e-2, plateau_patience=3, early_stopping_patience=6
)

# For suite quick, which has more images: fewer epochs leave every network between 0.85 and 0.98, so that they differ.
QUICK = replace(REFERENCE, name="quick", epochs=16, batch_size=4, learning_rate=2e-3)

# What one run on Montgomery's validation folds began with. Frozen: the best of 20 recipes that a search found on other
# images was not shown to be better on those it never saw (results/tuning/).
_AUGMENTATION = Augmentation(
    rotation_degrees=12, scale=0.15, shift=0.08, gamma=0.3, contrast=0.2, brightness=0.1, noise=0.03
)
STRONG = Recipe(
    "strong",
    epochs=150,
    learning_rate=2e-3,
    cosine=True,
    warmup_epochs=5,
    monitor="val_hard_dice",
    augmentation=_AUGMENTATION,
)

# For weights that were trained already (`lungseg train --pretrained`): steps a tenth as large, which change less of
# what they hold (the full rate gave 0.953 instead of 0.958 on Shenzhen after 20 images), and a third of the epochs.
FINE_TUNE = replace(
    STRONG, name="fine-tune", epochs=STRONG.epochs // 3, learning_rate=STRONG.learning_rate / 10,
)  # fmt: skip

# ``strong`` with one ingredient less, more, or another: what suite ablation compares with it. ``base:variant`` names
# a variant.
_CHANGES: dict[str, dict[str, Any]] = {
    "no-augmentation": {"augmentation": None},
    "no-geometric": {"augmentation": replace(_AUGMENTATION, rotation_degrees=0.0, scale=0.0, shift=0.0)},
    "no-intensity": {"augmentation": replace(_AUGMENTATION, gamma=0.0, contrast=0.0, brightness=0.0, noise=0.0)},
    "hflip": {"augmentation": replace(_AUGMENTATION, hflip=True)},
    # the document's schedule at its own pace: its patience of 5 was for 50 epochs. All are trained, for equal budgets.
    "plateau": {"cosine": False, "warmup_epochs": 0, "plateau_patience": 15, "early_stopping_patience": STRONG.epochs},
    "epochs-50": {"epochs": STRONG.epochs // 3},
    "batch-4": {"batch_size": STRONG.batch_size // 4},  # four times the steps for the same images
    "epochs-300": {"epochs": 2 * STRONG.epochs},
    "elastic": {"augmentation": replace(_AUGMENTATION, elastic=0.02)},
    "ema": {"ema_decay": 0.9},
    "dice-cross-entropy": {"loss": "dice_cross_entropy"},
    "focal-tversky": {"loss": "focal_tversky"},
    "boundary": {"loss": "boundary"},
}
# Several at once that are compared often, under one name for those who ask for it or read of it; the recipe that they
# are joined to is named by its parts.
JOINED = {"long": ("batch-4", "epochs-300", "elastic")}
VARIANT_NAMES = tuple(_CHANGES)
VARIANTS = tuple(replace(STRONG, name=f"{STRONG.name}:{name}", **changed) for name, changed in _CHANGES.items())

RECIPES = {recipe.name: recipe for recipe in (REFERENCE, SMOKE, QUICK, STRONG, FINE_TUNE, *VARIANTS)}


def recipe(name: str) -> Recipe:
    """The recipe of that name, or of several variants at once, as ``strong:batch-4+elastic``.

    Joined in any order, or by a name of ``JOINED``, it is one recipe, whose name has its parts in the order of the
    table above. Raises UsageError for an unknown name, which lists the known ones, and for variants that change the
    same setting.
    """
    if name in RECIPES:
        return RECIPES[name]
    base, _, variants = name.partition(":")
    listed = ", ".join((*_CHANGES, *glosses(JOINED)))
    known = [variant for variant in _CHANGES if f"{base}:{variant}" in RECIPES]
    if base not in RECIPES or not variants:
        raise UsageError(f"unknown recipe {name!r}: known are {', '.join(RECIPES)}, and variants joined by +")
    if not known:
        raise UsageError(f"recipe {base} has no variants, so no {variants!r}; those of {STRONG.name} are {listed}")
    parts = {part for one in variants.split("+") for part in JOINED.get(one, (one,))}
    together = sorted(parts, key=lambda part: (*known, part).index(part))
    if wrong := [part for part in together if part not in known]:
        raise UsageError(f"recipe {base} has no variant {wrong[0]!r}: known are {listed}, joined by +")
    return _joined(base, together, requested=name)


def abbreviated(variant: str) -> str:
    """``long+ema`` for the parts of a recipe's name that ``JOINED`` has a name for, and the rest."""
    parts = variant.split("+")
    for name, joined in JOINED.items():
        if set(joined) <= set(parts):
            parts = [name, *(part for part in parts if part not in joined)]
    return "+".join(parts)


def meanings(variants: Iterable[str]) -> dict[str, str]:
    """The changes by each known part of these variants of ``strong``, in the order of the table above."""
    used = {part for variant in variants for one in variant.split("+") for part in JOINED.get(one, (one,))}
    return {name: _change(name) for name in _CHANGES if name in used}


def _change(variant: str) -> str:
    """``batch_size 4 instead of 16``; of an augmentation only what differs."""
    old, new = asdict(STRONG), asdict(recipe(f"{STRONG.name}:{variant}"))
    pairs = [(name, old[name], new[name]) for name in old if name != "name"]
    inside = [pair for pair in pairs if not isinstance(pair[1], dict) or pair[2] is None]
    for _, before, after in (pair for pair in pairs if pair not in inside):
        inside += [(name, before[name], after[name]) for name in before]
    return ", ".join(_describe(*pair) for pair in inside if pair[1] != pair[2])


def _describe(name: str, before: Any, after: Any) -> str:
    if isinstance(before, bool) or after is None:
        return name if after else f"no {name}"
    return f"{name} {after} instead of {before}" if after and before else f"{name} {after}" if after else f"no {name}"


def glosses(variants: Iterable[str]) -> list[str]:
    """Explanations of the short names among these: ``long is batch-4+epochs-300+elastic``."""
    used = {part for variant in variants for part in variant.split("+")}
    return [f"{name} is {'+'.join(parts)}" for name, parts in JOINED.items() if name in used]


def _joined(base: str, variants: Sequence[str], requested: str) -> Recipe:
    name, changed = f"{base}:{'+'.join(variants)}", dict[str, Any]()
    for variant in variants:
        if twice := sorted(changed.keys() & _CHANGES[variant].keys()):
            other = next(one for one in variants if twice[0] in _CHANGES[one])
            short_for = "".join(f" ({gloss})" for gloss in glosses([requested.partition(":")[2]]))
            raise UsageError(
                f"recipe {requested!r}: {other} and {variant} both change {twice[0]}; leave one of them out{short_for}"
            )
        changed |= _CHANGES[variant]
    if "early_stopping_patience" in changed:  # as in a plateau alone, so that all epochs are trained
        changed["early_stopping_patience"] = changed.get("epochs", STRONG.epochs)
    return replace(RECIPES[base], name=name, **changed)
