"""What one suite has trained, another that asks for the same takes over; nothing that only looks the same."""

import argparse
from dataclasses import replace

import numpy as np
import pytest
from records import leaderboards, record, sealed

from bench import machine, suites
from bench.cli import comparing
from bench.pages.provenance import provenance
from bench.records import store
from bench.records.results import Results
from bench.running import data, graphs, suite_run
from bench.running.executor import Outcome
from bench.running.training import fingerprint_inputs

THEIRS = replace(suites.suite("smoke"), architectures=("unet",), size=(64, 64))
OURS = replace(THEIRS, name="smoke-again")
(CELL,) = suites.cells(OURS)
KEY = machine.key("float32")


def stored(results, suite=THEIRS, code=None, **changed):
    """A record of the suite's one cell, as a training on this machine would have left it."""
    (cell,) = suites.cells(suite)
    suite_data = data.load_suite_data(suite, data.resolve_root(suite, None, Results(results)), Results(results))
    made_from = {**fingerprint_inputs(cell, suite_data), "graph": "g"}
    whole = record("unet", 0, n=8, epochs=2, size=64) | {
        "cell": cell.as_dict(), "inputs": made_from, "fingerprint": store.fingerprint(made_from),
        "source": {"sha256": code or machine.sources_sha256("lungseg", "bench")},
    }  # fmt: skip
    path = Results(results).path(cell)
    store.save_record(path, whole | changed)
    return path


def ended(cells):
    return [Outcome("ok", 1.0)] * len(cells)


@pytest.fixture
def trained(monkeypatch):
    """The ids of the cells that a run trains instead of taking them over."""
    requested = []
    monkeypatch.setattr(
        suite_run, "run_cells", lambda cells, *_: requested.extend(cell.id for cell in cells) or ended(cells)
    )
    return requested


def run(results, suite=OURS):
    return suite_run.train(suite, data.resolve_root(suite, None, Results(results)), Results(results))[0]


def test_the_same_training_is_taken_over_with_its_files_and_says_where_it_was_made(tmp_path, trained, capsys):
    path = stored(tmp_path)
    (cell,) = suites.cells(THEIRS)
    weights, masks = (Results(tmp_path).artifact(cell, name) for name in ("weights.npz", "predictions.npz"))
    weights.parent.mkdir(parents=True)
    np.savez(weights, a=np.arange(3))
    np.savez(masks, a=np.arange(4))
    assert run(tmp_path) == 0
    assert trained == []
    assert "1 of 1 cells were already trained in suite smoke" in capsys.readouterr().out
    ours = store.load_record(Results(tmp_path).path(CELL))
    other = store.load_record(path)
    assert ours.sealed
    assert (ours.cell.suite, ours.reused_from) == ("smoke-again", "smoke")
    assert {k: v for k, v in ours.document.items() if k not in ("cell", "record_sha256", "reused_from")} == {
        k: v for k, v in other.document.items() if k not in ("cell", "record_sha256")
    }
    for file in (weights, masks):
        assert Results(tmp_path).artifact(CELL, file.name).read_bytes() == file.read_bytes()
    assert run(tmp_path) == 0
    assert "1 of 1 cells have a valid record" in capsys.readouterr().out


def test_what_was_taken_over_keeps_the_name_of_the_suite_that_trained_it(tmp_path, trained):
    stored(tmp_path)
    run(tmp_path)
    Results(tmp_path).path(*suites.cells(THEIRS)).unlink()
    third = replace(OURS, name="smoke-once-more")
    run(tmp_path, third)
    assert trained == []
    result = store.load_record(Results(tmp_path).path(*suites.cells(third)))
    assert result.reused_from == "smoke"
    (leaderboard,) = leaderboards([result])
    assert "Reused, as the same training: 1 from suite smoke." in " ".join("\n".join(provenance(leaderboard)).split())


@pytest.mark.parametrize(
    "changed",
    [{"status": "crashed", "cases": []}, {"fingerprint": "of other inputs"}, {"cell": {**CELL.as_dict(), "width": 99}}],
)
def test_nothing_else_is_taken_over(tmp_path, trained, changed):
    stored(tmp_path, **changed)
    run(tmp_path)
    assert trained == [CELL.id]


