"""Command line of `python -m bench`: runs a verb, returns its exit code, prints errors as one sentence."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module

from bench.cli.options import parser
from lungseg import terminal
from lungseg.errors import INTERRUPTED, EnvironmentFailure, LungsegError

EXTRA = ("matplotlib", "rich", "tabulate", "threadpoolctl")  # of extra bench alone
BROKEN_PIPE = 141  # as a shell says it: whether all was well is not known, so it must not look so


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Errors are one paragraph on standard error."""
    terminal.open_streams()  # closed ones, and names that they cannot show, must not end hours of training
    chosen = parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C: what a job scheduler sends first

    try:
        module = import_module(f"bench.cli.{chosen.module}")  # now, not before: wrong options must not wait for it
        code = int(getattr(module, chosen.verb.replace("-", "_"))(chosen))
        sys.stdout.flush()
        return code
    except LungsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        command = shlex.join([sys.executable, "-m", "bench", *(sys.argv[1:] if arguments is None else arguments)])
        print(f"interrupted; finished work is kept. To resume, run:\n  {command}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        sys.stderr.close()
        return 0 if chosen.verb in ("list", "report") else BROKEN_PIPE
    except OSError as error:
        print(f"error: {error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        if not error.filename:  # the disk that standard output goes to may be full
            terminal.silence()
        return EnvironmentFailure.exit_code
    except Exception as error:  # 1 would be Python's own code, and means a regression
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRA:
            print(f"error: {error.name} is not installed: `pip install 'lungseg[bench]'`", file=sys.stderr)
            return EnvironmentFailure.exit_code
        traceback.print_exc()
        print("error: internal error (traceback above); this is a bug in lungseg, please report it", file=sys.stderr)
        return LungsegError.exit_code


if __name__ == "__main__":
    sys.exit(main())
