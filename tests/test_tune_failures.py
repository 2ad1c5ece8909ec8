"""What goes wrong in a search, whose trainings are made up here: failures, interrupts, mistakes, edited files."""

import json
import re

import pytest
from made_up_study import PLAN, describe, made_up, trials, tune

from bench.records import parse, store
from bench.records.results import Results
from bench.tune import result
from bench.tune.journal import DIVERGED, INTERRUPTED, OK
from bench.tune.page import page
from bench.tune.study import Failed, Study
from lungseg.errors import DataError, EnvironmentFailure


def failing(statuses):
    """``Study.trained``, of which the trainings of trial k fail as ``statuses[k]`` says, if it does."""

    def trained(self, recipe, fold, seed, label):
        status = statuses.get(int(re.match(r"trial (\d+)", label)[1])) if label.startswith("trial") else None
        if status:
            raise Failed(status, {"type": "Diverged", "message": "epoch 3: loss", "stderr_tail": "Traceback ..."})
        return made_up(self, recipe, fold, seed, label)

    return trained


@pytest.mark.fault("F51", "F54", "F63")
def test_a_trial_that_fails_costs_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "trained", failing({1: "diverged", 2: "oom", 4: "timeout"}))
    assert tune(tmp_path, "--trials", "5", "--seeds", "1") == 0
    assert [trial.status for trial in trials(tmp_path)] == [OK, DIVERGED, "oom", OK, "timeout", OK, OK]
    params = [str(trial.params) for trial in trials(tmp_path)]
    assert len(set(params)) == len(params), "a recipe that failed was proposed again"
    text = page(describe(tmp_path), "tune.csv")
    assert "5 of 5 trials (1 of them diverged, 2 more failed)" in text.replace("\n", " ")
    assert "Trial 2: Diverged: epoch 3: loss" in text


@pytest.mark.parametrize("scored", [0, 1])
def test_three_failures_in_a_row_end_the_search_with_exit_4(tmp_path, monkeypatch, capsys, scored):
    monkeypatch.setattr(Study, "trained", failing(dict.fromkeys(range(scored, 99), "crashed")))
    assert tune(tmp_path, "--trials", "5") == 4
    assert len(trials(tmp_path)) == scored + 3
    said = capsys.readouterr()
    assert "epoch 3: loss" in said.out
    assert ("3 trials in a row failed" if scored else "no trial was scored; last failure: Diverged") in said.err


def test_a_judging_that_fails_is_exit_4_and_the_search_stands(tmp_path, monkeypatch, capsys):
    def trained(self, recipe, fold, seed, label):
        if label.startswith("held-out"):
            raise Failed("oom", {"type": "Killed", "message": "signal 9", "stderr_tail": ""})
        return made_up(self, recipe, fold, seed, label)

    monkeypatch.setattr(Study, "trained", trained)
    assert tune(tmp_path, "--trials", "2", "--publish-to", str(tmp_path / "out")) == 4
    assert "Not known yet" in page(describe(tmp_path), "tune.csv")
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


@pytest.mark.fault("F76")
@pytest.mark.parametrize("changed", ["inner", "data", "recipe"])
def test_a_study_of_something_else_is_refused(tmp_path, trainings, monkeypatch, capsys, changed):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    before = sorted(path for path in tmp_path.rglob("*.json") if path.is_file())
    more = ["--inner", "3"] if changed == "inner" else []
    if changed != "inner":
        path = Results(tmp_path).study(PLAN.name) / "study.json"
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
        (["--hours", "nan"], "--hours nan: at least 0"),
        (["--fold", "2"], "folds 0 to 1, not 2"),
        (["--arch", "*"], "a study needs exactly one"),
    ],
)
def test_a_mistake_is_one_message_and_exit_2(tmp_path, capsys, more, message):
    assert tune(tmp_path, *more) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("F72", "F75")
@pytest.mark.parametrize("change", [lambda text: "", lambda text: text.replace('"seed": 0', '"seed": 1')])
def test_a_finished_training_that_is_gone_or_edited_is_named(tmp_path, trainings, capsys, change):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    study = Results(tmp_path).study(PLAN.name)
    made = study.glob("trainings/*/record.json")
    path = next(p for p in made if len(store.load(p, parse.trial).cases) < 16)
    path.write_text(change(path.read_text()))
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 3
    message = capsys.readouterr().err
    assert f"{path}: the record of a finished training is missing or was edited" in message
    assert f"remove {study}" in message


@pytest.mark.fault("F75")
def test_a_record_that_was_edited_is_refused(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    path = Results(tmp_path).study(PLAN.name) / "tune.json"
    path.write_text(path.read_text().replace('"wished": 1', '"wished": 2'))
    with pytest.raises(DataError, match="edited after it was written"):
        result.load(path)
