"""The results folder: the only module that knows its layout and how a cell's record is found.

runs/<suite>/<machine key>/<cell id>.json     records
cells/<suite>/<machine key>/<cell id>/        what a cell leaves beside its record and nobody publishes: log,
                                              weights, predictions, checkpoints; also logs of other processes
reruns/ robustness/ subgroups/ throughput/       measurements beside the records
tune/<study>/                                 searches at work; tuning/ holds what of them is published
cache/                                        prepared images, phantoms, compiled programs
README.md <suite>.md pairs/ figures/ costs.csv   what a report writes of all that
fine_tuning.csv                               what tests/tools/fine_tuning.py measured
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.cell import Cell
from bench.names import file_slug
from bench.records import store
from bench.records.store import Document
from lungseg.errors import DataError, EnvironmentFailure, UsageError
from lungseg.provenance import CHECKOUT, ROOT

if TYPE_CHECKING:
    from bench.records.record import Record  # it brings NumPy, which the command line does without

MARK = "<!-- Written by "  # how every page begins
OVERALL = ("README.md", "METHODS.md", "SPEED.md", "HARDEST.md", "index.html")  # pages of all suites
GATE_FOLDER = "results/local/gate"  # from ``home``: where gate and baseline train unless told otherwise
WRITTEN = ("runs", "cells", "cache", "figures", "throughput", "subgroups")  # folders that a run writes to


def home() -> Path:
    """Parent of the default results folder: the checkout for who works in it, else the working directory, so that
    another project never reads or replaces the checkout's baseline."""
    here = Path.cwd()
    return ROOT if CHECKOUT and here.resolve().is_relative_to(ROOT.resolve()) else here


