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
    # Equal code moves by itself as far as this, by `python -m tests.gate.spread --seeds 3 --threads 2` (two cores of an
    # AMD EPYC with AVX-512; mean Dice of seeds 0, 1, 2, and what two threads instead of one did to seed 0):
    #   unet    0.9758 0.9734 0.9743   range 0.0024   range of validation loss 0.0121   two threads -0.0012
    #   resunet 0.9742 0.9640 0.9730   range 0.0102   range of validation loss 0.0168   two threads -0.0003
    #   r2unet  0.9566 0.9730 0.9712   range 0.0163   range of validation loss 0.0163   two threads +0.0035
    # Another processor rounds as other threads do: with ONEDNN_MAX_CPU_ISA=AVX2 seed 0 moved by -0.0008, -0.0011 and
    # +0.0040. The margin is twelve times the largest of these moves, and three times the range over seeds, to which
    # rounding could grow.
    # What does not depend on rounding is compared exactly everywhere, by the dry run (``bench.gate.dry_run``).
    "smoke": Limits(margin=0.05, floor=0.70),
}

# A real set: with images' own spread, halfway between equal code and the loss of 0.01 that must be found;
# `python -m tests.gate.simulate` says how often the gate errs on either side.
REAL = Limits(margin=0.006, floor=0.90)


def limits_of(suite: str) -> Limits:
    """Limits of a suite; those of a real set unless it has its own."""
    return LIMITS.get(suite, REAL)
