"""A tiny run for real: two seeds on two folds, their mean and their views, on a page that says what they are."""

from dataclasses import replace

import numpy as np
import pytest
import two_seeds
from records import unlike, validate
from two_seeds import SUITE

from bench import suites
from bench.__main__ import main
from bench.figures import gallery
from bench.records.results import Results
from bench.running import ensemble
from lungseg.postprocessing import STATED, two_lungs


@pytest.fixture(scope="module", autouse=True)
def known(faulty):
    with two_seeds.known():
        yield


@pytest.fixture(scope="module")
def made(known, tmp_path_factory):
    return two_seeds.ensembles(tmp_path_factory)


def held(folder):
    return {record.name: dict(record.document) for record in Results(folder).all()}


def test_each_fold_has_its_entries(made):
    names = {"tiny.phantom.f{}.s0", "tiny.phantom.f{}.s1", "tiny+seeds.phantom.f{}.s0", "tiny+tta.phantom.f{}.s0",
             "tiny+tta.phantom.f{}.s1", "tiny+seeds+tta.phantom.f{}.s0", "tiny+post.phantom.f{}.s0",
             "tiny+post.phantom.f{}.s1"}  # fmt: skip
    assert held(made).keys() == {name.format(fold) for name in names for fold in (0, 1)}


@pytest.mark.fault("F39")
def test_an_entry_predicts_what_all_of_its_members_held_out(made):
    records = held(made)
    for name, record in records.items():
        scored = {case["id"] for case in record["cases"]}
        held_out = {}
        for member in record["inputs"].get("members", ()):
            of = records[member["cell"]]
            assert of["split"]["test"], name
            held_out.setdefault(of["cell"]["seed"], []).extend(scored & set(of["split"]["test"]))
            assert scored & set(of["split"]["test"]), "a member without a part in it"
            assert member["weights_sha256"] == of["weights_sha256"]
        for images in held_out.values():
            assert sorted(images) == sorted(scored), "of each seed, one member predicts an image: one that held it out"


def test_the_entries_of_all_folds_together_cost_what_their_trainings_did(made):
    records = held(made)
    for time in ("train_seconds", "train_cpu_seconds"):
        spent = {name: sum(r["timing"][time] for r in records.values() if r["cell"]["architecture"] == name)
                 for name in ("tiny", "tiny+seeds")}  # fmt: skip
        assert spent["tiny+seeds"] == pytest.approx(spent["tiny"])


def masks(folder, architecture, seed, ids):
    named = (architecture, seed)
    records = [r for r in Results(folder).all() if (r.cell.architecture, r.cell.seed) == named]
    ours = {cell.id: cell for cell in suites.cells(replace(SUITE, architectures=(architecture,), seeds=(seed,)))}
    cell_of = {case.id: ours[r.name] for r in records for case in r.cases}
    return np.stack([gallery.load_prediction(Results(folder), cell_of[image], image) for image in ids])


@pytest.mark.parametrize("fold", [0, 1])
def test_where_both_seeds_agree_their_mean_agrees_with_them(made, fold):
    ids = held(made)[f"tiny.phantom.f{fold}.s0"]["split"]["test"]
    one, two = (masks(made, "tiny", seed, ids) for seed in (0, 1))
    mean = masks(made, "tiny+seeds", 0, ids)
    assert (one != two).any(), "or nothing was averaged"
    assert np.array_equal(mean[one == two], one[one == two])
    assert ((mean != one).any(), (mean != two).any()) == (True, True)


@pytest.mark.parametrize("fold", [0, 1])
def test_post_processed_masks_are_those_of_the_training_after_it(made, fold):
    ids = held(made)[f"tiny.phantom.f{fold}.s0"]["split"]["test"]
    raw, final = masks(made, "tiny", 0, ids), masks(made, "tiny+post", 0, ids)
    assert (raw != final).any(), "or nothing was post-processed"
    assert np.array_equal(final, np.stack([two_lungs(mask.astype(np.float32), 0.5) >= 0.5 for mask in raw]))
    record = held(made)[f"tiny+post.phantom.f{fold}.s0"]
    assert record["inputs"]["postprocess"] is True
    assert [member["cell"] for member in record["inputs"]["members"]] == [f"tiny.phantom.f{fold}.s0"]


def test_the_same_command_again_makes_nothing(made, monkeypatch, capsys):
    before = held(made)
    monkeypatch.setattr(ensemble, "_made", lambda *_: pytest.fail("nothing is to be made"))
    assert main(["ensemble", SUITE.name, "--tta", "--postprocess", "--results", str(made)]) == 0
    assert "12 of 12 ensembles have a valid record and are kept" in capsys.readouterr().out
    assert held(made) == before


def test_such_records_can_be_shown_published_and_reported(made, tmp_path):
    records = list(held(made).values())
    assert validate(records) == unlike(records) == []
    page = " ".join((made / f"{SUITE.name}.md").read_text(encoding="utf-8").split())
    assert "+seeds+tta is the mean of 2 trainings and 7 TTA transforms of each image" in page
    assert f"+post is one training's masks, {STATED}" in page  # in the words of a card
    assert main(["report", SUITE.name, "--results", str(made), "--no-figures"]) == 0
    assert main(["publish", SUITE.name, "--results", str(made), "--to", str(tmp_path)]) == 0
    assert (tmp_path / "costs.csv").read_text().splitlines()[1].startswith(f"{SUITE.name},4,")
