"""Training losses, and Dice as a metric during training. Each gives one value per image, whatever the batch."""

from __future__ import annotations

from typing import Any

import keras

SMOOTH = 1.0  # pixel; keeps the ratio defined when an image holds no lung
SURE = 1e-7  # a probability is kept this far from 0 and 1, whose logarithms are infinite
FN_WEIGHT, FP_WEIGHT = 0.7, 0.3  # weights of a false negative and a false positive pixel
FOCUS = 0.75  # 1 / gamma of the paper: below 1, so that images which are nearly right still pull
# A percent of the side. On Montgomery's masks at 64 px a pixel at the border then pulls a fifth as hard as by the Dice
# loss, at 256 px a twentieth, and one deepest inside three times as hard at any size.
BOUNDARY_WEIGHT = 0.5
FAR = 1e9  # squared pixels, beyond every image


@keras.saving.register_keras_serializable(package="lungseg")
def dice_coefficient(y_true: Any, y_pred: Any) -> Any:
    """Soft Dice of each image: 2 sum(t p) / (sum(t) + sum(p)). (B, H, W, 1) in [0, 1] to (B,), float32.

    Sums run in float32: in float16 one full 256 x 256 mask (65,536) would overflow. For the leaderboard's
    Dice, from integer counts, see ``lungseg.metrics``. Source: Milletari et al. 2016, V-Net, section 3,
    with plain instead of squared sums in the denominator.
    """
    target = keras.ops.cast(y_true, "float32")
    prediction = keras.ops.cast(y_pred, "float32")
    axes = (1, 2, 3)
    both = keras.ops.sum(target * prediction, axis=axes)
    total = keras.ops.sum(target, axis=axes) + keras.ops.sum(prediction, axis=axes)
    return (2.0 * both + SMOOTH) / (total + SMOOTH)


@keras.saving.register_keras_serializable(package="lungseg")
def hard_dice(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Dice of each image's mask, lung where the probability is at least ``threshold``; (B, H, W, 1) to (B,), float32.

    The leaderboard's Dice (``lungseg.metrics.dice``) as a metric to watch: 1 where both masks are empty.
    """
    target = keras.ops.cast(y_true, "float32")
    prediction = keras.ops.cast(keras.ops.cast(y_pred, "float32") >= threshold, "float32")
    axes = (1, 2, 3)
    both = keras.ops.sum(target * prediction, axis=axes)
    total = keras.ops.sum(target, axis=axes) + keras.ops.sum(prediction, axis=axes)
    return keras.ops.where(total > 0, 2.0 * both / keras.ops.maximum(total, 1.0), 1.0)


@keras.saving.register_keras_serializable(package="lungseg")
def dice_loss(y_true: Any, y_pred: Any) -> Any:
    """1 - Dice coefficient of each image; (B, H, W, 1) to (B,). Keras takes the mean over the batch.

    Unlike ``keras.losses.Dice`` it does not pool the batch, so a small lung counts as much as a large one.
    """
    return 1.0 - dice_coefficient(y_true, y_pred)


@keras.saving.register_keras_serializable(package="lungseg")
def dice_cross_entropy_loss(y_true: Any, y_pred: Any) -> Any:
    """Dice loss plus the mean binary cross-entropy of an image's pixels; (B, H, W, 1) to (B,).

    Source: Isensee et al. 2021, nnU-Net, whose loss is the sum of the two in equal parts.
    """
    target = keras.ops.cast(y_true, "float32")
    prediction = keras.ops.clip(keras.ops.cast(y_pred, "float32"), SURE, 1.0 - SURE)
    entropy = -(target * keras.ops.log(prediction) + (1.0 - target) * keras.ops.log(1.0 - prediction))
    return dice_loss(y_true, y_pred) + keras.ops.mean(entropy, axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="lungseg")
def focal_tversky_loss(y_true: Any, y_pred: Any) -> Any:
    """(1 - Tversky index) ** 0.75 of each image; (B, H, W, 1) to (B,). A false negative costs 0.7, a false
    positive 0.3.

    Source: Abraham and Khan 2019, arXiv:1810.07842, with their weights and gamma of 4/3; the exponent is 1 / gamma.
    """
    target = keras.ops.cast(y_true, "float32")
    prediction = keras.ops.cast(y_pred, "float32")
    axes = (1, 2, 3)
    both = keras.ops.sum(target * prediction, axis=axes)
    fn = keras.ops.sum(target * (1.0 - prediction), axis=axes)
    fp = keras.ops.sum((1.0 - target) * prediction, axis=axes)
    index = (both + SMOOTH) / (both + FN_WEIGHT * fn + FP_WEIGHT * fp + SMOOTH)
    # a perfect image has slope 0 of an infinite power: kept a little above it, where the gradient is a number
    return keras.ops.power(keras.ops.maximum(1.0 - index, SURE), FOCUS)


@keras.saving.register_keras_serializable(package="lungseg")
def boundary_loss(y_true: Any, y_pred: Any) -> Any:
    """Dice loss plus the mean distance of wrong pixels to the target's border; (B, H, W, 1) to (B,).

    A pixel costs its error times its distance, in percent of the longer side, so that a region missed deep inside a
    lung weighs more than a border drawn a pixel off. An image that is all lung or none has no border and no such cost.
    Source: Kervadec et al. 2019, arXiv:1812.07032, equation 5, less its value for the target, so that the least is 0,
    and with a constant weight instead of their schedule over epochs. Needs H x W x max(H, W) floats at a time on
    TensorFlow: 64 MB at 256 px, half a gigabyte at 512 px.
    """
    target = keras.ops.cast(y_true, "float32")
    error = keras.ops.cast(y_pred, "float32") - target
    distance = keras.ops.map(signed_distance, target[..., 0] >= 0.5)[..., None]
    _, height, width, _ = keras.ops.shape(target)
    percent = 100.0 / keras.ops.cast(keras.ops.maximum(height, width), "float32")
    return dice_loss(y_true, y_pred) + BOUNDARY_WEIGHT * percent * keras.ops.mean(distance * error, axis=(1, 2, 3))


def signed_distance(mask: Any) -> Any:
    """Pixels from the mask's border, negative inside, half a pixel beside it, 0 without a border; (H, W) to (H, W)."""
    outside = keras.ops.logical_not(mask)
    signed = keras.ops.where(mask, 0.5 - _distance_to(outside), _distance_to(mask) - 0.5)
    return keras.ops.where(keras.ops.any(mask) & keras.ops.any(outside), signed, 0.0)


def _distance_to(mask: Any) -> Any:
    """Euclidean distance of every pixel to the nearest one of the mask, along each axis in turn, which is exact."""
    squared = keras.ops.where(mask, 0.0, FAR)
    for _ in range(2):
        places = keras.ops.arange(keras.ops.shape(squared)[1], dtype="float32")
        squared = keras.ops.min(squared[:, None, :] + (places[:, None] - places) ** 2, axis=-1)
        squared = keras.ops.transpose(squared)
    return keras.ops.sqrt(squared)


LOSSES = {
    "dice": dice_loss,
    "dice_cross_entropy": dice_cross_entropy_loss,
    "focal_tversky": focal_tversky_loss,
    "boundary": boundary_loss,
}
