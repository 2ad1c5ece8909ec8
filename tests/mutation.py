"""Mutation testing: change the code in one place, run the area's quick tests, see whether one fails. And again.

    python tests/mutation.py                  # all areas of tests/mutation.toml, about half an hour on two idle cores
    python tests/mutation.py splits --again   # one area, and only its survivors: after a test was added

Mutants are cosmic-ray's. They are made in copies of the checkout, never in the checkout. What is done is kept in
``results/local/mutation``, so that a run that was stopped goes on. A survivor is a gap in the tests or, if
tests/mutation.toml says why, the same program. ``tests/MUTATION.md`` is written when all areas are done; exit 1 where
a survivor is not explained.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import io
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path
from typing import Any

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parent.parent
CONFIG = tomllib.loads((ROOT / "tests/mutation.toml").read_text(encoding="utf-8"))
SESSIONS = ROOT / "results/local/mutation"
TABLE = ROOT / "tests/MUTATION.md"
COPIED = ("lungseg", "bench", "tests", "pyproject.toml", "results/baseline.json")
KEPT: dict[str, list[str]] = CONFIG["binary_operators"]
MEMORY = 8 << 30  # bytes of address space: a mutant may ask for any number of pixels


@dataclass(frozen=True)
class Area:
    """Modules that are mutated, and the tests that must see it; paths from the checkout's root."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """Modules as paths from the root, in order."""
        return sorted(path.relative_to(ROOT) for glob in self.modules for path in ROOT.glob(glob))

    @property
    def session(self) -> Path:
        """Where results are kept: another file for other code, since mutants are counted by their place in it."""
        code = b"\0".join((ROOT / path).read_bytes() for path in self.files)
        return SESSIONS / f"{self.name}-{hashlib.sha256(code).hexdigest()[:12]}.sqlite"


AREAS = {name: Area(name, tuple(of["modules"]), tuple(of["tests"])) for name, of in CONFIG["areas"].items()}

# -- which mutants -----------------------------------------------------------------------------------------------


def annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end of each annotation, which nothing evaluates."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found.append(node.returns)
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in found if n]


