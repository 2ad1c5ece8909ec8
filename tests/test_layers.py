"""Each room imports from the rooms below it alone, so that a newcomer can read from the ground up."""

import ast
import graphlib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from bench.records import record
from lungseg.metrics import METRICS, Metric

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (  # of the package bench; those of one floor do not import each other
    {"machine"},
    {"names"},
    {"cell"},
    {"suites"},
    {"records"},
    {"running", "statistics"},
    {"markdown"},
    {"speed", "gate", "robustness"},
    {"verdict_words"},
    {"figures"},
    {"pages"},
    {"expected_score", "export_model", "publish", "tune"},
    {"release_model"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
SOURCES = sorted(path for folder in ("bench", "lungseg") for path in (ROOT / folder).rglob("*.py"))


def module(path):
    """``bench.records.store`` of bench/records/store.py, ``bench.gate`` of bench/gate/__init__.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in SOURCES}


def room(name):
    """``records`` of bench.records.store, ``suites`` of bench.suites."""
    return name.split(".")[1]


def imported(nodes):
    """Modules of this project that import statements among the nodes name."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def anywhere(path):
    """All that a file imports: also late, when a function is called, and for types alone."""
    return {name for name in imported(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) if name in MODULES}


def at_once(path):
    """What is imported when the file is."""
    return {name for name in imported(ast.parse(path.read_text(encoding="utf-8")).body) if name in MODULES}


def test_every_room_has_a_floor():
    rooms = {room(name) for name in MODULES if name.startswith("bench.")}
    assert rooms == FLOOR.keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_from_above(path):
    other = [room(name) for name in anywhere(path) if name.startswith("bench.")]
    if path.is_relative_to(ROOT / "lungseg"):
        assert other == [], "lungseg is the library: it knows nothing of bench"
        return
    local = room(module(path)) if module(path) != "bench" else ""
    above = sorted({name for name in other if name != local and FLOOR[name] >= FLOOR.get(local, -1)})
    assert above == [], f"{local} may import from the floors below it: {FLOORS[: FLOOR.get(local, 0)]}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: at_once(path) - {name} for name, path in MODULES.items()}
    order = [*graphlib.TopologicalSorter(graph).static_order()]  # CycleError names the circle
    assert sorted(order) == sorted(MODULES)


def test_only_the_command_line_imports_the_command_line():
    users = {name for name, path in MODULES.items() if any(n.startswith("lungseg.cli") for n in anywhere(path))}
    assert {name for name in users if not name.startswith("lungseg.cli")} == {"lungseg.__main__"}


def test_each_tool_is_named_in_contributing():
    """A tool that no document names is found by nobody, and written again."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tools = [path for path in (ROOT / "tests" / "tools").iterdir() if path.suffix in (".py", ".sh")]
    assert tools
    assert [path.name for path in sorted(tools) if path.name not in text] == []


FOR_READERS_OF_JSON = {"hd95_state", "target_components", "target_holes"}  # as bench/records/record.py says


def test_each_field_of_a_record_and_of_a_metric_is_read():
    """What nothing reads is measured, stored and checked for nobody."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES)
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    parts = [part for part in vars(record).values() if isinstance(part, type) and is_dataclass(part)]
    held = {f"{part.__name__}.{of.name}" for part in (*parts, Metric) for of in fields(part)
            if of.name not in read | METRICS.keys() | FOR_READERS_OF_JSON}  # fmt: skip
    assert held == set()
