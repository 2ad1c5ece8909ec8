"""Tests of the contract that every architecture must meet; for other projects: ``check_architecture(mynet)``.

A check is a generator of sentences, each of which says what is wrong and what to change; a sound architecture
yields none. ``FAST`` takes seconds an architecture, ``SLOW`` minutes.
"""

from __future__ import annotations

from lungseg.testing.checks import FAST, HALF, SLOW, Builder, ModelUnderTest, images, output

__all__ = ["FAST", "HALF", "SLOW", "Builder", "ModelUnderTest", "check_architecture", "images", "output"]


def check_architecture(build: Builder, *, width: int = 2, slow: bool = False) -> None:
    """Raise AssertionError with everything that keeps ``build`` from being an architecture of lungseg; with that alone
    where it builds no functional model or the output has another size, which would break the other checks.

    build: (shape (H, W, C), width, layers) -> keras.Model, from images (B, H, W, C) to float32 probabilities
    (B, H, W, 1). width: of the small models that are built. slow: also overfit two images, try half precisions
    and larger sizes, which takes minutes.
    """
    tested = ModelUnderTest(build, width)
    checks = FAST | SLOW if slow else FAST
    problems: list[str] = []
    for name, check in checks.items():
        result = [f"{name}: {problem}" for problem in check(tested)]
        problems += result
        if result and name in ("sizes", "many_sizes"):
            break
    if problems:
        raise AssertionError("\n".join(problems))
