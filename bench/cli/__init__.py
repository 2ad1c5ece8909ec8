"""The command line of the bench: ``options`` parses it; each verb is a function from options to an exit code."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

ROOMS = {
    "comparing": ("gate", "baseline", "compare", "gate-speed"),
    "training": ("run", "ensemble", "robustness", "reruns", "speed", "tune"),
    "reporting": (
        "report", "list", "costs", "makespan", "subgroups", "history", "migrate", "publish", "export-model",
    ),
}  # fmt: skip
ROOM = {verb: room for room, verbs in ROOMS.items() for verb in verbs}


def function(verb: str) -> Callable[[argparse.Namespace], int]:
    """The function of a verb. Its module is imported here, not before: wrong options must not wait for it."""
    module = import_module(f"bench.cli.{ROOM[verb]}")
    call: Callable[[argparse.Namespace], int] = getattr(module, verb.replace("-", "_"))
    return call