@dataclass(frozen=True)
class Results:
    """One results folder, which need not exist yet."""

    root: Path

    # --- records of cells

    def path(self, cell: Cell) -> Path:
        """The cell's record, under the machine key that its own precision and determinism give."""
        return self.runs(cell.suite) / cell.machine_key / f"{cell.id}.json"

    def artifact(self, cell: Cell, name: str) -> Path:
        """A file that a cell leaves beside its record and that is never published: log, predictions, weights."""
        return self.log(cell.suite, cell.machine_key, cell.id, name)

    def load(self, cell: Cell) -> Record:
        """The cell's record, whatever it was made from. Raises UnreadableRecord."""
        return store.load_record(self.path(cell))

    def find(self, cell: Cell, inputs: Document) -> Record | None:
        """The cell's record where it fits these inputs, see ``store.find``."""
        return store.find(self.path(cell), inputs)

    def missing(self, cells: Iterable[Cell], inputs: Mapping[str, Document]) -> list[Cell]:
        """Cells without a fitting record, in order. inputs: of each cell by its id."""
        return [cell for cell in cells if self.find(cell, inputs[cell.id]) is None]

    def save(self, cell: Cell, record: Mapping[str, Any]) -> Path:
        """Seal and write the cell's record; one that is there already is set aside. Returns its path."""
        path = self.path(cell)
        store.set_aside(path)
        store.save_record(path, record)
        return path

    def same_name(self, cell: Cell) -> list[Path]:
        """Records of all suites that bear the cell's id and machine key, its own included, sorted."""
        return sorted(self.runs().glob(f"*/{cell.machine_key}/{cell.id}.json"))

    def folds_by_seed(self, cell: Cell) -> dict[int, set[int]]:
        """Seed -> folds that have a record of the cell's suite, network, recipe and data; by name alone."""
        result: dict[int, set[int]] = {}
        for path in self.path(cell).parent.glob(f"{cell.id.rpartition('.f')[0]}.f*.s*.json"):
            fold, _, seed = path.stem.rpartition(".f")[2].partition(".s")
            if fold.isdecimal() and seed.isdecimal():
                result.setdefault(int(seed), set()).add(int(fold))
        return dict(sorted(result.items()))

    def paths(self, suite: str | None = None) -> list[Path]:
        """Paths of all records, or of one suite's, sorted; of every machine key."""
        return sorted(self.runs().glob(f"{suite or '*'}/*/*.json"))

    def all(self, suite: str | None = None) -> list[Record]:
        """All records, or one suite's, in the order of their paths. Raises one DataError that lists every unreadable
        one."""
        records, problems = [], []
        for path in self.paths(suite):
            try:
                records.append(store.load_record(path))
            except DataError as error:
                problems += error.problems
        if problems:
            raise DataError(problems)
        return records

    def runs(self, suite: str | None = None) -> Path:
        """Folder of all records, or of one suite's."""
        return self.root / "runs" / (suite or "")

    # --- other processes and caches

    def log(self, suite: str, *name: str) -> Path:
        """A file under ``cells/<suite>``: the log of a process that is no cell."""
        return self.root.joinpath("cells", suite, *name)

    @property
    def lock(self) -> Path:
        """The lock file of commands that write to this folder."""
        return self.root / ".lock"

    @property
    def prepared(self) -> Path:
        """Folder of prepared images."""
        return self.root / "cache" / "prepared"

    @property
    def compilation_cache(self) -> Path:
        """Folder of compiled programs for this kind of machine: another's processor may lack an instruction."""
        kind = hashlib.sha256(f"{machine.cpu_name()} {machine.device_kind()}".encode()).hexdigest()[:12]
        return self.root / "cache" / "programs" / kind

    def phantom(self, n: int, size: tuple[int, int], seed: int) -> Path:
        """Folder of a phantom set of ``n`` images."""
        return self.root / "cache" / f"phantom-{n}-{size[0]}x{size[1]}-s{seed}"

    def scratch(self) -> Results:
        """An empty results folder inside this one's cache, which shares that cache; ``drop`` removes it."""
        scratch = Results(self.root / "cache" / "reruns")
        scratch.drop()
        scratch.root.mkdir(parents=True)
        (scratch.root / "cache").symlink_to((self.root / "cache").resolve())
        return scratch

    def drop(self) -> None:
        """Remove the folder, which must be a scratch one."""
        shutil.rmtree(self.root, ignore_errors=True)

    def claim(self, suite: str) -> None:
        """Note in the folder that the gate makes what it holds of the suite, and its cache, so that the next gate may
        remove both. Raises UsageError where somebody else made them, such as a run or another program."""
        claims = self.root / ".gate"
        noted = claims.read_text(encoding="utf-8", errors="replace").split("\n") if claims.is_file() else []
        suites = {name for name in noted if name}
        known = [self.root / "cache"] if suites else []
        known += [self.runs(suite), self.log(suite)] if suite in suites else []
        others = [path for path in self._of_gate(suite) if path not in known and (path.exists() or path.is_symlink())]
        usual = self.root.resolve() == (home() / GATE_FOLDER).resolve()
        if others and not usual:
            raise UsageError(
                f"{others[0]}: was not made by the gate, which would remove it; give an empty or new folder by another "
                "--results"
            )
        store.write_text(claims, "".join(f"{name}\n" for name in sorted({*suites, suite})))
        if usual:  # in another project nothing else keeps prepared radiographs out of a commit of results/
            store.write_text(self.root / ".gitignore", "*\n")

    def forget(self, suite: str) -> None:
        """Remove a suite's records and what its cells left. Raises EnvironmentFailure where that cannot be done."""
        self._remove(self.runs(suite), self.log(suite))

    def forget_cache(self) -> None:
        """Remove prepared images, phantoms and compiled programs. Raises EnvironmentFailure where that cannot be
        done."""
        self._remove(self.root / "cache")

    def _of_gate(self, suite: str) -> tuple[Path, ...]:
        """What a gate on the suite removes before it trains."""
        return (self.runs(suite), self.log(suite), self.root / "cache")

    @staticmethod
    def _remove(*folders: Path) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():  # a symbolic link, say; old records would pass for what this code yields
                raise EnvironmentFailure(f"{folder}: cannot be removed; remove it by hand or choose another --results")

    def study(self, name: str) -> Path:
        """Folder of a search: its journal, its trainings, its page. Without the colon of ``my.networks:tiny``, which
        some file systems refuse; a folder that an older version made with it stays in use."""
        older = self.root / "tune" / name
        return older if older.is_dir() else self.root / "tune" / file_slug(name)

    # --- measurements beside the records

    def reruns(self, suite: str, machine_key: str, cell: str) -> Path:
        """The file of one cell's repeated runs."""
        return self.root / "reruns" / suite / machine_key / f"{cell}.json"

    def all_reruns(self, suite: str) -> list[Path]:
        """The files of repeated runs of a suite's cells, sorted."""
        return sorted((self.root / "reruns" / suite).glob("*/*.json"))

    def robustness(self, suite: str) -> Path:
        """A suite's Dice under corruptions; its page lies beside it."""
        return self.root / "robustness" / f"{file_slug(suite)}.json"

    def subgroups(self, suite: str) -> Path:
        """A suite's Dice by group of patients."""
        return self.root / "subgroups" / f"{file_slug(suite)}.json"

    def throughput(self, *name: str) -> Path:
        """A table of speed, or the folder of all."""
        return self.root.joinpath("throughput", *name)

    @property
    def costs(self) -> Path:
        """The table of what suites cost."""
        return self.root / "costs.csv"

    def tuning(self, name: str) -> Path:
        """Path of a published search, without the suffix of its record or page."""
        return self.root / "tuning" / name

    # --- pages

    @property
    def index(self) -> Path:
        """The page of all suites."""
        return self.root / "README.md"

    @property
    def figures(self) -> Path:
        """Folder of pictures."""
        return self.root / "figures"

    def gallery(self, suite: str, machine_key: str) -> Path:
        """A suite's pictures of predictions on one machine."""
        return self.figures / f"{suite}-{machine_key}-gallery.png"

    def inside(self, path: Path) -> str:
        """A file of this folder as pages and messages name it: ``runs/quick/...``."""
        return path.relative_to(self.root).as_posix()

    def page(self, suite: str) -> Path:
        """A suite's page, which takes no name of a page of all suites."""
        name = file_slug(suite)
        return self.root / (f"suite-{name}.md" if f"{name.upper()}.md" in OVERALL else f"{name}.md")

    def require(self) -> None:
        """Raise UsageError unless the folder, which a command only reads and adds pages to, is there: a mistyped one
        must not be made. Also as ``refuse_others_pages``."""
        if not self.root.is_dir():
            what = "a file" if self.root.exists() else "no such folder"
            raise UsageError(f"{self.root}: {what}; give the results folder of a run (--results)")
        self.refuse_others_pages()

    def require_measured(self) -> None:
        """As ``require``, and raise UsageError where no run or measurement has written to the folder: any other must
        not be filled with pages."""
        self.require()
        measured = (self.runs(), self.throughput(), self.robustness("").parent)
        if not any(folder.is_dir() for folder in measured):
            raise UsageError(f"{self.root}: has no runs/; give the results folder of a run (--results)")

    def refuse_others_pages(self, *suites: str) -> None:
        """Raise UsageError where the folder has a page of somebody else's, which would be replaced: one of all suites,
        or that of these or of any suite with records."""
        held = [path.name for path in self.runs().glob("*") if path.is_dir()]
        tables = self.robustness("").parent.glob("*.json")
        pages = [*(self.root / name for name in OVERALL), *map(self.page, sorted({*held, *suites}))]
        for path in (*pages, *(table.with_suffix(".md") for table in sorted(tables))):
            if path.is_file() and not _is_ours(path):
                raise UsageError(
                    f"{path}: was not written by this program and would be replaced; choose another folder"
                )


def _is_ours(page: Path) -> bool:
    """Whether a page is one that this program writes; also where it is empty or cannot be read: whoever writes it says
    so."""
    try:
        with page.open("rb") as file:
            start = file.read(1024)
    except OSError:
        return True
    if page.suffix == ".html":  # whose head comes before any comment
        return not start.strip() or f"{MARK}`python -m bench ".encode() in start
    return not start.strip() or start.startswith(MARK.encode())
