"""Errors that a user can act on. Each carries the exit code of the command that meets it."""

from __future__ import annotations

from collections.abc import Iterable

PARTIAL, INTERRUPTED = 4, 130  # exit codes of no error: some of the work failed, Ctrl-C


class LungsegError(Exception):
    """Base of every error that names its cause and remedy; anything else is a defect of lungseg."""

    exit_code = 70


class UsageError(LungsegError):
    """A name, option or configuration value that does not exist or makes no sense."""

    exit_code = 2


class DataError(LungsegError):
    """Images, masks or folders that cannot be used. Holds every offender found, not only the first."""

    exit_code = 3

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class EnvironmentFailure(LungsegError):
    """The machine refuses: disk full, folder read-only, no network, no such backend."""

    exit_code = 6


class ContractError(LungsegError):
    """An architecture that breaks the contract: wrong output, or an operation that cannot be reproduced."""
