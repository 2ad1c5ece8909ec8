"""The verbs of ``lungseg`` that train and use networks, a module each; none imports more than it needs to be listed."""

from __future__ import annotations

import argparse
from typing import Any

from lungseg.cli import demo, evaluate, export, fetch_model, predict, train

VERBS = (predict, train, evaluate, export, demo, fetch_model)


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add every verb to the commands of ``lungseg``."""
    for verb in VERBS:
        verb.add(commands)
