"""Helpers of all commands: standard streams that may be closed or full, and parsing of paths."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path


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


def silence(stream: io.TextIOBase | None = None) -> None:
    """Lead standard output nowhere: its reader has left or its disk is full, and the end must not fail on it again."""
    target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, (stream or sys.stdout).fileno())
    os.close(target)


def path(text: str) -> Path:
    """A path of a command line or variable, ``~`` expanded, which no shell does within a word or quotes.

    Raises ArgumentTypeError for an empty one, which would be the current folder, and for a home that is not known.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; write . for the current folder")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: no home folder of that name; is ./{text} meant?") from error
