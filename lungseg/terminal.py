"""What commands share: streams that may be closed or full, options, paths and numbers as people type them, times
as they say them."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lungseg.errors import UsageError


def open_streams() -> None:
    """Give a command standard streams where it has none, as under ``>&-``, in cron and in a daemon: they lead nowhere.

    Otherwise the first file that is opened takes their number, and what is printed goes into it. A name that the
    terminal cannot show is written in escapes rather than ending the command.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence() -> None:
    """Lead standard output nowhere: its reader has left or its disk is full, and the end must not fail on it again."""
    target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, sys.stdout.fileno())
    os.close(target)


def plain(text: str) -> str:
    """Text safe for a terminal: a file name may hold newlines or escape codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(line: str) -> None:
    """One line of progress or of a problem, on standard error."""
    print(plain(line), file=sys.stderr, flush=True)


def every(seconds: float, say: Callable[[str], None] | None) -> Callable[[str], None]:
    """``say``, silent until so many seconds have passed since it spoke last; silent throughout for None."""
    spoke = time.monotonic()

    def tell(line: str) -> None:
        nonlocal spoke
        if say and time.monotonic() - spoke > seconds:
            spoke = time.monotonic()
            say(line)

    return tell


def path(text: str) -> Path:
    """A path of a command line or variable, ``~`` expanded, which no shell does within a word or quotes.

    Raises ArgumentTypeError for an empty one, which would be the current folder, and for a home that is not known.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; write . for the current folder")
    try:
        return expanded(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def expanded(text: str | Path) -> Path:
    """The path with ``~`` expanded. Raises UsageError for a home that is not known."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{str(text)!r}: no home folder of that name; is ./{text} meant?") from error


def new_file(text: str) -> Path:
    """The path of a file that is written at the end, told before the work where it cannot be one."""
    result = path(text)
    try:
        if result.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} is a folder; give the name of a file")
        above = next(folder for folder in result.absolute().parents if folder.exists())
        reached = above.is_dir() and os.access(above, os.W_OK)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise argparse.ArgumentTypeError(f"{text!r}: {error.strerror}; give another place") from error
    if not reached:
        raise argparse.ArgumentTypeError(f"{text!r}: nothing can be written to {str(above)!r}; give another place")
    return result


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from low to high."""
    expected = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"

    def number(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or int(text) < low or (high is not None and int(text) > high):
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return int(text)

    return number


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
    parser.add_argument("root", type=path, help="root folder of the dataset")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The option for what runs a trained network."""
    words = "inference engine (default: onnx if the model has an ONNX graph and ONNX Runtime is installed, else keras)"
    parser.add_argument("--engine", choices=("onnx", "keras"), help=words)
    words = "test-time augmentation: average over each image and six slightly turned, scaled and brightened copies"
    parser.add_argument("--tta", action="store_true", help=words)
    words = "masks as the network gives them (default: the two largest pieces, holes filled)"
    parser.add_argument("--no-postprocess", dest="postprocess", action="store_false", help=words)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option for the number of CPU threads."""
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=whole(1, 1024), default=cores, help=f"CPU threads (default: {cores})")


def near(path: Path) -> str:
    """A path as the user would type it from here."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown


def counted(n: int, what: str) -> str:
    """``1 patient``, ``2 patients``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def elapsed(seconds: float) -> str:
    """Seconds as a person says them: ``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
