"""From a suite to material: doubles stay together, known folds stay put, a set that changes is refused."""

from dataclasses import replace

import numpy as np
import pytest

from bench.records import store
from bench.records.results import Results
from bench.running import training
from bench.running.data import check_unchanged, load_suite_data, resolve_root, scored
from bench.running.workplace import Workplace
from bench.suites import cells, suite
from bench.tune.plan import Plan
from lungseg import images, runtime
from lungseg.errors import DataError, UsageError
from lungseg.recipes import recipe

FOLDER = replace(suite("quick"), dataset="folder", size=(32, 32), folds=3, phantoms=None)


@pytest.fixture
def root(tmp_path):
    """Twelve cases of random pixels in the layout of one's own folder."""
    draw = np.random.default_rng(0)
    for name in ("img", "mask"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(12):
            pixels = draw.integers(0, 255, (32, 32)) if name == "img" else 255 * (draw.random((32, 32)) < 0.3)
            images.write_png(tmp_path / "set" / name / f"c{k:02}.png", pixels.astype(np.uint8))
    return tmp_path / "set"


@pytest.mark.fault("F38")
def test_one_picture_under_two_names_is_one_patient_in_one_fold(root, tmp_path):
    before = load_suite_data(FOLDER, root, Results(tmp_path))
    assert before.prepared.patients == before.prepared.ids
    elsewhere = next(key for key in before.folds[0].train if key != "c00")
    images.write_png(
        root / "img" / f"{elsewhere}.png", np.rint(before.prepared.images[0] * 255).astype(np.uint8), compression=0
    )
    after = load_suite_data(FOLDER, root, Results(tmp_path))
    row = after.prepared.index_of[elsewhere]
    assert after.prepared.patients[0] == after.prepared.patients[row] == after.cases[row].patient
    assert len(set(after.prepared.patients)) == 11
    for fold in after.folds:
        assert [{"c00", elsewhere} <= set(side) for side in (fold.train, fold.validation, fold.test)].count(True) == 1


FOLDS = {
    "quick": "6c5400b1bbf02b0f323d02cb5b5b62fbb56da97671f04ed1e92d3b3e344a4185",
    "smoke": "1551325fc9def792aaa0b64e67a805b336ff337da8eb68e5bccbc825e24fee68",
    "montgomery-128": "e0519c307180b0814b4cca09e908649bd3a005cb208f8b8b3686351895167818",
}


@pytest.mark.fault("F38", "F42")
@pytest.mark.parametrize("name", ["quick", "smoke"])
def test_folds_of_the_phantom_suites_stay_as_they_are(name, tmp_path):
    chosen = suite(name)
    suite_data = load_suite_data(chosen, resolve_root(chosen, None, Results(tmp_path)), Results(tmp_path))
    assert store.sha256(suite_data.folds_record(0)) == FOLDS[name]


@pytest.mark.fault("F38", "F42")
def test_folds_of_montgomery_stay_as_they_are(real_montgomery, tmp_path):
    suite_data = load_suite_data(suite("montgomery-128"), real_montgomery, Results(tmp_path))
    assert store.sha256(suite_data.folds_record(0)) == FOLDS["montgomery-128"]


@pytest.mark.fault("F43")
@pytest.mark.parametrize("change", ["image", "mask", "patient"])
def test_a_set_that_changed_since_the_run_was_planned_is_refused(root, tmp_path, change):
    planned = training.fingerprint_inputs(cells(FOLDER)[0], load_suite_data(FOLDER, root, Results(tmp_path)))
    check_unchanged(load_suite_data(FOLDER, root, Results(tmp_path)), planned)
    if change == "patient":
        rows = "".join(f"c{k:02},{'p' if k < 3 else k}\n" for k in range(12))
        (root / "metadata.csv").write_text(f"id,patient\n{rows}")
    else:
        folder = "img" if change == "image" else "mask"
        images.write_png(root / folder / "c05.png", np.full((32, 32), 255, np.uint8))
    with pytest.raises(DataError, match=r"set/img: (data|folds) of the set changed since the run began"):
        check_unchanged(load_suite_data(FOLDER, root, Results(tmp_path)), planned)


# -- trained on one set and scored on another, or trained on both ------------------------------------------------------

CROSS_DATASET = replace(suite("montgomery-to-shenzhen-128"), size=(32, 32))
BESIDES = replace(suite("montgomery-with-shenzhen-128"), size=(32, 32))


@pytest.fixture
def both(tmp_path):
    """A folder with twelve images named as Montgomery's and eight named as Shenzhen's."""
    draw = np.random.default_rng(0)
    for name, start, n in (("Montgomery", "MCUCXR", 12), ("Shenzhen", "CHNCXR", 8)):
        for kind in ("img", "mask"):
            (tmp_path / "sets" / name / kind).mkdir(parents=True)
            for k in range(n):
                pixels = draw.integers(0, 255, (32, 32)) if kind == "img" else 255 * (draw.random((32, 32)) < 0.3)
                path = tmp_path / "sets" / name / kind / f"{start}_{k:04}_{k % 2}.png"
                images.write_png(path, pixels.astype(np.uint8))
        rows = "".join(f"{start}_{k:04}_{k % 2},{k},F,40,{k % 2},32,32\n" for k in range(n))
        if name == "Montgomery":
            header = "id,patient,sex,age,tb,native_height,native_width\n"
            (tmp_path / "sets" / name / "metadata.csv").write_text(header + rows)
    return tmp_path / "sets"


def test_a_suite_across_sets_trains_on_one_and_scores_all_of_the_other(both, tmp_path):
    suite_data = load_suite_data(CROSS_DATASET, resolve_root(CROSS_DATASET, both, Results(tmp_path)), Results(tmp_path))
    (fold,) = suite_data.folds
    assert len(fold.train) + len(fold.validation) == 12
    assert all(key.startswith("MCUCXR") for key in (*fold.train, *fold.validation))
    assert len(fold.validation) in (1, 2)
    assert set(fold.test) == suite_data.scored
    assert len(fold.test) == 8
    assert all(key.startswith("CHNCXR") for key in fold.test)


def test_a_record_across_sets_counts_the_images_that_are_scored_alone(both, tmp_path):
    suite_data = load_suite_data(CROSS_DATASET, both, Results(tmp_path))
    at = Workplace(cells(CROSS_DATASET)[0], runtime.Device("cpu", "cpu"), suite_data, {})
    about = at.provenance(suite_data.folds[0])["data"]
    assert about["n"] == 8
    assert about["target_pixels"].keys() == suite_data.scored


def test_groups_of_patients_across_sets_are_those_of_the_set_that_is_scored(both, tmp_path):
    assert all(case.id.startswith("CHNCXR") for case in scored(CROSS_DATASET, both, tmp_path))
    within = replace(suite("montgomery-128"), size=(32, 32))
    assert all(case.id.startswith("MCUCXR") for case in scored(within, both, tmp_path))


@pytest.mark.parametrize("two", [CROSS_DATASET, BESIDES], ids=["across", "besides"])
def test_sets_lie_under_their_names_as_the_source_or_as_fetching_spells_them(both, tmp_path, two):
    suite_data = load_suite_data(two, resolve_root(two, both, Results(tmp_path)), Results(tmp_path))
    for name in ("Montgomery", "Shenzhen"):
        (both / name).rename(both / name.lower())
    again = load_suite_data(two, resolve_root(two, both, Results(tmp_path)), Results(tmp_path))
    assert again.folds == suite_data.folds
    assert again.prepared.sha256 == suite_data.prepared.sha256
    one = replace(suite("montgomery-128"), size=(32, 32))
    assert resolve_root(one, both, Results(tmp_path)) == both / "montgomery"


def test_a_suite_of_two_sets_names_both_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.delenv("LUNGSEG_DATA", raising=False)
    with pytest.raises(UsageError, match=r"needs the sets montgomery and shenzhen: give the folder that holds both"):
        resolve_root(BESIDES, None, Results(tmp_path))


@pytest.mark.parametrize("two", [CROSS_DATASET, BESIDES], ids=["across", "besides"])
def test_a_suite_of_two_sets_needs_both(both, tmp_path, two):
    (both / "Shenzhen").rename(both / "elsewhere")
    with pytest.raises(UsageError, match=r"Shenzhen: no such folder; suite .* needs one that holds Montg"):
        resolve_root(two, both, Results(tmp_path))


@pytest.mark.parametrize("two", [CROSS_DATASET, BESIDES], ids=["across", "besides"])
def test_an_image_that_both_sets_hold_is_refused(both, tmp_path, two):
    picture = (both / "Montgomery" / "img" / "MCUCXR_0003_1.png").read_bytes()
    (both / "Shenzhen" / "img" / "CHNCXR_0005_1.png").write_bytes(picture)
    with pytest.raises(DataError, match=r"is in both sets, .*MCUCXR_0003_1\.png in one; remove it from one"):
        load_suite_data(two, both, Results(tmp_path))


def test_a_set_that_is_trained_on_besides_is_never_validated_on_nor_scored(both, tmp_path):
    suite_data = load_suite_data(BESIDES, resolve_root(BESIDES, both, Results(tmp_path)), Results(tmp_path))
    plain = load_suite_data(replace(suite("montgomery-128"), size=(32, 32)), both / "Montgomery", Results(tmp_path))
    for fold, alone in zip(suite_data.folds, plain.folds, strict=True):
        assert (fold.validation, fold.test) == (alone.validation, alone.test)
        assert sum(key.startswith("CHNCXR") for key in fold.train) == 8
    assert suite_data.scored == plain.scored
    assert all(case.id.startswith("MCUCXR") for case in scored(BESIDES, both, tmp_path))
    assert {cell.train_set for cell in cells(BESIDES)} == {"montgomery+shenzhen"}


def test_one_name_in_both_sets_is_refused(both, tmp_path):
    for kind in ("img", "mask"):
        folder = both / "Shenzhen" / kind
        (folder / "CHNCXR_0005_1.png").rename(folder / "MCUCXR_0003_1.png")
    with pytest.raises(DataError, match=r"MCUCXR_0003_1\.png and .*MCUCXR_0003_1\.png have the same name; rename one"):
        load_suite_data(CROSS_DATASET, both, Results(tmp_path))


def test_a_search_trains_on_the_other_set_besides_and_is_judged_by_its_own_alone(both, tmp_path):
    suite = replace(BESIDES, folds=2)
    study = Plan(suite, "unet", 0, 2, recipe("strong"))
    suite_data = load_suite_data(suite, both, Results(tmp_path))
    outer, inner = study.outer(suite_data), study.inner_folds(suite_data)
    local = {*outer.train, *outer.validation} & suite_data.scored
    assert sorted(key for part in inner for key in part.test) == sorted(local)
    for part in inner:
        assert sum(key.startswith("CHNCXR") for key in part.train) == 8
        assert all(key.startswith("MCUCXR") for key in (*part.validation, *part.test))
    alone = replace(study, suite=replace(suite, extra_train=None))
    plain = load_suite_data(alone.suite, both / "Montgomery", Results(tmp_path))
    assert [part.test for part in alone.inner_folds(plain)] == [part.test for part in inner]