def test_neither_an_edited_record_nor_one_of_another_seed(tmp_path, trained):
    path = stored(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"best_epoch": ', '"best_epoch": 1'), encoding="utf-8")
    run(tmp_path)
    run(tmp_path, replace(OURS, seeds=(1,)))
    assert trained == [CELL.id, CELL.id.replace(".s0", ".s1")]


@pytest.mark.parametrize(("graph", "expected"), [("g", []), ("edited since", [CELL.id])])
def test_a_record_of_other_code_is_taken_only_while_its_network_is_the_same(
    tmp_path, trained, monkeypatch, graph, expected
):
    monkeypatch.setattr(graphs, "_ask", lambda names, *_: dict.fromkeys(names, graph))
    stored(tmp_path, code="other code")
    run(tmp_path)
    assert trained == expected


def test_a_record_of_ours_that_no_longer_fits_is_set_aside(tmp_path, trained):
    stored(tmp_path)
    stored(tmp_path, OURS, fingerprint="of an older recipe")
    run(tmp_path)
    assert trained == []
    assert len(list(Results(tmp_path).path(CELL).parent.glob("*.json.old"))) == 1


def test_what_the_cell_had_of_an_older_training_goes(tmp_path, trained):
    """Masks of other weights would stand under these scores, and half a training would never be gone on with."""
    stored(tmp_path)
    masks, old = (Results(tmp_path).artifact(CELL, name) for name in ("predictions.npz", "checkpoints"))
    old.mkdir(parents=True)
    masks.write_bytes(b"of an older training")
    run(tmp_path)
    assert not masks.exists()
    assert not old.exists()


def test_a_folder_that_a_user_has_moved_away_is_no_other_suite(tmp_path, trained):
    path = stored(tmp_path, OURS)
    path.parents[1].rename(path.parents[1].with_name("smoke-again.before"))
    run(tmp_path)
    assert trained == [CELL.id]


def test_of_two_suites_that_trained_it_one_is_taken(tmp_path, trained, capsys):
    stored(tmp_path)
    stored(tmp_path, replace(THEIRS, name="another"))
    run(tmp_path)
    assert trained == []
    assert "1 of 1 cells were already trained in suite another" in capsys.readouterr().out
    assert store.load_record(Results(tmp_path).path(CELL)).reused_from == "another"


def test_what_is_on_trial_is_trained(tmp_path, monkeypatch):
    """The gate judges today's code, whatever the folder holds."""
    requested = {}
    with monkeypatch.context() as patched:
        patched.setattr(suite_run, "train", lambda *_, **more: requested.update(more) or (0, None))
        patched.setattr("bench.gate.dry_run.metadata", lambda *_: {})
        patched.setattr("bench.gate.summarise", lambda *_: {})
        comparing._trained(suites.suite("smoke"), argparse.Namespace(data=None, results=Results(tmp_path)))
    stored(tmp_path)
    root = data.resolve_root(OURS, None, Results(tmp_path))
    ran = []
    monkeypatch.setattr(suite_run, "run_cells", lambda cells, *_: ran.extend(cells) or ended(cells))
    suite_run.train(OURS, root, Results(tmp_path), **requested)
    assert [cell.id for cell in ran] == [CELL.id]


def test_a_training_in_two_suites_ran_once(tmp_path, trained):
    """It is no cell that another ran beside."""
    path = stored(tmp_path)
    run(tmp_path)
    both = [store.load_record(path), store.load_record(Results(tmp_path).path(CELL))]
    assert [leaderboard.concurrent_cells for leaderboard in leaderboards(both)] == [1, 1]
    first = both[0].document
    other = sealed({**first, "cell": {**first["cell"], "suite": "third"}, "weights_sha256": "of another"})
    assert [leaderboard.concurrent_cells for leaderboard in leaderboards([*both, other])] == [2, 2, 2]
