"""A results folder's one door: what is written for a cell is found for that cell and no other, by every reader."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench import suites
from bench.records.results import Results
from lungseg import recipes
from lungseg.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
SUITE = suites.select(suites.suite("ablation"), variants=["no-geometric"])
CELLS = suites.cells(SUITE)


def all_kinds(cell):
    """The cell in each precision, fast and not."""
    return [
        replace(cell, recipe=replace(cell.recipe, precision=precision), deterministic=deterministic)
        for precision in recipes.PRECISIONS
        for deterministic in (True, False)
    ]


def test_a_record_of_another_precision_or_of_the_fast_mode_is_found_where_it_was_written(tmp_path):
    """The folder follows from the cell alone: a variant of another precision was looked for under its suite's."""
    results, kinds = Results(tmp_path), all_kinds(CELLS[1])
    paths = [results.path(cell) for cell in kinds]
    assert len(set(paths)) == len(kinds)
    for cell in kinds:
        path = results.path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        assert results.artifact(cell, "log.txt").parent.parent.name == path.parent.name == cell.machine_key
        assert results.same_name(cell) == [path]
        assert results.folds_by_seed(cell) == {0: {0}}
    assert results.paths(SUITE.name) == sorted(paths)
    assert results.folds_by_seed(CELLS[0]) == {}, "of the plain recipe there is none"


def test_a_suite_in_another_precision_asks_for_its_own_records():
    for precision in recipes.PRECISIONS:
        (cell, *_) = suites.cells(suites.select(SUITE, precision=precision, deterministic=False))
        assert cell.machine_key == f"tensorflow-cpu-{precision}-fast"


def test_a_folder_that_is_not_there_is_not_made_and_the_error_says_what_is(tmp_path):
    (tmp_path / "file").write_text("")
    Results(tmp_path).require()
    for name, what in (("mistyped", "no such folder"), ("file", "a file")):
        with pytest.raises(UsageError, match=f"{name}: {what}; give the results folder"):
            Results(tmp_path / name).require()
    assert not (tmp_path / "mistyped").exists()
    (tmp_path / "img").mkdir()
    with pytest.raises(UsageError, match="img: has no runs/; give the results folder"):
        Results(tmp_path / "img").require_measured()
    assert Results(tmp_path).study("mine") == tmp_path / "tune" / "mine"


def test_a_scratch_folder_shares_the_cache_and_leaves_nothing(tmp_path):
    results = Results(tmp_path)
    results.prepared.mkdir(parents=True)
    scratch = results.scratch()
    assert scratch.prepared.is_dir()
    scratch.path(CELLS[0]).parent.mkdir(parents=True)
    assert results.scratch().paths() == []
    scratch.drop()
    assert results.prepared.is_dir()
    assert not scratch.root.exists()


@pytest.mark.parametrize("path", sorted((ROOT / "bench").rglob("*.py")), ids=lambda path: path.stem)
def test_no_function_builds_paths_of_a_results_folder_by_itself(path):
    if path.name != "results.py":
        assert not re.search(r"\bresults: Path|machine\.key\(", path.read_text().replace("return machine.key(self", ""))
