"""One cell: what is checked before a training, what is refused after it, what its fingerprint covers."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.records import store
from bench.records.results import Results
from bench.running import child
from bench.running import training as bench_inputs
from bench.running.data import SuiteData
from bench.running.held_out import check_unseen, masks_file, score
from bench.running.worker import check_contract, save_weights
from bench.suites import cells, suite
from lungseg import metrics, recipes
from lungseg.datasets import Case
from lungseg.errors import ContractError, LungsegError
from lungseg.prepare import Prepared
from lungseg.recipes import Augmentation
from lungseg.splits import Fold

SUITE = suite("quick")
CELL = cells(SUITE)[0]
KEY = "tensorflow-cpu-float32"


def model_giving(change):
    return SimpleNamespace(predict_on_batch=lambda x: change(np.full(x.shape, 0.5, np.float32)))


def with_one(output, value):
    output[0, 3, 3, 0] = value
    return output


def test_probabilities_of_the_inputs_size_pass():
    check_contract(model_giving(lambda output: output), CELL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda output: output[:, ::2, ::2], r"shape \(2, 32, 32, 1\) for an input of \(2, 64, 64, 1\)"),
        (lambda output: np.repeat(output, 2, axis=-1), "shape"),
        (lambda output: output[..., 0], "shape"),
        (lambda output: output[:0], "shape"),
        (lambda output: output.astype(np.float16), "type float16 instead of float32"),
        (lambda output: with_one(output, np.nan), "not finite"),
        (lambda output: with_one(output, np.inf), "not finite"),
        (lambda output: with_one(output, -0.25), "values from -0.25"),
        (lambda output: with_one(output, 1.5), "to 1.5 instead of 0 to 1"),
    ],
)
def test_anything_else_is_a_contract_error_before_training(change, message):
    with pytest.raises(ContractError, match=f"unet gives .*{message}"):
        check_contract(model_giving(change), CELL)
    assert child.describe(ContractError("x"))["status"] == "contract"


def suite_data(patients):
    """Cases a, b, c ... of these patients; mask k holds k + 1 rows."""
    ids = tuple("abcdefgh"[: len(patients)])
    masks = np.arange(8)[:, None] <= np.arange(len(ids))[:, None, None] + np.zeros((1, 1, 8))
    images = masks.astype(np.float32)
    prepared = Prepared(ids, tuple(patients), images, masks, ((2.0, 3.0),) * len(ids), "raw", "sha")
    cases = tuple(Case(key, patient, Path(key), (Path(key),)) for key, patient in zip(ids, patients, strict=True))
    return SuiteData(cases, prepared, ())


FOLD = Fold(train=("a",), validation=("b",), test=("c", "d"))


def test_each_held_out_image_is_scored_against_its_own_mask():
    held = suite_data("pqrs")
    targets = held.prepared.masks[2:]
    scored = score(held, FOLD.test, targets, targets)
    assert [(row["id"], row["patient"], row["dice"], row["target_pixels"]) for row in scored] == [
        ("c", "r", 1.0, 24),
        ("d", "s", 1.0, 32),
    ]
    prediction = held.prepared.masks[[3, 2]]
    for row, target, mask in zip(score(held, FOLD.test, targets, prediction), targets, prediction, strict=True):
        assert row["dice"] == metrics.dice(target, mask) < 1
        assert row["distance_unit"] == "mm"


@pytest.mark.fault("F39", "F41")
@pytest.mark.parametrize("patients", ["pqps", "pqrq", "pqrp"])
def test_image_whose_patient_was_trained_on_is_refused(patients):
    held = suite_data(patients)
    with pytest.raises(LungsegError, match="its patient was trained on"):
        check_unseen(held, FOLD)


@pytest.mark.fault("F49")
def test_a_prediction_too_few_is_refused():
    held = suite_data("pqrs")
    with pytest.raises(ValueError, match="zip"):
        score(held, FOLD.test, held.prepared.masks[2:], held.prepared.masks[2:3])


@pytest.mark.fault("F102")
def test_predictions_and_weights_are_kept_without_pickles(tmp_path):
    predictions = np.random.default_rng(0).random((2, 16, 32)) < 0.5
    weights = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(1, np.float32)]
    save_weights(Results(tmp_path).artifact(CELL, "weights.npz"), weights)
    with masks_file(Results(tmp_path).artifact(CELL, "predictions.npz"), FOLD.test, (16, 32)) as keep:
        for part in predictions:
            keep(part)
    with np.load(Results(tmp_path).artifact(CELL, "predictions.npz"), allow_pickle=False) as kept:
        assert kept["ids"].tolist() == ["c", "d"]
        bits = np.unpackbits(kept["bits"], count=predictions.size).reshape(kept["shape"])
        assert np.array_equal(bits.astype(bool), predictions)
    with np.load(Results(tmp_path).artifact(CELL, "weights.npz"), allow_pickle=False) as kept:
        assert all(np.array_equal(kept[name], weight) for name, weight in zip(sorted(kept), weights, strict=True))


def made_from(cell=CELL, data="sha", folds=(FOLD,), spacing=(2.0, 3.0)):
    held = suite_data("pqrs")
    held = replace(held, prepared=replace(held.prepared, sha256=data, spacing_mm=(spacing,) * 4), folds=folds)
    return store.fingerprint(bench_inputs.fingerprint_inputs(cell, held))


def test_fingerprint_covers_what_decides_the_numbers(monkeypatch):
    base = made_from()
    assert made_from() == base
    others = [
        made_from(replace(CELL, seed=1)),
        made_from(replace(CELL, fold=1)),
        made_from(replace(CELL, width=9)),
        made_from(replace(CELL, size=(64, 80))),
        made_from(replace(CELL, recipe=recipes.recipe("reference"))),
        made_from(replace(CELL, architecture="resunet")),
        made_from(replace(CELL, threads=2)),
        made_from(replace(CELL, deterministic=False)),
        made_from(replace(CELL, split=FOLD)),
        made_from(data="other pixels"),
        made_from(spacing=(2.0, 2.0)),
        made_from(spacing=None),
        made_from(folds=(replace(FOLD, train=("b",), validation=("a",)),)),
    ]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    others.append(made_from())
    assert len({base, *others}) == len(others) + 1


def test_fingerprint_leaves_out_how_a_suite_is_run():
    (cell, *_) = cells(replace(SUITE, workers=1, timeout_s=9, title="other"))
    assert cell.timeout_s == 9
    assert made_from(cell) == made_from()


def test_what_a_recipe_does_not_use_is_not_in_its_fingerprint():
    assert all(bench_inputs.settings(recipes.recipe("reference")).values())


def test_what_a_cosine_does_not_read_is_no_part_of_a_fingerprint():
    cosine = recipes.recipe("strong")
    assert bench_inputs.settings(replace(cosine, plateau_patience=9, early_stopping_patience=9)) == (
        bench_inputs.settings(cosine)
    )
    plateau = recipes.recipe("strong:plateau")
    assert bench_inputs.settings(replace(plateau, plateau_patience=9)) != bench_inputs.settings(plateau)


def test_what_an_augmentation_leaves_alone_is_no_part_of_a_fingerprint():
    moved = replace(recipes.recipe("reference"), augmentation=Augmentation(shift=0.1))
    assert bench_inputs.settings(moved)["augmentation"] == {"shift": 0.1}
    still = replace(moved, augmentation=Augmentation())
    assert bench_inputs.settings(still) == bench_inputs.settings(recipes.recipe("reference"))


@pytest.mark.parametrize("error", [None, LungsegError("no room"), ValueError("odd")])
def test_how_a_childs_work_ended_is_told_before_it_ends(error):
    events = []

    def run(job, say):
        say({"event": job["what"]})
        if error:
            raise error

    work = child.telling(run)
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="odd"):
            work({"what": "begun"}, events.append)
    else:
        assert work({"what": "begun"}, events.append) == (error.exit_code if error else 0)
    assert [event["event"] for event in events] == ["begun", "failed" if error else "done"]
    assert events[-1].get("message") == (str(error) if error else None)
