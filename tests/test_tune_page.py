"""The page of a search, whose trainings are made up here: it says what the record holds, and both are published."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_study import PLAN, SMALL, describe, tune

from bench.__main__ import main
from bench.markdown import ratio
from bench.records.results import Results
from bench.tune import result
from bench.tune.journal import OK
from bench.tune.page import compared, held_out_gain, improvement, page, trials_csv
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
    assert f"reaches Dice {ratio(sum(better) / 2)} and the suite's own {ratio(sum(local) / 2)}" in text
    assert "both at 32 x 32 px, width 4, 2 epochs" in text
    assert "(2 seeds). The 95 % interval excludes 0. " in text
    assert "With 2 seeds this compares these weights, not the recipes" in text


@pytest.mark.fault("F96")
def test_the_same_record_gives_the_same_page(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "2", "--seeds", "1") == 0
    result = describe(tmp_path)
    assert (
        page(result, "tune.csv")
        == page(json.loads(json.dumps(result)), "tune.csv")
        == (Results(tmp_path).study(PLAN.name) / "tune.md").read_text()
    )
    assert main(["tune", *SMALL, "--results", str(tmp_path), "--trials", "2", "--seeds", "1"]) == 0
    again = describe(tmp_path)
    assert {**again, "finished": 0, "record_sha256": 0} == {**result, "finished": 0, "record_sha256": 0}


def test_a_recipe_that_nothing_beats_is_said_to_be_the_best(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "1", "--seeds", "1") == 0
    result = describe(tmp_path)
    assert "best" not in result["held_out"]["dice"]
    assert "None: no recipe was better than the suite's own" in page(result, "tune.csv").replace("\n", " ")


def test_what_is_published_is_the_record_and_its_page(tmp_path, trainings, capsys):
    target = tmp_path / "committed"
    assert tune(tmp_path, "--trials", "3", "--seeds", "1", "--publish-to", str(target)) == 0
    record = target / "tuning" / f"{PLAN.name}.json"
    trials = record.with_suffix(".csv")
    assert sorted(target.rglob("*.*")) == [trials, record, record.with_suffix(".md")]
    assert record.with_suffix(".md").read_text() == page(result.load(record), trials.name)
    assert f"]({trials.name})" in record.with_suffix(".md").read_text()
    assert record.read_bytes() == (Results(tmp_path).study(PLAN.name) / "tune.json").read_bytes()
    shown = capsys.readouterr().out
    assert near(record) in shown
    assert held_out_gain(result.load(record)) in shown


def test_the_page_of_an_own_network_links_its_table_of_trials(tmp_path, trainings):
    """`my.nets:tiny` has a colon, which no link may hold."""
    assert tune(tmp_path, "--trials", "3", "--seeds", "1") == 0
    search = {**describe(tmp_path), "name": "montgomery-128.my.nets:tiny.f0"}
    written = result.write(SimpleNamespace(folder=tmp_path / "study"), search, Results(tmp_path / "committed"))
    (written_page,) = [path for path in written if path.suffix == ".md" and path.parent.name == "tuning"]
    (link,) = re.findall(r"^All 3 trials: \[.*\]\((.*)\)\.$", written_page.read_text(), re.MULTILINE)
    assert (written_page.parent / link).is_file()


def test_the_folder_of_an_own_network_has_no_colon_and_an_older_one_goes_on(tmp_path, trainings):
    """Some file systems and archives refuse it, and a variable such as PATH is cut there."""
    own = ("--arch", "json.tool:main", "--trials", "1", "--seeds", "1")
    assert tune(tmp_path, *own) == 0
    (folder,) = (tmp_path / "tune").glob("smoke*")
    assert (folder.name, (folder / "tune.md").is_file()) == ("smoke.json.tool_main.f0.32px.w4.e2", True)
    older = folder.rename(folder.with_name(folder.name.replace("tool_main", "tool:main")))
    assert tune(tmp_path, *own) == 0
    assert [*(tmp_path / "tune").glob("smoke*")] == [older]


def test_committed_pages_are_what_their_records_give():
    records = sorted((RESULTS / "tuning").glob("*.json"))
    assert sorted((RESULTS / "tuning").glob("*.md")) == [path.with_suffix(".md") for path in records]
    for path in records:
        trials = path.with_suffix(".csv")
        assert path.with_suffix(".md").read_text(encoding="utf-8") == page(result.load(path), trials.name), path.name
        assert trials.read_text(encoding="utf-8") == trials_csv(result.load(path))


# -- what its numbers are ----------------------------------------------------------------------------------------------


def judged(tmp_path, best, own, patients):
    """A search whose held-out Dice is made up: of each recipe (seeds, images)."""
    assert tune(tmp_path, "--trials", "6", "--seeds", "2") == 0
    search = describe(tmp_path)
    search["held_out"].update(
        seeds=list(range(len(best))), images=[f"i{k}" for k in range(len(patients))], patients=list(patients),
        dice={"default": own, "best": best},
    )  # fmt: skip
    return search


def test_means_are_over_patients_so_that_they_subtract(tmp_path, trainings):
    """Patient a has two images, on which the best recipe is worse: by image it would lose, by patient it gains."""
    patients = ["a", "a", *"bcdefghij"]
    own = [[0.8, 0.8, *[0.9] * 9]] * 3
    best = [[0.6, 0.8, *[0.92] * 9]] * 3
    search = judged(tmp_path, best, own, patients)
    text = " ".join(page(search, "tune.csv").split())
    means = (9 * 0.92 + 0.7) / 10, (9 * 0.9 + 0.8) / 10
    assert f"reaches Dice {ratio(means[0])} and the suite's own {ratio(means[1])}" in text
    assert f"| Best found | {ratio(means[0])} |" in text
    assert f"The difference is +{ratio(means[0] - means[1])} [" in text
    assert compared(search).difference.value == pytest.approx(means[0] - means[1])


def test_ahead_on_most_images_without_a_gain_is_explained(tmp_path, trainings):
    """Ahead on each image, much with one seed and hardly with the others."""
    rng = np.random.default_rng(0)
    own = [list(rng.normal(0.95, 0.0004, 20)) for _ in range(3)]
    best = [[value + gain for value in own[0]] for gain in (0.002, 0.012, 0.001)]
    search = judged(tmp_path, best, own, [f"p{k}" for k in range(20)])
    pair = compared(search)
    assert improvement(search["held_out"]).excludes(0.5)
    assert not pair.difference.excludes(0.0)
    assert "This is no contradiction" in " ".join(page(search, "tune.csv").split())
    clear = [[value + 0.02 for value in own[0]]] * 3
    search["held_out"]["dice"]["best"] = clear
    assert "no contradiction" not in " ".join(page(search, "tune.csv").split())


def test_the_title_tells_size_width_and_protocol_and_interrupted_trials_are_counted(tmp_path, trainings):
    assert tune(tmp_path, "--trials", "8", "--seeds", "1") == 0
    search = describe(tmp_path)
    search["trials"].append({**search["trials"][-1], "number": 8, "status": "interrupted", "value": None})
    text = page(search, "tune.csv")
    protocol = search["study"]["protocol"]
    assert f"# Tuning U-Net at 32 x 32 px, width 4, protocol {protocol}: suite smoke, fold 0\n" in text
    assert "8 of 8 trials (1 more interrupted with their command and not counted)" in " ".join(text.split())
    (head,) = [line for line in text.splitlines() if line.startswith("| Parameter") and "Trial" in line]
    assert f"Trial {search['inner']['best']['trial']} |" in head.split("|", 3)[2] + "|"
    assert head.count("Trial") == 4, "as many as fit a page"
    assert "All 9 trials: [tune.csv](tune.csv)" in text
    lines = trials_csv(search).splitlines()
    assert len(lines) == 1 + 9
    assert lines[0].startswith("trial,status,dice,seconds,error,learning_rate")
