"""Entries: of which members they are made, and what is refused."""

from __future__ import annotations

import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import parsed, record

from bench import machine, suites
from bench.records import store
from bench.records.record import Split
from bench.records.results import Results
from bench.running.data import SuiteData
from bench.running.ensemble import Ensemble, ensembles
from bench.running.ensemble_worker import by_seed, mean
from bench.running.trained import check_leakage, weights
from bench.running.training import fingerprint_inputs, from_json, to_json
from lungseg.errors import DataError, UsageError
from lungseg.prepare import Prepared
from lungseg.provenance import weights_sha256
from lungseg.splits import Fold
from lungseg.tta import IDENTITY, TRANSFORMS

SUITE = replace(suites.suite("quick"), architectures=("unet", "resunet"), seeds=(0, 1, 2))
KEY = machine.key(SUITE.policy)
FOLDS = (Fold(("a",), ("b",), ("c", "d")), Fold(("c",), ("d",), ("a", "b")))
EMPTY = np.zeros((4, 8, 8), np.float32)
PREPARED = Prepared(tuple("abcd"), tuple("pqrs"), EMPTY, EMPTY > 0, ((1.0, 1.0),) * 4, "raw", "sha")
MATERIAL = SuiteData((), PREPARED, FOLDS)


def trained(results, suite=SUITE, graph="g", suite_data=MATERIAL):
    """A record of each cell of the suite, with a file for its weights."""
    for cell in suites.cells(suite):
        made_from = {**fingerprint_inputs(cell, suite_data), "graph": graph}
        made = record(cell.architecture, cell.fold, cell.seed, size=64)
        whole = {**made, "inputs": made_from, "cell": cell.as_dict(), "fingerprint": store.fingerprint(made_from)}
        store.save_record(Results(results).path(cell), whole)
        store.write_bytes(Results(results).artifact(cell, "weights.npz"), b"w")


def planned(results, seeds=None, suite=SUITE, tta=False):
    return ensembles(suite, MATERIAL, Results(results), seeds, tta=tta)


@pytest.mark.parametrize("seeds", [None, 2, 1])
def test_every_member_is_of_its_entrys_architecture_and_fold_and_of_another_seed(tmp_path, seeds):
    trained(tmp_path)
    result = planned(tmp_path, seeds, tta=True)
    n = seeds or 3
    assert len({e.cell.id for e in result}) == len(result) == 2 * 2 * (n + (2 if n > 1 else 0))
    for ensemble in result:
        name, _, suffix = ensemble.cell.architecture.partition("+")
        assert {(m.architecture, m.fold) for m in ensemble.members} == {(name, ensemble.cell.fold)}
        seeds_of = [m.seed for m in ensemble.members]
        assert seeds_of == (list(range(n)) if "seeds" in suffix else [ensemble.cell.seed])
        assert ensemble.transforms == (TRANSFORMS if "tta" in suffix else (IDENTITY,))
        assert from_json(Ensemble, to_json(ensemble)) == ensemble


OTHER_SPLIT = (Fold(("b",), ("d",), ("a", "c")), Fold(("a",), ("c",), ("b", "d")))
SPLIT_BY_SEED = replace(MATERIAL, split=lambda seed: OTHER_SPLIT)


def test_seeds_that_split_the_images_otherwise_lend_the_members_that_held_an_entrys_images_out(tmp_path):
    suite = replace(SUITE, seeds=(0, 1), architectures=("unet",))
    trained(tmp_path, suite, suite_data=SPLIT_BY_SEED)
    first, second = ensembles(suite, SPLIT_BY_SEED, Results(tmp_path), 2)
    assert first.fold(SPLIT_BY_SEED).test == ("c", "d"), "of seed 0"
    for ensemble, fold in ((first, 0), (second, 1)):
        assert [(m.seed, m.fold) for m in ensemble.members] == [(0, fold), (1, 0), (1, 1)]
        seeds = {member["seed"] for member in ensemble.inputs["members"]}
        assert len(seeds) == 2, "each image is one member's of each seed"


def test_a_mean_over_seeds_needs_every_fold_of_each(tmp_path):
    suite = replace(SUITE, seeds=(0, 1), architectures=("unet",), fold_subset=(0,))
    trained(tmp_path, suite, suite_data=SPLIT_BY_SEED)
    with pytest.raises(UsageError, match=r"unet: each seed has its own split, .* needs all 2 folds"):
        ensembles(suite, SPLIT_BY_SEED, Results(tmp_path), 2)
    alone = ensembles(suite, SPLIT_BY_SEED, Results(tmp_path), 2, tta=True)
    assert {e.cell.architecture for e in alone} == {"unet+tta"}


