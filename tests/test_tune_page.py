"""The page of a search, whose trainings are made up here: it says what the record holds, and both are published."""

import json
from pathlib import Path

import pytest
from made_up_study import PLAN, SMALL, describe, tune

from bench.__main__ import main
from bench.markdown import ratio
from bench.records.results import Results
from bench.tune import result
from bench.tune.journal import OK
from bench.tune.page import compared, page
from lungseg.terminal import near

RESULTS = Path(__file__).resolve().parent.parent / "results"


def test_the_page_says_what_the_record_holds(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "6", "--seeds", "2") == 0
    result = describe(tmp_path)
    assert [trial["status"] for trial in result["trials"]] == [OK] * 6
    assert [label for label in trainings if label.startswith("trial 3")] == [
        "trial 3, inner fold 1 of 2",
        "trial 3, inner fold 2 of 2",
    ]
    assert len(trainings) == 6 * 2 + 2 * 2
    best = max(result["trials"], key=lambda trial: trial["value"])
    assert result["inner"]["best"]["trial"] == best["number"] > 0
    assert result["recipes"]["best"] == best["recipe"]
    text = (Results(tmp_path).study(PLAN.name) / "tune.md").read_text().replace("\n", " ")
    pair = compared(result)
    local, better = (
        [sum(seed) / len(seed) for seed in result["held_out"]["dice"][name]] for name in ("default", "best")
    )
    assert pair.difference.value == pytest.approx(sum(better) / 2 - sum(local) / 2)
    assert f"reaches Dice {ratio(sum(better) / 2)}, the suite's own {ratio(sum(local) / 2)}" in text
    assert "both at 32 x 32 px, width 4, 2 epochs" in text
    assert "excludes 0 (2 seeds)" in text
    assert "With 2 seeds this compares these weights, not the recipes" in text


@pytest.mark.fault("F96")
def test_the_same_record_gives_the_same_page(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
    result = describe(tmp_path)
    assert (
        page(result)
        == page(json.loads(json.dumps(result)))
        == (Results(tmp_path).study(PLAN.name) / "tune.md").read_text()
    )
    assert main(["tune", *SMALL, "--results", str(tmp_path), "--trials", "2", "--seeds", "1"]) == 0
    again = describe(tmp_path)
    assert {**again, "finished": 0, "record_sha256": 0} == {**result, "finished": 0, "record_sha256": 0}


def test_a_recipe_that_nothing_beats_is_said_to_be_the_best(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    result = describe(tmp_path)
    assert "best" not in result["held_out"]["dice"]
    assert "None: no recipe was better than the suite's own" in page(result).replace("\n", " ")


def test_what_is_published_is_the_record_and_its_page(tmp_path, trainings, capsys):
    target = tmp_path / "committed"
    assert tune(tmp_path, "--trials", "3", "--seeds", "1", "--publish-to", str(target)) == 0
    record = target / "tuning" / f"{PLAN.name}.json"
    assert sorted(target.rglob("*.*")) == [record, record.with_suffix(".md")]
    assert record.with_suffix(".md").read_text() == page(result.load(record))
    assert record.read_bytes() == (Results(tmp_path).study(PLAN.name) / "tune.json").read_bytes()
    assert near(record) in capsys.readouterr().out


def test_committed_pages_are_what_their_records_give():
    records = sorted((RESULTS / "tuning").glob("*.json"))
    assert sorted((RESULTS / "tuning").glob("*.md")) == [path.with_suffix(".md") for path in records]
    for path in records:
        assert path.with_suffix(".md").read_text(encoding="utf-8") == page(result.load(path)), path.name
