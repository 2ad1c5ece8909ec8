"""The search around its trainings, which are made up here: budget, failures, what is judged, told and published."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench import data, paths, store, suites
from bench.__main__ import main
from bench.markdown import ratio
from bench.tune import outcome, space
from bench.tune.journal import DIVERGED, INTERRUPTED, OK, Journal
from bench.tune.page import compared, page
from bench.tune.plan import plan
from bench.tune.study import Failed, Study, folder
from lungseg.errors import DataError, EnvironmentFailure
from lungseg.recipes import RECIPES

RESULTS = Path(__file__).resolve().parent.parent / "results"
SMALL = ["smoke", "--size", "32", "--epochs", "2", "--inner", "2", "--slots", "1"]
PLAN = plan("smoke", size=32, epochs=2, inner=2)
MACHINE = {"cpu": "Example CPU", "device": "cpu", "threads": 1}


def goodness(recipe, fold, seed):
    """A made-up Dice of each held-out image: better with a scale of 0.1, a little different for each image."""
    moved = recipe.augmentation.scale if recipe.augmentation else 0.0
    return [0.9 - abs(moved - 0.1) / 4 + 0.01 * (sum(map(ord, key)) % 5) + 0.001 * seed for key in fold.test]


def made_up(self, recipe, fold, seed, slot, label):
    """``Study.trained`` without a training."""
    asked = self.task(recipe, fold, seed)
    if (found := asked.found()) is None:
        patient = {case.id: case.patient for case in self.material.cases}
        made_from = {**asked.inputs, "graph": "g"}
        cases = [
            {"id": key, "patient": patient[key], "dice": dice}
            for key, dice in zip(fold.test, goodness(recipe, fold, seed), strict=True)
        ]
        store.save_record(asked.path, {
            "schema": store.SCHEMA, "fingerprint": store.fingerprint(made_from), "inputs": made_from, "status": "ok",
            "cases": cases, "weights_sha256": "ab" * 32, "timing": {"train_seconds": 2.0, "total_seconds": 3.0},
            "machine": MACHINE, "source": {"sha256": "cd" * 32}, "finished": "2026-11-24T10:00:00+00:00",
        })  # fmt: skip
        found = asked.found()
    return found


@pytest.fixture
def trainings(monkeypatch):
    """The labels of all trainings that were asked for."""
    asked = []

    def trained(self, recipe, fold, seed, slot, label):
        asked.append(label)
        return made_up(self, recipe, fold, seed, slot, label)

    monkeypatch.setattr(Study, "trained", trained)
    return asked


def tune(results, *more):
    return main(["tune", *SMALL, "--results", str(results), *more])


def told(results):
    return outcome.load(folder(results, PLAN) / "tune.json")


def trials(results):
    return Journal(folder(results, PLAN), PLAN.axes, space.values(PLAN.base)).trials()


def test_the_page_says_what_the_record_holds(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "6", "--seeds", "2") == 0
    found = told(tmp_path)
    assert [trial["status"] for trial in found["trials"]] == [OK] * 6
    assert [label for label in trainings if label.startswith("trial 3")] == [
        "trial 3, inner fold 1 of 2",
        "trial 3, inner fold 2 of 2",
    ]
    assert len(trainings) == 6 * 2 + 2 * 2
    best = max(found["trials"], key=lambda trial: trial["value"])
    assert found["inner"]["best"]["trial"] == best["number"] > 0
    assert found["recipes"]["best"] == best["recipe"]
    text = (folder(tmp_path, PLAN) / "tune.md").read_text().replace("\n", " ")
    pair = compared(found)
    own, better = ([sum(seed) / len(seed) for seed in found["held_out"]["dice"][name]] for name in ("own", "best"))
    assert pair.difference.value == pytest.approx(sum(better) / 2 - sum(own) / 2)
    assert f"reaches Dice {ratio(sum(better) / 2)}, the suite's own {ratio(sum(own) / 2)}" in text
    assert "both at 32 x 32 px, width 4, 2 epochs" in text
    assert "excludes 0 (2 seeds)" in text
    assert "With 2 seeds this is about these weights, not about the recipes" in text


@pytest.mark.fault("F96")
def test_the_same_record_gives_the_same_page(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
    found = told(tmp_path)
    assert page(found) == page(json.loads(json.dumps(found))) == (folder(tmp_path, PLAN) / "tune.md").read_text()
    assert main(["tune", *SMALL, "--results", str(tmp_path), "--trials", "2", "--seeds", "1"]) == 0
    again = told(tmp_path)
    assert {**again, "finished": 0, "record_sha256": 0} == {**found, "finished": 0, "record_sha256": 0}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_can_be_searched_from(tmp_path, trainings, monkeypatch, name):
    monkeypatch.setitem(suites.SUITES, "smoke", replace(suites.SUITES["smoke"], recipe=name))
    assert tune(tmp_path, "--epochs", "8", "--trials", "2", "--seeds", "1") == 0
    found = outcome.load(folder(tmp_path, plan("smoke", size=32, epochs=8)) / "tune.json")
    assert len(found["inner"]["own"]["cases"]) == found["images"]["searched"]
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
        best = told(tmp_path)["inner"]["best"]["trial"]
        judged += [best] if best not in judged else []
        assert told(tmp_path)["looks"] == judged
    assert len(judged) == 2, "else nothing was chosen anew"
    assert f"looked at 2 times, as the search went on (best trials {judged[0]}, {judged[1]})" in " ".join(
        page(told(tmp_path)).split()
    )


def test_no_trial_begins_after_the_hours_are_over(tmp_path, trainings, capsys):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    assert tune(tmp_path, "--trials", "9", "--hours", "0", "--seeds", "1") == 0
    assert len(trials(tmp_path)) == 1
    assert "1 of 9 trials" in page(told(tmp_path))
    assert tune(tmp_path / "other", "--hours", "0") == 4
    assert "no trial was scored" in capsys.readouterr().err


def test_a_recipe_that_nothing_beats_is_said_to_be_the_best(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    found = told(tmp_path)
    assert "best" not in found["held_out"]["dice"]
    assert "Nothing: no recipe was better than the suite's own" in page(found).replace("\n", " ")


def failing(statuses):
    """``Study.trained``, of which the trainings of trial k fail as ``statuses[k]`` says, if it does."""

    def trained(self, recipe, fold, seed, slot, label):
        status = statuses.get(int(re.match(r"trial (\d+)", label)[1])) if label.startswith("trial") else None
        if status:
            raise Failed(status, {"type": "Diverged", "message": "epoch 3: loss", "stderr_tail": "Traceback ..."})
        return made_up(self, recipe, fold, seed, slot, label)

    return trained


@pytest.mark.fault("F51", "F54", "F63")
def test_a_trial_that_fails_costs_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "trained", failing({1: "diverged", 2: "oom", 4: "timeout"}))
    assert tune(tmp_path, "--trials", "5", "--seeds", "1") == 0
    assert [trial.status for trial in trials(tmp_path)] == [OK, DIVERGED, "oom", OK, "timeout", OK, OK]
    params = [str(trial.params) for trial in trials(tmp_path)]
    assert len(set(params)) == len(params), "a recipe that failed was proposed again"
    text = page(told(tmp_path))
    assert "5 of 5 trials (1 of them diverged, 2 more failed)" in text.replace("\n", " ")
    assert "Trial 2: Diverged: epoch 3: loss" in text


@pytest.mark.parametrize("scored", [0, 1])
def test_three_failures_in_a_row_end_the_search_with_exit_4(tmp_path, monkeypatch, capsys, scored):
    monkeypatch.setattr(Study, "trained", failing(dict.fromkeys(range(scored, 99), "crashed")))
    assert tune(tmp_path, "--trials", "5") == 4
    assert len(trials(tmp_path)) == scored + 3
    said = capsys.readouterr()
    assert "epoch 3: loss" in said.out
    assert ("3 trials in a row failed" if scored else "no trial was scored; last: Diverged") in said.err


def test_a_judging_that_fails_is_exit_4_and_the_search_stands(tmp_path, monkeypatch, capsys):
    def trained(self, recipe, fold, seed, slot, label):
        if label.startswith("held-out"):
            raise Failed("oom", {"type": "Killed", "message": "signal 9", "stderr_tail": ""})
        return made_up(self, recipe, fold, seed, slot, label)

    monkeypatch.setattr(Study, "trained", trained)
    assert tune(tmp_path, "--trials", "2", "--publish-to", str(tmp_path / "out")) == 4
    assert "Not known yet" in page(told(tmp_path))
    assert "held-out fold 0: oom" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Study, "trained", made_up)
    assert tune(tmp_path, "--trials", "2", "--publish-to", str(tmp_path / "out")) == 0
    assert len(trials(tmp_path)) == 2


@pytest.mark.fault("F71")
def test_an_environment_that_refuses_ends_the_command_and_the_trial_is_tried_again(tmp_path, monkeypatch, capsys):
    def trained(self, *_):
        raise EnvironmentFailure("record.json: cannot be written (No space left on device)")

    monkeypatch.setattr(Study, "trained", trained)
    assert tune(tmp_path, "--trials", "2") == 6
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr(Study, "trained", made_up)
    assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
    assert [trial.status for trial in trials(tmp_path)] == [INTERRUPTED, OK, OK]


@pytest.mark.fault("F60")
def test_an_interrupted_search_exits_130_and_names_the_command_that_goes_on(tmp_path, monkeypatch, capsys):
    from bench.tune import study

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "trained", made_up)
    with monkeypatch.context() as patch:
        patch.setattr(study.time, "sleep", interrupted)
        assert tune(tmp_path, "--trials", "1") == 130
    assert "bench tune smoke --size 32" in capsys.readouterr().err
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0


def test_the_last_of_several_workers_judges(tmp_path, trainings, capsys):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    other = Journal(folder(tmp_path, PLAN), PLAN.axes, space.values(PLAN.base))
    with other.working():
        asked = other.ask(2)
        assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
        assert "the last of them judges" in capsys.readouterr().out
        assert len(told(tmp_path)["trials"]) == 1
        other.tell(asked.number, "oom", error={"type": "x", "message": "y"})
    assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
    assert len(told(tmp_path)["trials"]) == 3


@pytest.mark.fault("F76")
@pytest.mark.parametrize("changed", ["inner", "data", "recipe"])
def test_a_study_of_something_else_is_refused(tmp_path, trainings, monkeypatch, capsys, changed):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    before = sorted(path for path in tmp_path.rglob("*.json") if path.is_file())
    more = ["--inner", "3"] if changed == "inner" else []
    if changed != "inner":
        path = folder(tmp_path, PLAN) / "study.json"
        said = json.loads(path.read_text())
        said["identity"][changed] = "another"
        path.write_text(json.dumps(said))
    assert tune(tmp_path, "--trials", "1", *more) == 2
    message = capsys.readouterr().err
    assert f"holds another study ({changed})" in message
    assert "remove that folder" in message
    assert sorted(path for path in tmp_path.rglob("*.json") if path.is_file()) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "--trials 0: at least 1"),
        (["--slots", "0"], "--slots 0: at least 1"),
        (["--seeds", "0"], "--seeds 0: at least 1"),
        (["--hours", "nan"], "--hours nan: at least 0"),
        (["--fold", "2"], "folds 0 to 1, not 2"),
        (["--arch", "*"], "a study is of one"),
    ],
)
def test_a_mistake_is_one_message_and_exit_2(tmp_path, capsys, more, message):
    assert tune(tmp_path, *more) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_patient_of_the_held_out_fold_is_in_the_search(tmp_path):
    for fold in range(PLAN.suite.folds):
        for inner in (2, 3):
            study = plan("smoke", size=32, fold=fold, inner=inner)
            material = data.gather(study.suite, data.locate(study.suite, None, tmp_path), tmp_path)
            patient = {case.id: case.patient for case in material.cases}
            outer, inner_folds = study.outer(material), study.inner_folds(material)
            held = {patient[key] for key in outer.test}
            assert len(inner_folds) == inner
            for part in inner_folds:
                sides = [{patient[key] for key in ids} for ids in (part.train, part.validation, part.test)]
                assert not held & set.union(*sides)
                assert sum(map(len, sides)) == len(set.union(*sides))
            tested = sorted(key for part in inner_folds for key in part.test)
            assert tested == sorted((*outer.train, *outer.validation))


# -- what is published -------------------------------------------------------------------------------------------------


def test_what_is_published_is_the_record_and_its_page(tmp_path, trainings, capsys):
    target = tmp_path / "committed"
    assert tune(tmp_path, "--trials", "3", "--seeds", "1", "--publish-to", str(target)) == 0
    record = target / "tuning" / f"{PLAN.name}.json"
    assert sorted(target.rglob("*.*")) == [record, record.with_suffix(".md")]
    assert record.with_suffix(".md").read_text() == page(outcome.load(record))
    assert record.read_bytes() == (folder(tmp_path, PLAN) / "tune.json").read_bytes()
    assert paths.near(record) in capsys.readouterr().out


@pytest.mark.fault("F72", "F75")
@pytest.mark.parametrize("change", [lambda text: "", lambda text: text.replace('"seed": 0', '"seed": 1')])
def test_a_finished_training_that_is_gone_or_edited_is_named(tmp_path, trainings, capsys, change):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    study = folder(tmp_path, PLAN)
    path = next(p for p in study.glob("trainings/*/record.json") if len(store.load_record(p)["cases"]) < 16)
    path.write_text(change(path.read_text()))
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 3
    message = capsys.readouterr().err
    assert f"{path}: the record of a finished training is missing or was edited" in message
    assert f"remove {study}" in message


@pytest.mark.fault("F75")
def test_a_record_that_was_edited_is_refused(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    path = folder(tmp_path, PLAN) / "tune.json"
    path.write_text(path.read_text().replace('"wished": 1', '"wished": 2'))
    with pytest.raises(DataError, match="edited after it was written"):
        outcome.load(path)


def test_committed_pages_are_what_their_records_give():
    records = sorted((RESULTS / "tuning").glob("*.json"))
    assert sorted((RESULTS / "tuning").glob("*.md")) == [path.with_suffix(".md") for path in records]
    for path in records:
        assert path.with_suffix(".md").read_text(encoding="utf-8") == page(outcome.load(path)), path.name
