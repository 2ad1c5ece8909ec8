"""What one suite has trained, another that asks for the same takes over; nothing that only looks the same."""

from dataclasses import replace

import numpy as np
import pytest
from records import record

from bench import machine, suites
from bench.pages.provenance import provenance
from bench.records import store
from bench.running import data, engine, graphs, suite_run
from bench.running.inputs import inputs
from bench.statistics import stats

THEIRS = replace(suites.suite("smoke"), architectures=("unet",))
OURS = replace(THEIRS, name="smoke-again")
(CELL,) = suites.cells(OURS)
KEY = machine.key("float32")


def stored(results, suite=THEIRS, code=None, **changed):
    """A record of the suite's one cell, as a training on this machine would have left it."""
    (cell,) = suites.cells(suite)
    material = data.gather(suite, data.locate(suite, None, results), results)
    made_from = {**inputs(cell, suite, material), "graph": "g"}
    whole = record("unet", 0, n=8, epochs=2) | {
        "cell": cell.as_dict(), "inputs": made_from, "fingerprint": store.fingerprint(made_from),
        "source": {"sha256": code or machine.sources_sha256("lungseg", "bench")},
    }  # fmt: skip
    path = store.record_path(results, cell, KEY)
    store.save_record(path, whole | changed)
    return path


@pytest.fixture
def trained(monkeypatch):
    """The ids of the cells that a run trains instead of taking them over."""
    asked = []
    monkeypatch.setattr(engine, "run_cells", lambda cells, *_: asked.extend(cell.id for cell in cells) or [])
    return asked


def run(results, suite=OURS):
    return suite_run.train(suite, data.locate(suite, None, results), results)[0]


def test_the_same_training_is_taken_over_with_its_files_and_says_where_it_was_made(tmp_path, trained, capsys):
    path = stored(tmp_path)
    (cell,) = suites.cells(THEIRS)
    weights = store.artifact(tmp_path, cell, KEY, "weights.npz")
    weights.parent.mkdir(parents=True)
    np.savez(weights, a=np.arange(3))
    assert run(tmp_path) == 0
    assert trained == []
    assert "1 of 1 cells were trained in suite smoke already" in capsys.readouterr().out
    ours = store.load_record(store.record_path(tmp_path, CELL, KEY))
    theirs = store.load_record(path)
    assert store.is_sealed(ours)
    assert (ours["cell"]["suite"], ours.pop("taken_from")) == ("smoke-again", "smoke")
    assert {k: v for k, v in ours.items() if k not in ("cell", "record_sha256")} == {
        k: v for k, v in theirs.items() if k not in ("cell", "record_sha256")
    }
    assert store.artifact(tmp_path, CELL, KEY, "weights.npz").read_bytes() == weights.read_bytes()
    assert run(tmp_path) == 0
    assert "1 of 1 cells have a valid record" in capsys.readouterr().out


def test_what_was_taken_over_keeps_the_name_of_the_suite_that_trained_it(tmp_path, trained):
    stored(tmp_path)
    run(tmp_path)
    store.record_path(tmp_path, *suites.cells(THEIRS), KEY).unlink()
    third = replace(OURS, name="smoke-once-more")
    run(tmp_path, third)
    assert trained == []
    found = store.load_record(store.record_path(tmp_path, *suites.cells(third), KEY))
    assert found["taken_from"] == "smoke"
    (section,) = stats.sections([found])
    assert "1 of them were trained in suite smoke" in " ".join("\n".join(provenance(section)).split())


@pytest.mark.parametrize(
    "changed",
    [{"status": "crashed"}, {"fingerprint": "of other inputs"}, {"cell": {**CELL.as_dict(), "width": 99}}],
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
    assert len(list(store.record_path(tmp_path, CELL, KEY).parent.glob("*.json.old"))) == 1
