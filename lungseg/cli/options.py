"""Options that several verbs share, and parsers of their values."""

from __future__ import annotations

import argparse
import os

from lungseg import terminal


def side(text: str) -> tuple[int, int]:
    """``128`` or ``256x320`` as (rows, columns), multiples of 16."""
    sides = text.lower().split("x")
    numbers = [int(s) if s.isascii() and s.isdecimal() else 0 for s in sides]
    if len(sides) > 2 or not all(16 <= number <= 4096 and number % 16 == 0 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: expected 128 or 256x320 (rows x columns), multiples of 16")
    return numbers[0], numbers[-1]


def add_data(parser: argparse.ArgumentParser) -> None:
    """The two arguments that name a labelled set."""
    parser.add_argument("dataset", help="name of the dataset: folder (your own img/ and mask/), montgomery, shenzhen")
    parser.add_argument("root", type=terminal.path, help="root folder of the dataset")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The option for what runs a trained network."""
    words = "inference engine (default: onnx if the model has an ONNX graph and ONNX Runtime is installed, else keras)"
    parser.add_argument("--engine", choices=("onnx", "keras"), help=words)
    words = "test-time augmentation: average over each image and six slightly turned, scaled and brightened copies"
    parser.add_argument("--tta", action="store_true", help=words)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option for the number of CPU threads."""
    cores = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--threads", type=terminal.whole(1, 1024), default=cores, help=f"CPU threads (default: {cores})"
    )
