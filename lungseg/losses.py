"""Training losses and the Dice that is watched while training. One value an image, whatever the batch."""

from __future__ import annotations

from typing import Any

import keras

SMOOTH = 1.0  # pixel; keeps the ratio defined when an image holds no lung


@keras.saving.register_keras_serializable(package="lungseg")
def dice_coefficient(y_true: Any, y_pred: Any) -> Any:
    """Soft Dice of each image: 2 sum(t p) / (sum(t) + sum(p)). (B, H, W, 1) in [0, 1] to (B,), float32.

    Sums run in float32: in float16 one full 256 x 256 mask (65,536) would overflow. For the leaderboard's
    Dice, from integer counts, see ``lungseg.metrics``. Source: Milletari et al. 2016, V-Net, section 3,
    with plain instead of squared sums in the denominator.
    """
    truth = keras.ops.cast(y_true, "float32")
    guess = keras.ops.cast(y_pred, "float32")
    axes = (1, 2, 3)
    both = keras.ops.sum(truth * guess, axis=axes)
    total = keras.ops.sum(truth, axis=axes) + keras.ops.sum(guess, axis=axes)
    return (2.0 * both + SMOOTH) / (total + SMOOTH)


@keras.saving.register_keras_serializable(package="lungseg")
def dice_loss(y_true: Any, y_pred: Any) -> Any:
    """1 - Dice coefficient of each image; (B, H, W, 1) to (B,). Keras takes the mean over the batch.

    Unlike ``keras.losses.Dice`` it does not pool the batch, so a small lung counts as much as a large one.
    """
    return 1.0 - dice_coefficient(y_true, y_pred)
