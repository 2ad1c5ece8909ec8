"""Which mutants there are: the areas of tests/mutation.toml, and which of cosmic-ray's changes tell something."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parent.parent
CONFIG = tomllib.loads((ROOT / "tests/mutation.toml").read_text(encoding="utf-8"))
SESSIONS = ROOT / "results/local/mutation"
KEPT: dict[str, list[str]] = CONFIG["binary_operators"]


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


def annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end of each annotation, which nothing evaluates."""
    result: list[ast.expr | None] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.arg | ast.AnnAssign):
            result.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            result.append(node.returns)
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in result if n]


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


def chance(item: WorkItem) -> str:
    """A number of each mutant by which a sample is drawn: the same in every run."""
    of = item.mutations[0]
    return hashlib.sha256(f"{of.module_path} {of.operator_name} {of.occurrence}".encode()).hexdigest()
