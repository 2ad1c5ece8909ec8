"""Suites and their cells: unique, ordered, and narrowed without touching what decides a score."""

import json
from dataclasses import replace

import pytest

from bench.cell import Cell
from bench.running.training import from_json, to_json
from bench.suites import SUITES, Suite, cells, select, suite
from lungseg import ARCHITECTURES, DATASETS
from lungseg.errors import UsageError
from lungseg.recipes import RECIPES
from lungseg.splits import Fold

every_suite = pytest.mark.parametrize("name", SUITES)


@every_suite
def test_suite_names_things_that_exist(name):
    chosen = suite(name)
    assert chosen.name == name
    assert set(chosen.architectures) <= set(ARCHITECTURES)
    assert chosen.dataset in DATASETS
    assert chosen.recipe in RECIPES
    assert all(side % 16 == 0 for side in chosen.size)
    assert (chosen.phantoms is not None) == (chosen.dataset == "phantom")


@every_suite
def test_cells_are_unique_and_go_seed_by_seed_and_fold_by_fold(name):
    made = cells(suite(name))
    assert len({cell.id for cell in made}) == len(made)
    assert [(cell.seed, cell.fold) for cell in made] == sorted((cell.seed, cell.fold) for cell in made)
    assert cells(suite(name)) == made


@every_suite
def test_full_suites_predict_every_image_once_for_each_architecture_and_seed(name):
    chosen = suite(name)
    made = cells(replace(chosen, fold_subset=None))
    assert len(made) == len(chosen.architectures) * len(chosen.recipes) * chosen.folds * len(chosen.seeds)


def test_montgomery_is_the_source_documents_protocol():
    chosen = suite("montgomery")
    assert (chosen.size, chosen.width, chosen.folds, len(chosen.seeds)) == ((256, 256), 64, 5, 3)
    assert cells(chosen)[0].id == "unet.montgomery.f0.s0"


def test_an_architecture_may_have_a_width_of_its_own():
    chosen = suite("montgomery-128-strong")
    assert {cell.architecture: cell.width for cell in cells(chosen)} == {
        "unet": 16, "m2unet": 64, "resunet": 16, "r2unet": 16,
    }  # fmt: skip


@every_suite
def test_suite_is_json_ready_and_comes_back(name):
    assert from_json(Suite, to_json(suite(name))) == suite(name)


def test_cell_is_json_ready_and_comes_back():
    (cell, *_) = cells(suite("quick"))
    details = cell.as_dict()
    assert details["size"] == [64, 64]
    assert json.loads(json.dumps(details)) == details
    of_search = replace(cells(suite("ablation"))[1], split=Fold(("a",), ("b",), ("c",)))
    for one in (cell, of_search):
        assert from_json(Cell, to_json(one)) == one


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({"architectures": "r2*"}, ["r2unet.phantom.f0.s0", "r2unet.phantom.f1.s0"]),
        ({"architectures": "res*", "folds": [1, 0, 1]}, ["resunet.phantom.f0.s0", "resunet.phantom.f1.s0"]),
        ({"architectures": "unet", "folds": [1], "seeds": 3}, [f"unet.phantom.f1.s{seed}" for seed in range(3)]),
    ],
)
def test_narrowed_keeps_what_decides_a_score(options, ids):
    whole = suite("quick")
    chosen = select(whole, **options)
    assert [cell.id for cell in cells(chosen)] == ids
    same = replace(chosen, architectures=whole.architectures, seeds=whole.seeds, fold_subset=whole.fold_subset)
    assert same == whole


def test_variants_of_the_recipe_can_be_chosen_and_joined_and_the_recipe_stays_beside_them():
    joined = ["batch-4+elastic", "elastic+batch-4"]  # one training, whatever the order
    chosen = select(suite("ablation"), folds=[0], variants=["plateau", *joined, "plateau"])
    made = cells(chosen)
    assert [cell.id.partition(".")[0] for cell in made] == ["unet", "unet~plateau", "unet~batch-4+elastic"]
    assert [cell.recipe.name for cell in made] == ["strong", "strong:plateau", "strong:batch-4+elastic"]
    assert not select(suite("ablation"), variants=[]).variants


def test_nothing_asked_is_the_suite_itself():
    assert select(suite("smoke")) == suite("smoke")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architectures": "vnet"}, "known are unet, resunet, r2unet"),
        ({"architectures": ""}, "known are unet, resunet, r2unet"),
        ({"folds": [3]}, "folds 0 to 1, not 3"),
        ({"folds": [0, -1]}, "folds 0 to 1, not -1"),
        ({"folds": []}, "folds 0 to 1"),
        ({"variants": ["hflip"]}, "recipe quick has no variants, so no 'hflip'; those of strong are .*hflip"),
    ],
)
def test_impossible_narrowing_says_what_is_possible(options, message):
    with pytest.raises(UsageError, match=message):
        select(suite("quick"), **options)


def test_unknown_suite_lists_the_known():
    with pytest.raises(UsageError, match=f"'fast': known are {', '.join(SUITES)}$"):
        suite("fast")