def test_of_each_seed_an_image_gets_the_prediction_of_the_member_that_held_it_out():
    cell = suites.cells(SUITE)[0]
    local = [replace(cell, seed=0, fold=0), replace(cell, seed=1, fold=0), replace(cell, seed=1, fold=1)]
    result = [{"c": np.full((2, 2), 0.1), "d": np.full((2, 2), 0.2)}, {"c": np.full((2, 2), 0.3)},
             {"b": np.full((2, 2), 0.9), "d": np.full((2, 2), 0.4)}]  # fmt: skip
    of_seeds = by_seed(local, result, ("c", "d"))
    assert [[float(image[0, 0]) for image in one] for one in of_seeds] == [[0.1, 0.2], [0.3, 0.4]]


def test_an_entry_stays_until_a_member_changes(tmp_path):
    trained(tmp_path)
    first = planned(tmp_path)[0]
    assert planned(tmp_path)[0].inputs == first.inputs
    path = Results(tmp_path).path(first.members[1])
    store.save_record(path, {**store.load_record(path).document, "weights_sha256": "of another training"})
    assert store.fingerprint(planned(tmp_path)[0].inputs) != store.fingerprint(first.inputs)


def test_a_set_that_predicts_another_has_entries_of_its_one_fold(tmp_path):
    suite = replace(SUITE, folds=1, test_set="other", architectures=("unet",))
    suite_data = replace(MATERIAL, folds=FOLDS[:1])
    trained(tmp_path, suite, suite_data=suite_data)
    result = ensembles(suite, suite_data, Results(tmp_path))
    assert [e.cell.id for e in result] == ["unet+seeds.other.f0.s0"]


def test_variants_of_a_recipe_have_no_entries_and_hinder_none(tmp_path):
    suite = replace(SUITE, recipe="strong", architectures=("unet",))
    trained(tmp_path, suite)
    trained(tmp_path, replace(suite, recipe="strong:no-geometric", seeds=(0,)))
    result = planned(tmp_path, suite=replace(suite, variants=("no-geometric", "hflip")))
    assert [e.cell.id for e in result] == ["unet+seeds.phantom.f0.s0", "unet+seeds.phantom.f1.s0"]


def test_entries_of_a_variant_are_made_of_its_trainings_alone(tmp_path):
    suite = replace(SUITE, recipe="strong", architectures=("unet",))
    trained(tmp_path, suite)
    trained(tmp_path, suites.of_variant(replace(suite, seeds=(0, 1)), "no-geometric"))
    result = planned(tmp_path, suite=suites.of_variant(replace(suite, variants=("hflip",)), "no-geometric"), tta=True)
    assert (
        {e.cell.recipe.name for e in result}
        == {m.recipe.name for e in result for m in e.members}
        == {"strong:no-geometric"}
    )
    assert "unet+seeds+tta~no-geometric.phantom.f1.s0" in {e.cell.id for e in result}
    assert {len(e.members) for e in result if "seeds" in e.cell.architecture} == {2}
    with pytest.raises(UsageError, match="recipe strong has no variant 'slow'"):
        suites.of_variant(suite, "slow")
    with pytest.raises(DataError, match=r"run `python -m bench run quick --arch unet --variants hflip` first"):
        planned(tmp_path, suite=suites.of_variant(suite, "hflip"))
    Results(tmp_path).path(result[0].members[0]).unlink()
    with pytest.raises(
        DataError,
        match=r"run `python -m bench run quick --arch unet --variants no-geometric "
        r"--seeds 2`",
    ):
        planned(tmp_path, suite=suites.of_variant(suite, "no-geometric"))


def test_missing_members_and_weights_are_all_named(tmp_path):
    trained(tmp_path)
    gone, edited, bare = suites.cells(SUITE)[:3]
    Results(tmp_path).path(gone).unlink()
    path = Results(tmp_path).path(edited)
    path.write_text(path.read_text().replace('"n": 138', '"n": 139'))
    Results(tmp_path).artifact(bare, "weights.npz").unlink()
    with pytest.raises(DataError) as caught:
        planned(tmp_path)
    first, *rest = caught.value.problems
    names = [f"{name}: 1 of 6 cells have no finished training .*: {cell.id}; run .*--arch {name} --seeds 3`"
             for name, cell in (("unet", gone), ("resunet", edited))]  # fmt: skip
    assert [bool(re.search(name, "\n".join([first, *rest]))) for name in names] == [True, True]
    assert re.search(f"{bare.id}/weights.npz: no such file .*published.*delete .*{bare.id}.json", str(caught.value))


