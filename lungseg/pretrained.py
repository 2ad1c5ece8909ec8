"""Fine-tuning: a training that starts from a model folder's weights instead of random ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg import evaluation, model_folder
from lungseg.datasets import Case
from lungseg.errors import UsageError
from lungseg.model_folder import ModelFolder
from lungseg.postprocessing import STATED

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Pretrained:
    """The model that a training starts from."""

    model: ModelFolder

    @classmethod
    def find(cls, model: str | Path, architecture: str | None = None, width: int | None = None) -> Pretrained:
        """The model folder at a path, or the shipped model of that name.

        Raises DataError for what is no model folder, UsageError for one without weights, or of another architecture or
        width than requested.
        """
        if not isinstance(model, str | Path):
            raise UsageError(
                f"pretrained: expected a model folder's path or a shipped model's name, not {model!r}"[:200]
            )
        result = cls(model_folder.find(model))
        card = result.model.card
        if result.model.weights is None:
            raise UsageError(
                f"{model}: has no {model_folder.WEIGHTS}, only an ONNX graph, from which no training starts"
            )
        for name, requested, held in (("architecture", architecture, card.architecture), ("width", width, card.width)):
            if requested not in (None, held):
                raise UsageError(f"{name} {requested}: {model} has {held}; leave {name} out to train that one on")
        return result

    def stated(self) -> dict[str, Any]:
        """What the card of the trained model says of it."""
        card = self.model.card
        return {"name": card.name, "weights_sha256": card.weights_sha256, "train_sets": card.train_sets}

    def put_into(self, network: keras.Model) -> None:
        """Give a network, of any input size, its weights. Raises UsageError where the shapes depend on the size."""
        weights = model_folder.build(self.model).get_weights()
        try:
            network.set_weights(weights)
        except ValueError as error:
            card = self.model.card
            size = "x".join(str(side) for side in card.size)
            raise UsageError(f"{card.name}: its weights fit images of {size} pixels alone; give size {size}") from error

    def score(self, cases: Sequence[Case], ids: Collection[str]) -> dict[str, Any]:
        """Its own mean Dice on the cases of these ids, at their masks' stored size, as a card has it: what a training
        changes. cases: the whole set, whose files have one bit depth."""
        from lungseg import engine

        card = self.model.card
        of_all = evaluation.evaluate(engine.start(self.model, "keras"), cases, card.size, card.threshold)
        result = evaluation.Evaluation(tuple(case for case in of_all.cases if case["id"] in ids))
        where = f"the same images, by {card.name} before this training"
        return {"set": where, "metric": "dice", "at": "stored", "how": STATED, **result.dice()}

    def check_leakage(self, cases: Sequence[Case]) -> None:
        """Raise UsageError where it was trained on these very cases: scored as held out, they would not be new to it.

        A set that holds some of them among others is not recognised.
        """
        if self.model.card.has_train_set(evaluation.fingerprint(cases)):
            raise UsageError(
                f"{self.model.card.name}: was trained on these very images, so the score of those held out would be too"
                " high; train on others, or on all without a score (--all, hold_out=False)"
            )
