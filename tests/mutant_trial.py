"""A mutant's trial: a worker with its own copy of the checkout, and the area's tests in a forked process."""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult
from mutants import AREAS, ROOT

COPIED = ("lungseg", "bench", "tests", "pyproject.toml", "results/baseline.json")
MEMORY = 8 << 30  # bytes of address space: a mutant may ask for any number of pixels


def start(folder: str, areas: tuple[str, ...]) -> None:
    """A worker for these areas: its own copy of the checkout, and the libraries imported once for all its children."""
    copy = Path(tempfile.mkdtemp(dir=folder))
    for name in COPIED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    os.chdir(copy)
    sys.path[:0] = [str(copy)]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in (ROOT, ROOT / "tests")]
    for path in copy.rglob("*.py"):  # older than any mutant, which is then not taken for its original's bytecode
        os.utime(path, (0, 0))
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.dont_write_bytecode = False  # whatever the shell says
    import cv2
    import hypothesis.extra.numpy  # noqa: F401
    import pytest
    import scipy.ndimage  # noqa: F401
    import sklearn.metrics  # noqa: F401

    cv2.setNumThreads(1)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main(["--version"])
    tests = [name for area in areas for name in AREAS[area].tests if not name.startswith("-")]
    in_child(("--collect-only", *tests), 600)  # writes bytecode, a third of the time of collecting them
    # from here on none: a mutant of the same size and second would be taken for the one before
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def in_child(tests: tuple[str, ...], seconds: int) -> tuple[int, str, float]:
    """Exit code, output and processor seconds of pytest in a forked process; `seconds` of processor are allowed."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)  # no session of its own, which Linux would schedule as another user's
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            import pytest

            flags = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--basetemp", "tmp"]
            flags += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what the worker has imported already
            code = 1
            try:
                code = int(pytest.main([*flags, *tests]))
            except BaseException:  # whatever ends it, the worker's own code must not go on here
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        until = time.monotonic() + 20 * seconds  # for what sleeps; a loaded machine must not kill mutants
        while not (ended := os.wait4(pid, os.WNOHANG))[0]:
            time.sleep(0.02)
            if time.monotonic() > until:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what its tests left running
        output.seek(0)
        text = io.TextIOWrapper(output, encoding="utf-8", errors="replace").read()
    return os.waitstatus_to_exitcode(ended[1]), text, ended[2].ru_utime + ended[2].ru_stime


_killer: dict[Path, str] = {}  # of each module, the file of tests that saw its last mutant: the first to be asked


def tried(task: tuple[WorkItem | None, tuple[str, ...], int]) -> tuple[WorkItem | None, WorkResult, float]:
    """Run the tests on a mutant, or on the code as it is."""
    item, tests, seconds = task
    if item is None:
        code, output, took = in_child(tests, seconds)
    else:
        mutation = item.mutations[0]
        tests = tuple(sorted(tests, key=lambda name: name != _killer.get(mutation.module_path)))
        original = mutation.module_path.read_text(encoding="utf-8")
        mutant = mutate_code(original, get_operator(mutation.operator_name)(), mutation.occurrence)
        if mutant is None:
            return item, WorkResult(worker_outcome=WorkerOutcome.NO_TEST), 0.0
        mutation.module_path.write_text(mutant, encoding="utf-8")
        try:
            code, output, took = in_child(tests, seconds)
        finally:
            mutation.module_path.write_text(original, encoding="utf-8")
    if item is not None and (failed := re.search(r"^(?:FAILED|ERROR) ([^:\s]+)", output, re.MULTILINE)):
        _killer[item.mutations[0].module_path] = failed[1]
    outcome = TestOutcome.SURVIVED if code == 0 else TestOutcome.KILLED
    return item, WorkResult(WorkerOutcome.NORMAL, output[-600:], outcome), took
