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
    # SPREAD
    "smoke": Limits(margin=0.05, floor=0.70),
}

REAL = Limits(margin=0.005, floor=0.90)


def limits_of(suite: str) -> Limits:
    """Limits of a suite; those of a real set unless it has its own."""
    return LIMITS.get(suite, REAL)
