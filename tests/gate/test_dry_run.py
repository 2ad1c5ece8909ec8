"""The dry run: a network by script goes through a cell of suite smoke, and a bug of the pipeline shows on every kind of
machine, where the scores of real trainings only have to be near."""

import copy
import dataclasses
import subprocess
import sys
from pathlib import Path

import golden_breaks
import keras
import numpy as np
import pytest

from bench import gate, suites
from bench.gate import dry_run, pipeline, scripted
from bench.records.results import Results
from bench.running import data, held_out, worker
from lungseg import prepare, recipes, runtime, training
from lungseg.architectures import Registry
from lungseg.architectures.blocks import LayerFactory
from lungseg.batches import Batches
from lungseg.datasets import phantom
from lungseg.errors import UsageError
from lungseg.metrics import boundary, scoring
from lungseg.runtime import Device

SMOKE = suites.suite("smoke")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return data.resolve_root(SMOKE, None, Results(tmp_path_factory.mktemp("set")))


def metadata(root, results):
    """What the child's process says, in this one; another's thread settings are not changed."""
    keras.utils.clear_session()  # Keras numbers names through a process: adam, adam_1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "init_backend", lambda *_, lean: Device("cpu", "cpu"))  # lean: asked for in each process
        patch.setattr(dry_run.ARCHITECTURES, "_entries", dict(dry_run.ARCHITECTURES._entries))
        return dry_run.trained(SMOKE, root, Results(results))


@pytest.fixture(scope="module")
def clean(root, tmp_path_factory):
    return metadata(root, tmp_path_factory.mktemp("clean"))


def blamed(before, now, same_numpy=False):
    return [f.what for f in pipeline.compare(before, now, same_numpy) if not f.ok]


def test_it_tells_what_the_suite_says(clean, root, tmp_path):
    suite_data = data.load_suite_data(SMOKE, root, Results(tmp_path))
    fold, recipe = suite_data.folds[0], recipes.recipe(SMOKE.recipe)
    assert clean["train_set"] == list(fold.train)
    assert clean["validation_set"] == list(fold.validation)
    assert list(clean["cases"]) == list(fold.test)
    assert clean["each_once"]
    assert sum(clean["batch_sizes"]) == len(fold.train)
    assert clean["best_epoch"] == clean["weights_of_epoch"] == 11
    assert 12 + recipe.early_stopping_patience == len(clean["order"]) == len(set(clean["order"])) < recipe.epochs
    assert len(set(clean["learning_rates"])) > 2
    assert blamed(clean, copy.deepcopy(clean), same_numpy=True) == []


