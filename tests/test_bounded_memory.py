"""What a cell or an ensemble holds in memory does not grow with its set: pixels are read in batches, and given back."""

import gc
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from test_held_out import SMALL

from bench import suites
from bench.gate import dry_run
from bench.records.results import Results
from bench.running import data, ensemble_worker, held_out
from lungseg import prepare, runtime, training
from lungseg.batches import to_arrays
from lungseg.prepare import Prepared
from lungseg.splits import Fold
from lungseg.training import BATCH
from lungseg.tta import IDENTITY, TRANSFORMS, averaged

SMOKE = suites.suite("smoke")


def mapped_bytes():
    """Pages of files that are mapped and in memory."""
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("RssFile"))
    return int(line.split()[1]) * 1024


def memory_bytes():
    """All that counts as this process's memory."""
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("VmRSS"))
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
    monkeypatch.setattr(runtime, "init_backend", lambda *_, **__: runtime.Device("cpu", "cpu"))  # as this process did
    monkeypatch.setattr(dry_run.ARCHITECTURES, "_entries", dict(dry_run.ARCHITECTURES._entries))
    root = data.resolve_root(SMOKE, None, results)
    dry_run.trained(SMOKE, root, results)
    (path,) = results.paths("smoke")
    assert len(json.loads(path.read_text())["cases"]) == 16
    assert max(taken) == few


class Doubled:
    """A network that an ensemble's member could be."""

    def predict_on_batch(self, images):
        assert len(images) <= BATCH
        return np.clip(images * np.float32(2), 0, 1)


def ensemble_of(pixels, tmp_path, monkeypatch):
    """What an ensemble keeps of its members, and a function that names one of several by its number."""
    ids = tuple(f"{k:03d}" for k in range(len(pixels)))
    prepared = Prepared(ids, ids, pixels, pixels > 1, (None,) * len(ids), "raw", "sha")
    monkeypatch.setattr(ensemble_worker.trained, "give_weights", lambda *_: Fold((), (), ids))
    results = SimpleNamespace(artifact=lambda *_: tmp_path / "weights.npz")
    kept = ensemble_worker.Predictions(Doubled(), SimpleNamespace(prepared=prepared), results)
    return ids, kept, lambda number: SimpleNamespace(id=f"s{number}", seed=number)


def test_what_an_ensembles_members_predict_does_not_stay_in_memory(large, tmp_path, monkeypatch):
    ids, kept, member = ensemble_of(large, tmp_path, monkeypatch)
    members = [member(number) for number in range(3)]
    prepare.release(large)  # the comparison has read it
    gc.collect()
    before, highest = memory_bytes(), 0
    result = [kept.of(one, (IDENTITY,))[0] for one in members]
    for some in held_out.batches(ids):
        assert not ensemble_worker.mean(ensemble_worker.by_seed(members, result, some)).any()
        highest = max(highest, memory_bytes())
        kept.release()
    assert highest - before < large.nbytes, "what one of the 3 members predicts"
    assert {path.name for path in tmp_path.iterdir()} == {"large.npy"}, "files of no name go with their process"


def test_an_ensembles_batches_are_the_bits_of_all_images_at_once(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).random((2 * BATCH + 5, 32, 48), np.float32)
    ids, kept, member = ensemble_of(pixels, tmp_path, monkeypatch)
    result, _ = kept.of(member(0), TRANSFORMS)
    whole = averaged(partial(training.probabilities, Doubled()), pixels)
    assert np.array_equal([result[key] for key in ids], whole)
    assert kept.of(member(0), TRANSFORMS)[0] is result, "predicted once for all ensembles"


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
