"""The largest accepted loss of each suite's scores, set by its measured run-to-run spread or by the user."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lungseg.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """How much worse a run may be than its baseline.

    margin: of the mean paired change of per-image Dice; each architecture must be shown to have lost less, by a
    one-sided bootstrap over patients at ``level``, Holm over architectures. On another machine kind also the outer
    limit of pooled F1. margins: of architectures that have their own, as (name, margin). loss: the outer limit of the
    validation loss, which is of few images, unless the margin is larger.
    floor: no mean score may be below it anywhere.
    exact: whether counts and distances must be equal on the baseline's machine kind.
    pixels: largest change of a prepared image's mean, whose last bits depend on the processor.
    """

    margin: float
    floor: float
    level: float = 0.05
    margins: tuple[tuple[str, float], ...] = ()
    exact: bool = True
    loss: float = 0.05
    pixels: float = 1e-5

    def margin_of(self, architecture: str) -> float:
        """The architecture's own margin, or that of all."""
        return dict(self.margins).get(architecture, self.margin)


LIMITS = {
    # Equal code moves by itself as far as this: `python -m tests.gate.spread --seeds 5 --threads 1`, once as it is and
    # once with ONEDNN_MAX_CPU_ISA=AVX2, on two cores of an AMD EPYC with AVX-512. Mean Dice of seeds 0 to 4, and what
    # AVX2 instead of AVX-512, another rounding, did to that of each seed and to its validation loss:
    #   unet    0.9758 0.9734 0.9743 0.9713 0.9711  AVX2 -0.0008 to +0.0046, SD 0.0024  loss -0.0085 to +0.0122
    #   resunet 0.9742 0.9640 0.9730 0.9725 0.9736  AVX2 -0.0010 to +0.0045, SD 0.0021  loss -0.0153 to +0.0042
    #   r2unet  0.9566 0.9730 0.9712 0.9667 0.9598  AVX2 -0.0044 to +0.0039, SD 0.0031  loss -0.0077 to +0.0069
    # Two threads instead of one moved seed 0 by -0.0012, -0.0003 and +0.0035. Of these ten reruns on the other kind of
    # processor the gate would have failed none with a margin of 0.02, one with 0.015 and three with 0.01; the margin is
    # four times the largest move. What does not depend on rounding is compared exactly everywhere, by the dry run.
    "smoke": Limits(margin=0.02, floor=0.70),
    # Anybody's images and networks, of which nothing is known: what is asked is whether they lost much.
    "own-smoke": Limits(margin=0.02, floor=0.0, exact=False),
}

# A real set: with images' own spread, halfway between equal code and the loss of 0.01 that must be found;
# `python -m tests.gate.simulate` says how often the gate errs on either side.
REAL = Limits(margin=0.006, floor=0.90)


def limits_of(suite: str) -> Limits:
    """Limits of a suite; those of a real set unless it has its own."""
    return LIMITS.get(suite, REAL)


def chosen(suite: str, file: Path | None, margin: float | None) -> Limits:
    """Limits of a suite as far as a file of the user's, and then a margin, do not say otherwise.

    Who gives either means that scores may move so far: they need not be equal on any machine unless the file says
    ``exact = true``. Raises UsageError for a file that cannot be used and a margin that is none.
    """
    limits = limits_of(suite)
    if file is not None:
        limits = replace(limits, exact=False, margins=())
        limits = replace(limits, **_read(file))
    if margin is not None:
        _require(_share(margin), f"--margin {margin}", "a loss of Dice above 0 and below 1, such as 0.01")
        limits = replace(limits, margin=margin, margins=(), exact=limits.exact and file is not None)
    return limits


def _read(path: Path) -> dict[str, Any]:
    """What a TOML file says: ``margin``, ``floor``, ``level``, ``exact`` and a table ``margins`` by architecture."""
    try:
        result = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = getattr(error, "strerror", "") or error
        raise UsageError(f"{path}: not a limits file ({why}); expected TOML such as margin = 0.01") from error
    known = {
        "margin": (_share, "a loss of Dice above 0 and below 1"),
        "floor": (lambda v: v == 0 or _share(v), "a Dice from 0 and below 1"),
        "level": (_share, "a level above 0 and below 1, such as 0.05"),
        "exact": (lambda v: isinstance(v, bool), "true or false"),
        "margins": (lambda v: isinstance(v, dict) and all(map(_share, v.values())), "margins by architecture"),
    }
    for key, value in result.items():
        _require(key in known, f"{path}: {key}", f"one of {', '.join(known)}")
        fits, words = known[key]
        _require(fits(value), f"{path}: {key} = {value!r}", words)
    return {**result, "margins": tuple(result.get("margins", {}).items())}


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < 1


def _require(fits: bool, what: str, expected: str) -> None:
    if not fits:
        raise UsageError(f"{what}: expected {expected}")