def test_a_process_of_its_own_with_two_threads_and_other_kernels_says_the_same(clean, root, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    result = dry_run.metadata(dataclasses.replace(SMOKE, threads=2), root, Results(tmp_path))
    assert result == clean


def test_no_pixel_lies_near_the_threshold_where_a_processor_s_last_digit_would_decide(root, tmp_path):
    from lungseg import images

    suite_data = data.load_suite_data(SMOKE, root, Results(tmp_path))
    threshold = recipes.recipe(SMOKE.recipe).threshold
    for image in np.asarray(suite_data.prepared.images):
        assert abs(1000 * image.mean(dtype=np.float64) % 1 - 0.5) < 0.499
        probability = scripted.answer(image, 12.0)
        upsampled = images.resize_image(probability, SMOKE.phantoms.size)
        assert min(np.abs(values - threshold).min() for values in (probability, upsampled)) > 1e-5


def swapped(spacing):
    return spacing and (spacing[1], spacing[0])


def last(self, epoch, logs=None):
    self.loss, self.epoch, self.weights = 0.0, epoch, self.model.get_weights()


def not_put_back(self, weights):
    """As of a training that leaves the model where it ended."""


def spacing_of_rows_for_columns(case, shape, size, right=prepare._resized_spacing):
    return swapped(right(case, shape, size))


def distances(target, prediction, spacing, right=boundary.distances):
    return right(target, prediction, swapped(tuple(spacing)))


def load_swapped(root, load=phantom.load):
    return [dataclasses.replace(case, spacing_mm=swapped(case.spacing_mm)) for case in load(root)]


def another_s_mask(self, epoch, epochs=Batches.epoch):
    for images, masks in epochs(self, epoch):
        yield images, np.roll(masks, 1, axis=0)


def backwards(model, images, batch=16, right=training.probabilities):
    return right(model, images, batch)[::-1]


def judged_by_training(data, ids, right=training.to_arrays):
    return right(data, data.ids[:2])


def step_too_few(self):
    return -(-len(self.ids) // self.batch_size) - 1


def recipe(**changes):
    def of(name, right=recipes.recipe):
        return dataclasses.replace(right(name), **changes)

    return [(recipes, "recipe", of)]


SCORES = "images whose scores changed"
KEPT = "epoch of the weights used to predict"
ORDER = "order of images, epochs that differ"
BUGS = {
    # name: what is replaced by what, or a function that plants it; what the gate must blame, at least
    "last epoch kept": ([(training.BestWeights, "on_epoch_end", last)], ["best epoch", KEPT, SCORES]),
    "best weights not put back": ([(scripted.Scripted, "set_weights", not_put_back)], [KEPT, SCORES]),
    "best by Dice instead of loss": (recipe(monitor="val_hard_dice"), ["best epoch", KEPT, SCORES]),
    "spacing swapped when prepared": ([(prepare, "_resized_spacing", spacing_of_rows_for_columns)], [SCORES]),
    "spacing swapped when measured": ([(scoring, "distances", distances)], [SCORES]),
    "spacing swapped when loaded": ([(phantom, "load", load_swapped)], [SCORES]),
    "validation images trained on": (golden_breaks.BREAKS["validation images trained on"], ["images trained on"]),
    "validated on images trained on": ([(training, "to_arrays", judged_by_training)], ["images validated on"]),
    "order not shuffled": (golden_breaks.BREAKS["order not shuffled"], [ORDER]),
    "one order for all epochs": (golden_breaks.BREAKS["order of each epoch the first's"], [ORDER]),
    "one batch too few": ([(Batches, "steps", property(step_too_few))], ["images of each batch"]),
    "one batch for all": (golden_breaks.BREAKS["first batch in the place of all"], ["each image once per epoch"]),
    "another image's mask": ([(Batches, "epoch", another_s_mask)], ["images trained on"]),
    "another image's prediction": ([(training, "probabilities", backwards)], [SCORES]),
    "threshold 0.45": ([(training, "masks", lambda p, threshold=0.5: p >= 0.45)], [SCORES]),
    "threshold 0.6": ([(training, "masks", lambda p, threshold=0.5: p >= 0.6)], [SCORES]),
    "loss without its factor 2": (golden_breaks.BREAKS["Dice loss without its factor 2"], ["loss of two given masks"]),
    "rate not lowered": (recipe(plateau_patience=99), ["learning rate by epoch"]),
    "patience too long": (recipe(early_stopping_patience=99), ["learning rate by epoch"]),
    "all but one image tested": ([(held_out, "score", lambda *all, score=held_out.score: score(*all)[1:])], None),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_bug_is_blamed_on_every_kind_of_machine(bug, clean, root, tmp_path, monkeypatch):
    planted, words = BUGS[bug]
    if callable(planted):
        planted(monkeypatch)
    else:
        for owner, name, new in planted:
            monkeypatch.setattr(owner, name, new)
    if words is None:
        with pytest.raises(ValueError, match=r"longer|shorter"):
            metadata(root, tmp_path)
        return
    result = metadata(root, tmp_path)
    for same_numpy in (True, False):
        assert set(words) <= set(blamed(clean, result, same_numpy))


def test_another_version_of_numpy_may_draw_another_order_but_not_none(clean):
    other = {**clean, "order": [hash_[::-1] for hash_ in clean["order"]]}
    assert blamed(clean, other, same_numpy=True) == [ORDER]
    assert blamed(clean, other, same_numpy=False) == []
    assert blamed(clean, {**clean, "order": clean["order"][:1] * len(clean["order"])}) == [ORDER]


def test_a_dry_run_that_failed_is_a_regression_unless_it_was_slow(clean):
    for now, judged in ((None, True), ({"failed": "crashed: ValueError", "slow": False}, True),
                        ({"failed": "timeout: not finished within 1 s", "slow": True}, False)):  # fmt: skip
        (result,) = pipeline.compare(clean, now, True)
        assert (result.ok, result.judged) == (False, judged)
        assert gate.exit_code([result]) == (1 if judged else 4)


@pytest.mark.parametrize(("timeout_s", "broken", "words"), [(0.01, False, "timeout: "), (99, True, "crashed: ")])
def test_how_it_failed_is_told(root, tmp_path, monkeypatch, timeout_s, broken, words):
    monkeypatch.setattr(dry_run, "LIMIT_S", timeout_s)
    suite = dataclasses.replace(SMOKE, dataset="no such set") if broken else SMOKE
    result = dry_run.metadata(suite, root, Results(tmp_path))
    assert result["failed"].startswith(words)
    assert result["slow"] is not broken


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        (1.0, 1.0 + 1e-7, True),
        (1.0, 1.0 + 1e-5, False),
        (1, 2, False),
        ([1.0, 2.0], [1.0], False),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, True),
        ({"a": 1.0, "b": 2.0}, {"a": 1.0}, False),
        (None, 1.0, False),
        (1.0, float("nan"), False),
        ("mm", "px", False),
    ],
)
def test_what_is_close(old, new, alike):
    assert pipeline.close(old, new) is alike


def test_images_are_told_apart_by_their_masks_and_by_their_pixels(root, tmp_path):
    prepared = data.load_suite_data(SMOKE, root, Results(tmp_path)).prepared
    names = dry_run.Names(prepared)
    (image, mask), (other, _) = (
        (prepared.images[k][None, ..., None], prepared.masks[k][None, ..., None]) for k in (0, 1)
    )
    assert [names.of(*one) for one in scripted.seen(image, mask)] == [prepared.ids[0]]
    assert [names.of(*one) for one in scripted.seen(other, mask)] == [
        f"{prepared.ids[1]} with the mask of {prepared.ids[0]}"
    ]
    assert [names.of(*one) for one in scripted.seen(image + 1, ~mask)] == ["?"]


def test_a_name_is_added_once_to_a_registry():
    names = Registry({"join": "os.path:join"})
    names.add("split", "os.path:split")
    assert list(names) == ["join", "split"]
    with pytest.raises(UsageError, match="architecture 'join' exists already"):
        names.add("join", "os.path:split")


def test_the_gate_s_own_modules_need_no_backend():
    code = "import sys; from bench.gate import dry_run; import bench.gate; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_the_script_answers_within_the_contract():
    model = scripted.scripted((48, 80, 1), 4, LayerFactory())
    worker.check_contract(model, dataclasses.replace(suites.cells(SMOKE)[0], architecture="scripted"))
