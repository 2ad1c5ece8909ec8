"""``python -m lungseg``: the verbs of ``lungseg.cli``, each of which imports what it needs when it runs.

Exit codes: 0 done, 2 usage, 3 data, 6 environment or I/O, 70 internal error, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from lungseg import __version__, cli, terminal
from lungseg.errors import INTERRUPTED, DataError, EnvironmentFailure, LungsegError, UsageError
from lungseg.terminal import tell


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Results go to stdout, progress and errors to stderr."""
    terminal.open_streams()
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as done:  # argparse has printed the help or the mistake
        return done.code if isinstance(done.code, int) else UsageError.exit_code
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of `lungseg ... | head` left; nobody is there to be told
        terminal.silence()
        return EnvironmentFailure.exit_code
    except KeyboardInterrupt:
        _complain(f"interrupted; no partial files are left{getattr(arguments, 'resume', '')}")
        return INTERRUPTED
    except LungsegError as error:
        _complain(*(error.problems if isinstance(error, DataError) else [str(error)]))
        return error.exit_code
    except OSError as error:
        _complain(f"{error.filename or 'input/output'}: {error.strerror or error}")
        return EnvironmentFailure.exit_code
    except Exception as error:
        if os.environ.get("LUNGSEG_TRACEBACK"):
            traceback.print_exc()
        _complain(f"internal error ({type(error).__name__}: {error}); set LUNGSEG_TRACEBACK=1 to see the traceback")
        return LungsegError.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lungseg", description="Lung segmentation on chest radiographs.")
    parser.add_argument("--version", action="version", version=f"lungseg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    for verb in cli.VERBS:
        verb.add(commands)
    return parser


def _complain(*problems: str) -> None:
    for problem in problems:
        tell(f"lungseg: {problem}")


if __name__ == "__main__":
    sys.exit(main())
