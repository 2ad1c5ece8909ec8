"""The contract that every architecture meets, for those of other projects too: ``check_architecture(mynet)``.

A check is a generator of sentences, each of which says what is wrong and what to change; a sound architecture
yields none. ``CHEAP`` takes seconds an architecture, ``DEAR`` minutes.
"""

from __future__ import annotations

from lungseg.testing.cheap import CHEAP, HALF
from lungseg.testing.dear import DEAR
from lungseg.testing.subject import Builder, Subject, images, output

__all__ = ["CHEAP", "DEAR", "HALF", "Builder", "Subject", "check_architecture", "images", "output"]


def check_architecture(build: Builder, *, width: int = 2, dear: bool = False) -> None:
    """Raise AssertionError with everything that keeps ``build`` from being an architecture of lungseg.

    build: (shape (H, W, C), width, style) -> keras.Model, from images (B, H, W, C) to float32 probabilities
    (B, H, W, 1). width: of the small models that are built. dear: also learn two images by heart, try half precisions
    and larger sizes, which takes minutes.
    """
    subject = Subject(build, width)
    checks = CHEAP | DEAR if dear else CHEAP
    if problems := [f"{name}: {problem}" for name, check in checks.items() for problem in check(subject)]:
        raise AssertionError("\n".join(problems))
