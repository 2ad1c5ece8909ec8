"""The search around its trainings, which are made up here: budget, what is searched, when and how often it judges."""

from dataclasses import replace

import pytest
from made_up_study import PLAN, SMALL, describe, trials, tune

from bench import suites
from bench.__main__ import main
from bench.records.results import Results
from bench.running import data
from bench.tune import result, space
from bench.tune.journal import Journal
from bench.tune.page import page
from bench.tune.plan import plan
from lungseg.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_can_be_searched_from(tmp_path, trainings, monkeypatch, name):
    monkeypatch.setitem(suites.SUITES, "smoke", replace(suites.SUITES["smoke"], recipe=name))
    assert tune(tmp_path, "--epochs", "8", "--trials", "2", "--seeds", "1") == 0
    results_found = result.load(Results(tmp_path).study(plan("smoke", size=32, epochs=8).name) / "tune.json")
    assert len(results_found["inner"]["default"]["cases"]) == results_found["images"]["searched"]
    assert len([label for label in trainings if label.startswith("trial")]) == 4
    assert main(["tune", *SMALL, "--results", str(tmp_path), "--epochs", "8", "--trials", "2", "--seeds", "1"]) == 0


def test_trials_of_earlier_commands_count(tmp_path, trainings):
    for wished in (2, 2, 4):
        assert tune(tmp_path, "--trials", str(wished), "--seeds", "1") == 0
        assert len(trials(tmp_path)) == wished


def test_each_look_at_the_held_out_fold_is_counted(tmp_path, trainings):
    """A search that goes on after it was judged has a best trial that was chosen knowing how another one did."""
    judged = []
    for wished in (2, 2, 30):
        assert tune(tmp_path, "--trials", str(wished), "--seeds", "1") == 0
        best = describe(tmp_path)["inner"]["best"]["trial"]
        judged += [best] if best not in judged else []
        assert describe(tmp_path)["looks"] == judged
    assert len(judged) == 2, "else nothing was chosen anew"
    assert f"evaluated 2 times as the search continued (best trials {judged[0]}, {judged[1]})" in " ".join(
        page(describe(tmp_path), "tune.csv").split()
    )


def test_no_trial_begins_after_the_hours_are_over(tmp_path, trainings, capsys):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    assert tune(tmp_path, "--trials", "9", "--hours", "0", "--seeds", "1") == 0
    assert len(trials(tmp_path)) == 1
    assert "1 of 9 trials" in page(describe(tmp_path), "tune.csv")
    assert tune(tmp_path / "other", "--hours", "0") == 4
    assert "no trial was scored" in capsys.readouterr().err


def test_the_last_of_several_workers_judges(tmp_path, trainings, capsys):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    other = Journal(Results(tmp_path).study(PLAN.name), PLAN.axes, space.values(PLAN.base))
    with other.working():
        requested = other.ask(2)
        assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
        assert "the last one to end runs the held-out evaluation" in capsys.readouterr().out
        assert len(describe(tmp_path)["trials"]) == 1
        other.tell(requested.number, "oom", error={"type": "x", "message": "y"})
    assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
    assert len(describe(tmp_path)["trials"]) == 3


def test_no_patient_of_the_held_out_fold_is_in_the_search(tmp_path):
    for fold in range(PLAN.suite.folds):
        for inner in (2, 3):
            study = plan("smoke", size=32, fold=fold, inner=inner)
            suite_data = data.load_suite_data(
                study.suite, data.resolve_root(study.suite, None, Results(tmp_path)), Results(tmp_path)
            )
            patient = {case.id: case.patient for case in suite_data.cases}
            outer, inner_folds = study.outer(suite_data), study.inner_folds(suite_data)
            held = {patient[key] for key in outer.test}
            assert len(inner_folds) == inner
            for part in inner_folds:
                sides = [{patient[key] for key in ids} for ids in (part.train, part.validation, part.test)]
                assert not held & set.union(*sides)
                assert sum(map(len, sides)) == len(set.union(*sides))
            tested = sorted(key for part in inner_folds for key in part.test)
            assert tested == sorted((*outer.train, *outer.validation))
