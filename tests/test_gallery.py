"""The gallery: pictures of what was predicted, and never the reason why a report is not written."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from records import agreeing, case, record

from bench import machine, suites
from bench.figures import gallery
from bench.records import store
from bench.records.results import Results
from bench.running import data

SUITE = suites.suite("smoke")
CELL = suites.cells(SUITE)[0]
IDS = ("a", "b", "c")


def predictions(ids=IDS):
    buffer = io.BytesIO()
    predictions = np.zeros((len(ids), 8, 8), bool)
    predictions[:, 2:5, 2:5] = True
    np.savez_compressed(buffer, ids=np.array(ids), shape=np.array(predictions.shape), bits=np.packbits(predictions))
    return buffer.getvalue()


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A trained cell with predictions of three images."""
    rows = {key: row for row, key in enumerate(IDS)}
    images, masks = np.full((3, 8, 8), 0.5, np.float32), np.ones((3, 8, 8), bool)
    prepared = SimpleNamespace(index_of=rows, images=images, masks=masks)
    monkeypatch.setattr(data, "load_suite_data", lambda *_: SimpleNamespace(prepared=prepared))
    rng = np.random.default_rng(0)
    whole = record(CELL.architecture, 0, suite="smoke", n=4, epochs=3, size=8)
    made = agreeing({**whole, "cases": [case(i, 0.1, 8, rng) for i in IDS]})
    store.save_record(Results(tmp_path).path(CELL), made)
    path = Results(tmp_path).artifact(CELL, "predictions.npz")
    store.write_bytes(path, predictions())
    return tmp_path, path


def test_the_cells_of_this_machine_are_drawn(trained):
    results, _ = trained
    drawn = gallery.draw(SUITE, Results(results), results)
    assert drawn == results / "figures" / f"smoke-{machine.key(SUITE.policy)}-gallery.png"
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.mark.fault("F62", "F72")
@pytest.mark.parametrize(
    "damaged",
    [b"", b"PK\x03\x04", predictions()[:60], predictions()[:-30], predictions(("x", "y", "z"))],
    ids=["empty", "a start", "cut short", "without its end", "of other images"],
)
def test_damaged_predictions_cost_their_pictures_only(trained, damaged):
    results, path = trained
    path.write_bytes(damaged)
    assert gallery.draw(SUITE, Results(results), results) is None
