"""A scripted network for dry runs: it logs what it is given, its predictions follow a script, it learns nothing.

Its answers are exact arithmetic on a grid, so a training, a prediction and its scores come out alike to the last count
on every processor, where the curves of a real network only agree in their first digits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from lungseg.architectures.blocks import LayerFactory

LEVELS = np.array([0.0413, 0.2971, 0.4637, 0.5819, 0.8302, 0.9544], np.float32)  # none near a threshold that is used
EDGES = np.array([1.6, 1.3, 1.05, 0.9, 0.6])  # of the ellipses between two levels, a lung's radius being 1
SHIFTS = 3  # columns by which an image's own brightness may move its lungs
MADE: list[Scripted] = []  # in this process, the last one last


class Scripted(keras.Model):
    """A model whose predictions follow a script. It logs what ``compile`` and ``fit`` receive, images by ``digest`` of
    their mask and by their mean.

    Its one bias is the epoch whose weights it holds: 1 after the first, 0 before.
    """

    def compile(self, *args: Any, loss: Any = None, weighted_metrics: Sequence[Any] = (), **how: Any) -> None:
        """Like Keras's ``compile``; stores the loss and the names of the metrics that the script reports."""
        super().compile(*args, loss=loss, weighted_metrics=list(weighted_metrics), **how)
        self.given_loss, self.names = loss, ["loss", *(metric.name for metric in weighted_metrics)]

    def fit(
        self, x: Iterator[tuple[np.ndarray, np.ndarray]], *, steps_per_epoch: int, epochs: int,
        validation_data: keras.utils.PyDataset, callbacks: Sequence[keras.callbacks.Callback],
        initial_epoch: int = 0, **_: Any,
    ) -> None:  # fmt: skip
        """Take every batch, learn nothing of it, tell the callbacks what the script says."""
        self.trace: dict[str, Any] = {"epochs": [], "validation": []}
        for k in range(len(validation_data)):
            self.trace["validation"] += seen(*validation_data[k])
        hooks = keras.callbacks.CallbackList(list(callbacks), model=self, epochs=epochs, steps=steps_per_epoch)
        self.stop_training = False
        hooks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            hooks.on_epoch_begin(epoch)
            self.trace["epochs"].append([seen(*next(x)) for _ in range(steps_per_epoch)])
            self.get_layer("epoch").bias.assign([epoch + 1.0])
            hooks.on_test_begin()
            hooks.on_test_end()
            hooks.on_epoch_end(epoch, numbers(self.names, epoch))
            if self.stop_training:
                break
        hooks.on_train_end()

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        """Two ellipses: larger with the epoch whose weights it holds, moved by the image's brightness."""
        epoch = float(np.asarray(self.get_layer("epoch").bias)[0])
        return np.stack([answer(np.asarray(image)[..., 0], epoch) for image in x])[..., None]


def scripted(shape: tuple[int, int, int], width: int, style: LayerFactory) -> keras.Model:
    """An architecture's function, for the registry."""
    image = keras.Input(shape)
    out = keras.layers.Conv2D(1, 1, kernel_initializer="zeros", activation="sigmoid", name="epoch")(image)
    MADE.append(Scripted(image, out))
    return MADE[-1]


def answer(image: np.ndarray, epoch: float) -> np.ndarray:
    """Probabilities float32 (H, W) of one image (H, W), in steps: no sum that a processor may round decides a pixel."""
    height, width = image.shape
    shift = math.floor(1000 * float(image.mean(dtype=np.float64))) % SHIFTS - SHIFTS // 2
    row = (np.arange(height)[:, None] + 0.5) / height
    column = (np.arange(width)[None, :] + 0.5 - shift) / width
    tall, wide = 0.25 + 0.004 * epoch, 0.11 + 0.002 * epoch
    squares = [((row - 0.47) / tall) ** 2 + ((column - centre) / wide) ** 2 for centre in (0.29, 0.7)]
    steps = np.searchsorted(-EDGES, -np.minimum(*squares))
    return np.asarray(LEVELS[steps])


def numbers(names: Sequence[str], epoch: int) -> dict[str, float]:
    """An epoch's logs. The validation loss falls, waits on a plateau, is lowest in epoch 11 and never again: the best
    is not the last, and a rate that waits for three epochs is lowered before it and after it. Every other validation
    number is best in epoch 14."""
    falling = 0.5 - 0.02 * epoch
    lost = falling if epoch < 7 else 0.45 if epoch < 11 else 0.3 + 0.002 * (epoch - 11)
    other = 0.6 + 0.01 * min(epoch, 14) - 0.005 * max(epoch - 14, 0)
    logs = dict.fromkeys(names, 0.7 - 0.01 * epoch)
    return logs | {f"val_{name}": lost if name == "loss" else other for name in names}


def seen(images: np.ndarray, masks: np.ndarray) -> list[tuple[str, float]]:
    """The mask's digest and the image's mean, for each image of a batch (B, H, W, 1)."""
    return [
        (digest(mask[..., 0] > 0.5), float(image.mean(dtype=np.float64)))
        for image, mask in zip(np.asarray(images), np.asarray(masks), strict=True)
    ]


def digest(mask: np.ndarray) -> str:
    """Hash of a boolean mask (H, W). Masks have the same bits on every processor, prepared images not quite."""
    return hashlib.sha256(f"{mask.shape}".encode() + np.packbits(mask).tobytes()).hexdigest()
