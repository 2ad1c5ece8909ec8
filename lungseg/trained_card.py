"""The card of a network that ``lungseg.fit`` trains: what is known before, and what the training adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungseg import provenance, runtime
from lungseg.card import Card, require_valid
from lungseg.datasets import Case
from lungseg.errors import UsageError
from lungseg.evaluation import Evaluation
from lungseg.postprocessing import STATED
from lungseg.prepare import Prepared
from lungseg.recipes import Recipe
from lungseg.splits import Fold

if TYPE_CHECKING:
    import keras

    from lungseg.training import Trained

ABOUT = ("name", "set", "licence", "sources", "intended_use", "limits", "preprocessing")  # what a caller may state


def stated(
    out: Path, recipe: Recipe, architecture: str, width: int, size: tuple[int, int], about: dict[str, Any]
) -> Card:
    """The card of what is known before the training. Raises UsageError for arguments of which no card can be made,
    which would show only after it."""
    if unknown := sorted(set(map(str, about)) - set(ABOUT)):
        raise UsageError(f"about: unknown {unknown[0]!r}; known are {', '.join(ABOUT)}")
    card = Card(
        name=about.pop("name", out.name),
        architecture=architecture,
        width=width,
        size=size,
        momentum=recipe.batch_norm_momentum,
        threshold=recipe.threshold,
        recipe=asdict(recipe),
        data={"set": about.pop("set", "a folder")},
        training={},
        weights_sha256="0" * 64,  # what is not known yet stands in for itself
        parameters=1,
        **about,
    )
    require_valid(card, f"card of {out}")
    return card


def scored(held_out: Evaluation, folds: int) -> list[Mapping[str, Any]]:
    """The scores of images that the training, or those of ``folds`` folds, held out."""
    how = f"{folds} folds, each image by a training that never saw its patient" if folds else "patients held out, once"
    return [
        {"set": "the training set, out of fold" if folds else "held-out patients", "metric": "dice", "at": at,
         "how": f"{how}, {STATED}", **held_out.dice(at)}
        for at in ("stored", "network")
    ]  # fmt: skip


def complete(
    stated: Card, model: keras.Model, cases: Sequence[Case], prepared: Prepared, fold: Fold, trained: Trained,
    settings: Mapping[str, Any], scores: Sequence[Mapping[str, Any]],
) -> Card:  # fmt: skip
    """The whole card of a network that was trained on a fold of these cases. settings: of the training."""
    from lungseg import complexity

    split = {part: len(ids) for part, ids in asdict(fold).items()}
    return replace(
        stated,
        data={
            **stated.data,
            "images": len(cases),
            "patients": len({case.patient for case in cases}),
            "raw_sha256": prepared.raw_sha256,
            "prepared_sha256": prepared.sha256,
            "split": split,
            "use": f"one training: {split['train']} images to train on, {split['validation']} to choose the epoch by, "
            f"{split['test']} held out",
        },
        training={
            **settings,
            "epochs": len(trained.history["loss"]),
            "best_epoch": trained.best_epoch + 1,
            "validation_dice": trained.history["val_hard_dice"][trained.best_epoch],
            "cpu_seconds": round(trained.cpu_seconds, 1),
            "backend": runtime.backend_name(),
            "versions": runtime.versions(),
            "source": provenance.source(),
        },
        weights_sha256=trained.weights_sha256,
        parameters=complexity.parameters(model),
        scores=tuple(scores),
        exposure=exposure(prepared, fold),
    )


def exposure(prepared: Prepared, fold: Fold) -> dict[str, Any]:
    """The range of what images trained on look like at the network's size: [lowest, highest] mean and standard
    deviation of grey, and share of the image that is lung."""
    taken = (prepared.take([key]) for key in (*fold.train, *fold.validation))
    measured = np.array([[images[0].mean(), images[0].std(), masks[0].mean()] for images, masks in taken])
    low, high = measured.min(0), measured.max(0)
    names = ("mean", "standard_deviation", "lung_share")
    return {name: [round(float(a), 4), round(float(b), 4)] for name, a, b in zip(names, low, high, strict=True)}
