"""What a cell holds in memory does not grow with its set: pixels are read in batches, and given back."""

import json

import numpy as np
import pytest
from test_held_out import SMALL

from bench import suites
from bench.gate import dry_run
from bench.records.results import Results
from bench.running import data
from lungseg import prepare, runtime, training
from lungseg.batches import to_arrays
from lungseg.prepare import Prepared
from lungseg.training import BATCH

SMOKE = suites.suite("smoke")


def mapped_bytes():
    """Pages of files that are mapped and in memory."""
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("RssFile"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def large(tmp_path):
    """A mapped array of 96 MB, rows of 256 px."""
    np.save(tmp_path / "large.npy", np.zeros((384, 256, 256), np.float32))
    return np.load(tmp_path / "large.npy", mmap_mode="r")


def test_a_mapped_set_that_is_read_once_does_not_stay_in_memory(large):
    before = mapped_bytes()
    highest = max(mapped_bytes() for row in prepare.streamed(large) if row.sum() == 0)
    assert highest - before < large.nbytes / 3
    assert mapped_bytes() - before < large.nbytes / 10


def test_batches_that_are_taken_do_not_stay_in_memory_as_mapped_pages(large):
    ids = tuple(f"{k:03d}" for k in range(len(large)))
    prepared = Prepared(ids, ids, large, large > 1, (None,) * len(ids), "raw", "sha")
    prepare.release(large)  # the comparison has read it
    before = mapped_bytes()
    for start in range(0, len(ids), 16):
        images, masks = prepared.take(ids[start : start + 16])
        assert images.shape == masks.shape == (16, 256, 256)
        assert mapped_bytes() - before < large.nbytes / 10


def test_what_was_given_back_is_still_there():
    rows = np.arange(300.0).reshape(100, 3)
    assert np.array_equal(list(prepare.streamed(rows)), rows)
    prepare.release(rows)
    assert rows[99, 2] == 299


def test_a_cell_never_takes_more_images_than_a_batch(tmp_path, monkeypatch):
    """Of 32 phantoms, 14 of which it trains on, 2 validate and 16 are held out."""
    results, taken, real = Results(tmp_path), [], Prepared.take
    few = BATCH // 4
    monkeypatch.setattr("lungseg.training.BATCH", few)
    monkeypatch.setattr(Prepared, "take", lambda self, ids: taken.append(len(ids)) or real(self, ids))
    monkeypatch.setattr(runtime, "init_backend", lambda *_: runtime.Device("cpu", "cpu"))  # as this process did
    monkeypatch.setattr(dry_run.ARCHITECTURES, "_entries", dict(dry_run.ARCHITECTURES._entries))
    root = data.resolve_root(SMOKE, None, results)
    dry_run.trained(SMOKE, root, results)
    (path,) = results.paths("smoke")
    assert len(json.loads(path.read_text())["cases"]) == 16
    assert max(taken) == few


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_validation_batches_are_the_images_in_their_order(tmp_path, size):
    results = Results(tmp_path)
    prepared = data.load_suite_data(SMALL, data.resolve_root(SMALL, None, results), results).prepared
    ids = prepared.ids[1:7]
    batches = training.InOrder(prepared, ids, size)
    parts = [batches[k] for k in range(len(batches))]
    assert all(0 < len(images) <= size for images, _ in parts)
    for part, whole in zip(zip(*parts, strict=True), to_arrays(prepared, ids), strict=True):
        assert np.array_equal(np.concatenate(part), whole)


def test_what_is_asked_for_each_image_is_found_once(tmp_path):
    """Else a plan for 100,000 images takes as many steps squared."""
    results = Results(tmp_path)
    suite_data = data.load_suite_data(SMALL, data.resolve_root(SMALL, None, results), results)
    assert suite_data.scored is suite_data.scored
    assert suite_data.case_of is suite_data.case_of
    assert suite_data.prepared.index_of is suite_data.prepared.index_of