def wanted(mutation: MutationSpec, hints: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    """Whether a mutant tells something: not in an annotation, not another spelling, not nonsense for its types."""
    if any(begin <= mutation.start_pos and mutation.end_pos <= end for begin, end in hints):
        return False
    kind, _, change = mutation.operator_name.removeprefix("core/").partition("_")
    before, _, after = change.partition("_")
    if kind == "ReplaceBinaryOperator":
        return after in KEPT[before]
    if kind == "ReplaceComparisonOperator":  # `is` for `==` depends on what the interpreter caches
        return not after.startswith("Is") or before.startswith("Is")
    return True


def prepared(area: Area, db: WorkDB) -> None:
    """Fill a new session; an older one stays as it is."""
    if db.num_work_items:
        return
    with contextlib.chdir(ROOT):
        init(area.files, db, {})
    hints = {path: annotations(path) for path in area.files}
    skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
    for item in list(db.work_items):
        if not wanted(item.mutations[0], hints[item.mutations[0].module_path]):
            db.set_result(item.job_id, skipped)


def changed(mutation: MutationSpec) -> tuple[str, str]:
    """The lines that the mutant loses and has instead."""
    code = (ROOT / mutation.module_path).read_text(encoding="utf-8")
    mutant = mutate_code(code, get_operator(mutation.operator_name)(), mutation.occurrence) or code
    lines = list(ndiff(code.splitlines(), mutant.splitlines()))
    was, now = (" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
    return was, now


# -- a mutant's tests --------------------------------------------------------------------------------------------


def start(folder: str) -> None:
    """A worker: its own copy of the checkout, and the libraries imported once for all its children."""
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
    tests = [name for area in AREAS.values() for name in area.tests if not name.startswith("-")]
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


def chance(item: WorkItem) -> str:
    """A number of each mutant by which a sample is drawn: the same in every run."""
    of = item.mutations[0]
    return hashlib.sha256(f"{of.module_path} {of.operator_name} {of.occurrence}".encode()).hexdigest()


def run(area: Area, pool: Any, again: bool, sample: int | None) -> None:
    """Try the mutants that have no result, at most so many in all; or again those that survived, by more examples."""
    tests = (f"--hypothesis-profile={'fast' if again else 'mutation'}", *area.tests)
    _, as_it_is, took = pool.apply(tried, ((None, tests, 600),))
    if as_it_is.is_killed:
        raise SystemExit(f"{area.name}: its tests fail without a mutant:\n{as_it_is.output}")
    allowed = int(2 * took) + 4
    with use_db(str(area.session)) as db:
        prepared(area, db)
        if again:
            survived = {job for job, result in db.results if result.test_outcome is TestOutcome.SURVIVED}
            todo = [item for item in db.work_items if item.job_id in survived]
        else:
            done = sum(result.worker_outcome is WorkerOutcome.NORMAL for _, result in db.results)
            todo = sorted(db.pending_work_items, key=chance)
            todo = todo if sample is None else todo[: max(0, sample - done)]
        print(f"{area.name}: {len(todo)} mutants to try; its tests take {took:.1f} s", flush=True)
        tasks = [(item, tests, allowed) for item in todo]
        for n, (item, result, _) in enumerate(pool.imap_unordered(tried, tasks), 1):
            db.set_result(item.job_id, result)
            if n % 25 == 0:
                print(f"  {n} of {len(todo)}", flush=True)
            if not result.is_killed:
                was, now = changed(item.mutations[0])
                print(f"  survived, {n} of {len(todo)}: {item.mutations[0].module_path}: {was} -> {now}", flush=True)


# -- the table ---------------------------------------------------------------------------------------------------


def survivors(db: WorkDB) -> Iterator[tuple[str, str, str]]:
    """Module, the line it had, the line it has, of each mutant that no test noticed."""
    killed = {job: result.is_killed for job, result in db.results if result.worker_outcome is WorkerOutcome.NORMAL}
    for item in db.work_items:
        if not killed.get(item.job_id, True):
            yield str(item.mutations[0].module_path), *changed(item.mutations[0])


def reason(module: str, was: str, now: str) -> str | None:
    """What tests/mutation.toml says of a survivor."""
    for entry in CONFIG["equivalent"]:
        if module == entry["module"] and was == entry["line"] and now in entry.get("becomes", [now]):
            return str(entry["why"])
    return None


def code(text: str) -> str:
    """Inline code in a Markdown table."""
    return f"`` {text} ``".replace("|", "\\|")


def page() -> tuple[str, int]:
    """The page, and how many survivors are not explained."""
    rows, lists, unexplained = [], [], 0
    for area in AREAS.values():
        if not area.session.exists():
            rows.append(f"| {area.name} | not run | | | | | |")
            unexplained += 1
            continue
        with use_db(str(area.session)) as db:
            results = [result for _, result in db.results if result.worker_outcome is WorkerOutcome.NORMAL]
            left = sum(1 for _ in db.pending_work_items)
            skipped = sum(result.worker_outcome is WorkerOutcome.SKIPPED for _, result in db.results)
            alive = sorted(survivors(db))
        killed = sum(result.is_killed for result in results)
        by_reason = defaultdict(list)
        for survivor in alive:
            by_reason[reason(*survivor)].append(survivor)
        gaps = len(by_reason[None])
        unexplained += gaps
        share = f"{100 * killed / len(results):.1f} %" if results else "-"
        same = len(alive) - gaps
        rows.append(f"| {area.name} | {len(results) + left} | {len(results)} | {killed} | {share} | {same} | {gaps} |")
        lists.append(f"\n## {area.name}\n")
        lists.append(f"Modules: {', '.join(map(str, area.files))}. Tests: {' '.join(area.tests)}. "
                     f"Left out: {skipped} mutants.\n")  # fmt: skip
        for why, which in sorted(by_reason.items(), key=lambda entry: (entry[0] is not None, entry[0] or "")):
            if which:
                lists.append(f"- {why or '**not explained**'}")
                lists += [f"  - {module}: {code(was)} → {code(now)}" for module, was, now in which]
    head = CONFIG["head"].strip()
    table = "| area | mutants | tried | killed | share | survivors, equivalent | survivors, gaps |\n"
    table += "|---|--:|--:|--:|--:|--:|--:|\n"
    return f"{head}\n\n{table}" + "\n".join([*rows, *lists]) + "\n", unexplained


def main() -> int:
    """0 where every mutant is killed or explained, else 1."""
    parser = argparse.ArgumentParser(description="Change the code in one place and see whether a test fails.")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"{', '.join(AREAS)}; all unless named")
    parser.add_argument("--again", action="store_true", help="try survivors again, after tests were added")
    parser.add_argument("--sample", type=int, metavar="N", help="of each area's mutants try N, always the same")
    parser.add_argument("--jobs", type=int, default=max(1, min(8, os.cpu_count() or 1)), help="at once")
    parser.add_argument("--table", action="store_true", help="only write the table, from the results so far")
    options = parser.parse_args()
    if unknown := set(options.areas) - set(AREAS):
        parser.error(f"no area {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    SESSIONS.mkdir(parents=True, exist_ok=True)
    if not options.table:
        context = multiprocessing.get_context("spawn")
        with tempfile.TemporaryDirectory(prefix="mutation-") as folder, context.Pool(
            options.jobs, start, (folder,)
        ) as pool:  # fmt: skip
            for name in options.areas or AREAS:
                run(AREAS[name], pool, options.again, options.sample)
    text, unexplained = page()
    TABLE.write_text(text, encoding="utf-8")
    print(f"{TABLE}: {unexplained} survivors or areas are not explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
