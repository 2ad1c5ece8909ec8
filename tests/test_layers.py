"""Each room imports from the rooms below it alone, so that a newcomer can read from the ground up."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (  # of the package bench; those of one floor do not import each other
    {"paths", "renamed"},
    {"machine"},
    {"cell"},
    {"suites"},
    {"records"},
    {"options", "running", "statistics"},
    {"speed", "gate", "robustness", "markdown"},
    {"pages"},
    {"figures", "gate_cli"},
    {"expected_score", "export_model", "migration", "publish", "tune"},
    {"release_model"},
    {"commands"},
    {"__main__"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
SOURCES = sorted(path for folder in ("bench", "lungseg") for path in (ROOT / folder).rglob("*.py"))


def room(path):
    """``records`` of bench/records/store.py, ``suites`` of bench/suites.py."""
    return path.relative_to(ROOT / "bench").with_suffix("").parts[0]


def imported(path):
    """Modules that are imported when the file is; what a function imports late, when it is called, is another thing."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == "bench":
            yield from (f"bench.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_room_has_a_floor():
    rooms = {room(path) for path in SOURCES if path.is_relative_to(ROOT / "bench")} - {"__init__"}
    assert rooms == FLOOR.keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_from_above(path):
    other = [name.split(".")[1] for name in imported(path) if name.startswith("bench.")]
    if path.is_relative_to(ROOT / "lungseg"):
        assert other == [], "lungseg is the library: it knows nothing of bench"
        return
    local = room(path)
    above = sorted({name for name in other if name != local and FLOOR[name] >= FLOOR.get(local, -1)})
    assert above == [], f"{local} may import from the floors below it: {FLOORS[: FLOOR.get(local, 0)]}"
