"""What the gate's tests change in a summary of a run."""

import copy
from collections.abc import Sequence
from typing import Any


def elsewhere(summary: dict[str, Any]) -> dict[str, Any]:
    """The same from another kind of machine, where counts need not be equal."""
    now = copy.deepcopy(summary)
    now["machine"]["cpu"] = "another"
    return now


def put(summary: Any, path: Sequence[Any], value: Any) -> None:
    """Set an inner value, or remove it where the value is the word missing."""
    for key in path[:-1]:
        summary = summary[key]
    if value == "missing":
        del summary[path[-1]]
    else:
        summary[path[-1]] = value
