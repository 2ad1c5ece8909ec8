"""Old names of verbs and options (up to version 0.1), so that an error can name the new ones. None is accepted."""

from __future__ import annotations

from collections.abc import Sequence

VERBS = {"strata": "subgroups"}
OPTIONS = {"--slots": "--workers", "--views": "--tta"}


def hint(arguments: Sequence[str]) -> str | None:
    """``--slots is called --workers now`` for the first old word of a command line, None where there is none."""
    if arguments and (verb := VERBS.get(arguments[0])):
        return f"{arguments[0]} is called {verb} now"
    words = (argument.partition("=")[0] for argument in arguments)
    return next((f"{word} is called {OPTIONS[word]} now" for word in words if word in OPTIONS), None)
