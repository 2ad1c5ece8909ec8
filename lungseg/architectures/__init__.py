"""The registry of architectures: one file and one function each, one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lungseg import settings
from lungseg.errors import UsageError
from lungseg.registry import Registry

if TYPE_CHECKING:
    import keras

    from lungseg.architectures.blocks import LayerFactory

ARCHITECTURES = Registry(
    "architecture",
    {
        "unet": "lungseg.architectures.unet:unet",
        "resunet": "lungseg.architectures.resunet:resunet",
        "r2unet": "lungseg.architectures.r2unet:r2unet",
        "attention_unet": "lungseg.architectures.attention_unet:attention_unet",
        "attention_r2unet": "lungseg.architectures.attention_r2unet:attention_r2unet",
        "unetpp": "lungseg.architectures.unetpp:unetpp",
        "unet3plus": "lungseg.architectures.unet3plus:unet3plus",
        "deeplabv3plus": "lungseg.architectures.deeplabv3plus:deeplabv3plus",
        "m2unet": "lungseg.architectures.m2unet:m2unet",
        "lwnet": "lungseg.architectures.lwnet:lwnet",
        "segformer_b0": "lungseg.architectures.segformer:segformer_b0",
        "mobilenetv2_unet": "lungseg.architectures.mobilenetv2_unet:mobilenetv2_unet",
        "unetpp_deep": "lungseg.architectures.unetpp:unetpp_deep",
        "swin_unet": "lungseg.architectures.swin_unet:swin_unet",
        "transunet": "lungseg.architectures.transunet:transunet",
    },
)

# As their papers write them: what pages, figures and tables show.
DISPLAY_NAMES = {
    "unet": "U-Net",
    "resunet": "ResUNet",
    "r2unet": "R2U-Net",
    "attention_unet": "Attention U-Net",
    "attention_r2unet": "Attention R2U-Net",
    "unetpp": "UNet++",
    "unet3plus": "U-Net 3+",
    "deeplabv3plus": "DeepLabV3+",
    "m2unet": "M2U-Net",
    "lwnet": "LW-Net",
    "segformer_b0": "SegFormer-B0",
    "mobilenetv2_unet": "MobileNetV2 U-Net",
    "unetpp_deep": "UNet++ (deep supervision)",
    "swin_unet": "Swin-Unet",
    "transunet": "TransUNet",
}

DIVISOR = 16  # four halvings


def build(name: str, shape: tuple[int, int, int], width: int = 64, layers: LayerFactory | None = None) -> keras.Model:
    """A functional model from images (B, H, W, C) to lung probabilities float32 (B, H, W, 1) in [0, 1].

    name: one of ``ARCHITECTURES``, or ``package.module:function``, a function (shape, width, layers) like theirs.
    shape: (height, width, channels), height and width multiples of 16. width: channels of the first level; where
    the paper has other numbers of channels (DeepLabV3+, M2U-Net), 64 is the paper's and all scale with it.
    layers: makes all layers with one normalisation and precision; float32 with momentum 0.9 unless given.
    Initial weights come from Keras's global seed (``keras.utils.set_random_seed``).
    Raises UsageError for an unknown name, a size that cannot be halved four times, a width below 1, or settings of
    Keras under which it would be another network (``lungseg.settings``).
    """
    function = ARCHITECTURES.resolve(name)
    if len(shape) != 3:
        raise UsageError(f"{name}: shape {shape} must be (height, width, channels)")
    rows, columns, channels = shape
    for side in (rows, columns):
        if side < DIVISOR or side % DIVISOR:
            below = max(side // DIVISOR, 1) * DIVISOR
            raise UsageError(
                f"{name}: size {rows} x {columns} cannot be halved four times; height and width must be "
                f"multiples of {DIVISOR}, such as {below} or {below + DIVISOR} instead of {side}"
            )
    if width < 1 or channels < 1:
        raise UsageError(f"{name}: width {width} and channels {channels} must be at least 1")
    settings.check_settings()
    from lungseg.architectures.blocks import LayerFactory

    model: keras.Model = function(shape, width, layers or LayerFactory())
    return model