def test_where_weights_are_missing_every_record_of_that_training_is_named(tmp_path):
    """One that another suite holds would be reused, without weights again."""
    trained(tmp_path)
    bare = suites.cells(SUITE)[0]
    path, weights = Results(tmp_path).path(bare), Results(tmp_path).artifact(bare, "weights.npz")
    weights.unlink()
    other = Results(tmp_path).path(replace(bare, suite="another"))
    document = store.load_record(path).document
    store.save_record(other, {**document, "cell": {**document["cell"], "suite": "another"}})
    with pytest.raises(DataError, match=f"delete {re.escape(f'{path} and {other}')} and run suite quick again"):
        planned(tmp_path)


def test_what_cannot_be_averaged_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"unet: not trained yet in .*bench run quick --arch unet"):
        planned(tmp_path)
    trained(tmp_path, replace(SUITE, seeds=(0,)))
    with pytest.raises(UsageError, match="unet has only seed 0; an ensemble needs at least two"):
        planned(tmp_path)
    assert {e.cell.architecture for e in planned(tmp_path, tta=True)} == {"unet+tta", "resunet+tta"}
    trained(tmp_path, replace(SUITE, seeds=(1,)), graph="edited since")
    with pytest.raises(DataError, match="different versions of its code"):
        planned(tmp_path)


def of_fold(k, **change):
    (made,) = parsed([record("unet", k)])
    return replace(made, split=Split(**{**asdict(FOLDS[k]), **{part: tuple(ids) for part, ids in change.items()}}))


@pytest.mark.fault("F39", "F41")
def test_a_member_that_has_seen_an_image_is_refused():
    check_leakage(of_fold(0), FOLDS[0], MATERIAL)
    with pytest.raises(DataError, match=r"unet.phantom.f1.s0: its training set holds patients of 2 of the 2 images"):
        check_leakage(of_fold(1), FOLDS[0], MATERIAL)
    with pytest.raises(DataError, match="patients of 1 of the 2 images that it would predict, such as d"):
        check_leakage(of_fold(0, validation=["b", "d"]), FOLDS[0], MATERIAL)
    joined = replace(MATERIAL, prepared=replace(MATERIAL.prepared, patients=("p", "q", "p", "s")))
    with pytest.raises(DataError, match="such as c"):
        check_leakage(of_fold(0), FOLDS[0], joined)
    with pytest.raises(DataError, match="not trained on the images of its fold"):
        check_leakage(of_fold(0, validation=[]), FOLDS[0], MATERIAL)


@pytest.mark.fault("F102")
def test_only_the_weights_that_a_record_names_are_used(tmp_path):
    path, right = tmp_path / "weights.npz", np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez_compressed(path, w0000=right)
    (local,) = parsed([{**record("unet", 0), "weights_sha256": weights_sha256([right])}])
    assert np.array_equal(weights(path, local)[0], right)
    for content in (path.read_bytes()[:-30], b"", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"weights.npz: not the weights of a network .* run suite fake again"):
            weights(path, local)
    np.savez_compressed(path, w0000=np.array([[None] * 3] * 2))
    with pytest.raises(DataError, match="not the weights of a network"):
        weights(path, local)
    for other in (right.T.copy(), right + 1):
        np.savez_compressed(path, w0000=other)
        with pytest.raises(DataError, match=r"weights.npz: the hash of the weights is not the one in their record"):
            weights(path, local)


@given(st.lists(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4), min_size=1, max_size=5), st.randoms())
def test_a_mean_lies_between_its_members_whatever_their_order(values, shuffled):
    members = [np.array(v, np.float32).reshape(1, 2, 2) for v in values]
    result = mean(members)
    assert result.dtype == np.float32
    assert (np.min(members, axis=0) <= result).all()
    assert (result <= np.max(members, axis=0)).all()
    assert np.array_equal(mean([members[0]] * 3), members[0])
    shuffled.shuffle(members)
    assert mean(members) == pytest.approx(result, abs=1e-7)
