"""A model folder of a leaderboard's row: the training that validation chose, with the row's score on its card."""

from dataclasses import replace

import numpy as np
import pytest
import two_seeds
from records import parsed
from records import record as made_up
from two_seeds import SUITE

import lungseg
from bench import export_model, machine, suites
from bench.__main__ import main
from bench.figures import gallery
from bench.records.record import History
from bench.records.results import Results
from bench.statistics import stats
from lungseg import model_folder
from lungseg.datasets import load
from lungseg.prepare import prepare

KEY = machine.key("float32")


@pytest.fixture(scope="module", autouse=True)
def known(faulty):
    with two_seeds.known():
        yield


@pytest.fixture(scope="module")
def made(known, tmp_path_factory):
    folder = two_seeds.ensembles(tmp_path_factory)
    assert main(["export-model", SUITE.name, "--results", str(folder)]) == 0
    return folder


def held(folder):
    return {record.name: record for record in Results(folder).all()}


def exported(folder):
    return folder / "models" / SUITE.name / KEY / "tiny"


def test_the_row_has_one_folder_and_ensembles_of_its_trainings_none(made):
    assert {"tiny", "tiny+seeds", "tiny+post"} < {record.cell.architecture for record in held(made).values()}
    assert [path.name for path in (made / "models" / SUITE.name / KEY).iterdir()] == ["tiny"]


def test_validation_chose_the_training(made):
    trainings = {name: record for name, record in held(made).items() if "+" not in name}
    best = {name: r.history.curve("val_hard_dice")[r.best_epoch] for name, r in trainings.items()}
    card = model_folder.open_folder(exported(made)).card
    assert len(best) == 4
    assert best[card.training["cell"]] == max(best.values()) == card.training["validation_dice"]
    assert card.weights_sha256 == trainings[card.training["cell"]].weights_sha256


def record(fold, validation, test):
    """A record of what is looked at, and of a test Dice, which must not be."""
    (one,) = parsed([made_up("unet", fold, folds=2, n=10, epochs=3)])
    cases = tuple(replace(case, dice=test) for case in one.cases)
    return replace(one, history=History({"val_hard_dice": (0.99, *validation)}), best_epoch=1, cases=cases)


def test_test_dice_never_chooses_nor_does_an_epoch_that_was_not_kept():
    better_on_test, better_on_validation = record(0, [0.90, 0.98], 0.97), record(1, [0.91, 0.5], 0.80)
    assert export_model.chosen([better_on_test, better_on_validation]) is better_on_validation
    assert export_model.chosen([record(1, [0.9], 0.9), record(0, [0.9], 0.1)]).cell.fold == 0


def test_the_card_states_the_rows_score_and_interval_the_protocol_and_the_data(made):
    card = model_folder.open_folder(exported(made)).card
    (leaderboard,) = stats.leaderboards(Results(made).all())
    row = next(row for row in leaderboard.rows if row.name == "tiny")
    by_place = {score["at"]: score for score in card.scores}
    at_network, at_stored = by_place["network"], by_place["stored"]
    assert (at_network["value"], at_network["low"], at_network["high"]) == (
        row.dice.value, row.dice.low, row.dice.high,
    )  # fmt: skip
    assert at_network["low"] < at_network["value"] < at_network["high"]
    assert (at_stored["value"], at_stored["interval"]) == (row.stored.dice, "none")
    for result in card.scores:
        assert (result["images"], result["metric"]) == (24, "dice")
        assert "all 4 trainings of the leaderboard's row (2 seeds)" in result["how"]
    one = held(made)[card.training["cell"]]
    assert card.protocol == one.protocol
    assert card.data["prepared_sha256"] == one.inputs.every["data"]
    assert sum(card.data["split"].values()) == card.data["images"] == 24
    assert card.exposure["lung_share"][0] < card.exposure["lung_share"][1]


def test_the_folder_predicts_what_the_training_was_scored_by(made):
    folder = model_folder.open_folder(exported(made))
    one = held(made)[folder.card.training["cell"]]
    (root,) = (made / "cache").glob("phantom-*")
    prepared = prepare(load("phantom", root), SUITE.size, made / "again")
    ids = one.split.test
    images = prepared.images[[prepared.index_of[key] for key in ids]]
    masks = lungseg.load_model(exported(made)).predict_on_batch(images[..., None])[..., 0] >= folder.card.threshold
    kept = np.stack([gallery.load_prediction(Results(made), export_model._cell(one, SUITE), key) for key in ids])
    assert (masks != kept).mean() < 1e-3  # of another batch, whose sums may end in another last bit
    assert kept.any()


def test_a_row_is_exported_in_the_precision_that_it_was_trained_in(made, tmp_path, monkeypatch):
    """A card's rows are bfloat16 by default, and on another machine the suite's policy is float32; and vice versa."""
    monkeypatch.setattr(suites.Suite, "policy", "mixed_bfloat16")
    assert main(["export-model", SUITE.name, "--results", str(made), "--out", str(tmp_path / "out")]) == 0
    assert model_folder.open_folder(tmp_path / "out" / KEY / "tiny").card.recipe["precision"] == "float32"


def test_what_is_there_stays_and_another_training_is_not_written_over(made, capsys):
    before = {path.name: path.read_bytes() for path in exported(made).iterdir()}
    assert main(["export-model", SUITE.name, "--results", str(made)]) == 0
    assert {path.name: path.read_bytes() for path in exported(made).iterdir()} == before
    folder = model_folder.open_folder(exported(made))
    model_folder.update(folder, card=lambda now: replace(now, name="other"))
    capsys.readouterr()
    assert main(["export-model", SUITE.name, "--results", str(made)]) == 4
    assert "holds another model" in capsys.readouterr().err
    model_folder.update(folder, card=lambda _: folder.card)


def test_weights_that_are_gone_or_others_are_named(made, tmp_path, capsys):
    card = model_folder.open_folder(exported(made)).card
    cell, results = export_model._cell(held(made)[card.training["cell"]], SUITE), Results(made)
    weights = results.artifact(cell, "weights.npz")
    other = results.artifact(replace(cell, fold=1 - cell.fold), "weights.npz")
    kept = weights.read_bytes()
    command = ["export-model", SUITE.name, "--results", str(made), "--out", str(tmp_path / "out")]
    try:
        for data, match in (
            (None, "weights.npz: no such file"),
            (b"PK", "not the weights of a network"),
            (other.read_bytes(), "not the one in their record"),
        ):
            weights.unlink()
            if data is not None:
                weights.write_bytes(data)
            assert main(command) == 4
            assert match in capsys.readouterr().err
            weights.write_bytes(kept)
    finally:
        weights.write_bytes(kept)
    assert not (tmp_path / "out").exists()
    assert main(command) == 0


def test_without_a_finished_row_nothing_is_made(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    assert main(["export-model", SUITE.name, "--results", str(tmp_path)]) == 2
    assert "no finished row" in capsys.readouterr().err


def test_a_suite_of_one_fold_names_the_command_that_finishes_a_row(tmp_path, capsys):
    """`bench run smoke` trains one fold of two, as the gate does, so no row of it is ever finished."""
    (tmp_path / "runs").mkdir()
    assert main(["export-model", "smoke", "--arch", "r2unet", "--results", str(tmp_path)]) == 2
    assert "`python -m bench run smoke --arch r2unet --folds 0,1` makes them" in capsys.readouterr().err
