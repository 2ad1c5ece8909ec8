"""The Dice to be expected of a model that was trained on a whole set is the out-of-fold one of the same training."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from bench import expected_score
from bench.records.results import Results
from lungseg import model_folder
from lungseg.datasets import montgomery
from lungseg.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
SUITE = "ablation-128"
RECIPE = "strong:batch-4+epochs-300+elastic"


@pytest.fixture
def card():
    return model_folder.open_folder(model_folder.SHIPPED / "lwnet-128").card


@pytest.fixture(scope="module")
def results():
    """The committed results, whose records of the suite are read once."""
    read = Results(ROOT / "results").all(SUITE)

    class Read(Results):
        def all(self, suite=None):
            assert suite == SUITE
            return list(read)

    return Read(ROOT / "results")


def held_out():
    """Of each patient the Dice of the images by the trainings that did not see them, from the records' own text."""
    paths = sorted(
        (ROOT / "results" / "runs" / SUITE / "tensorflow-cpu-float32").glob(
            "lwnet~batch-4+epochs-300+elastic.montgomery.f*.s0.json"
        )
    )
    assert len(paths) == 5
    records = [json.loads(path.read_text()) for path in paths]
    assert {record["inputs"]["recipe"]["name"] for record in records} == {RECIPE}
    result = defaultdict(list)
    for case in (case for record in records for case in record["cases"]):
        result[montgomery.SAME_PATIENT.get(case["id"], case["patient"])].append(case["dice"])
    return result


def test_the_shipped_card_states_the_mean_over_patients_whose_images_were_held_out(card):
    (score,) = [one for one in card.scores if one["set"] == "montgomery"]
    result = held_out()
    assert sum(map(len, result.values())) == score["images"] == card.data["images"]
    assert len(result) == score["patients"] == card.data["patients"]
    assert score["value"] == pytest.approx(mean(map(mean, result.values())), abs=1e-12)
    assert score["low"] < score["value"] < score["high"]
    assert score["data_sha256"] == card.data["raw_sha256"]
    for part in ("out of fold", "5 trainings", SUITE, f"recipe {RECIPE}", "protocol 1", "commit 0f231700f13f"):
        assert part in score["how"]
    assert score["beside_another_image_of_the_patient"] == 20  # as README says of protocol 1
    assert score["differences"] == {"monitor": {"there": "val_dice", "here": "val_hard_dice"}}


def test_the_command_makes_what_ships_and_twice_is_once(tmp_path, card, capsys):
    folder = shutil.copytree(model_folder.SHIPPED / "lwnet-128", tmp_path / "lwnet-128")
    without = [score for score in card.scores if not score["how"].startswith(expected_score.EXPECTED)]
    model_folder.update(model_folder.open_folder(folder), card=lambda now: replace(now, scores=tuple(without)))
    for _ in range(2):
        assert expected_score.main([str(folder), SUITE, "--results", str(ROOT / "results")]) == 0
        assert model_folder.open_folder(folder).card == card
    assert "Dice 0.97" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"width": 32}, {"size": (64, 64)}, {"architecture": "segformer_b0"}, {"parameters": 67795},
        {"training": {"backend": "torch"}},
        {"data": {"set": "montgomery", "prepared_sha256": "0" * 64}},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_another_training_has_no_expected_score(card, change, results):
    with pytest.raises(DataError, match="no finished row of"):
        expected_score.expected(replace(card, **change), SUITE, results)


@pytest.mark.parametrize("change", [{"epochs": 151}, {"augmentation": None}, {"loss": "focal_tversky"}])
def test_nor_has_another_recipe(card, change, results):
    other = replace(card, recipe={**card.recipe, **change})
    with pytest.raises(DataError, match="no finished row of"):
        expected_score.expected(other, SUITE, results)
