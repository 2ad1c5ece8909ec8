"""How far scores may fall, suite by suite, and the measured spread that says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much worse a run may be than its baseline.

    margin: of the mean paired change of per-image Dice; each architecture must be shown to have lost less, by a
    one-sided bootstrap over patients at ``level``, Holm over architectures. On another machine kind also the outer
    limit of pooled F1 and validation loss. floor: no mean score may be below it anywhere.
    pixels: largest change of a prepared image's mean, whose last bits depend on the processor.
    """

    margin: float
    floor: float
    level: float = 0.05
    pixels: float = 1e-5


LIMITS = {
    # Equal code moves by itself as far as this, by `python -m tests.gate.spread --seeds 3 --threads 2` (AMD EPYC, 2
    # cores; mean Dice of seeds 0, 1, 2, and how far two threads instead of one moved seed 0, as another processor would):
    #   unet    0.9662 0.9476 0.9504   range 0.0185   validation loss 0.1232   threads -0.0026
    #   resunet 0.9570 0.9319 0.9562   range 0.0251   validation loss 0.1138   threads +0.0009
    #   r2unet  0.9473 0.9541 0.9504   range 0.0068   validation loss 0.0286   threads -0.0060
    # The margin is twice the largest range: 16 images and one seed cannot tell less. Validation loss, of two images, is
    # held to it only where seeds are equal, as in the gate.
    "smoke": Limits(margin=0.05, floor=0.70),
}

# A real set: half of the loss of 0.01 that must be found; `python -m tests.gate.simulate` says how often the gate errs.
REAL = Limits(margin=0.005, floor=0.90)


def limits_of(suite: str) -> Limits:
    """Limits of a suite; those of a real set unless it has its own."""
    return LIMITS.get(suite, REAL)
