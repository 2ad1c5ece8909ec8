"""Records of different protocols never meet, and those of the first are grouped by the patients known since."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from read_page import flat, lines_with, page
from records import ensemble, grid, leaderboards, parsed, record, save, sealed, second, terminal

from bench import names, publish, suites
from bench.figures import draw
from bench.pages import csv_tables, report
from bench.pages.provenance import stated
from bench.records import store
from bench.records.record import newest
from bench.records.results import Results
from bench.statistics.scores import beside_siblings, patient_of
from lungseg.datasets.montgomery import SAME_PATIENT
from lungseg.recipes import RECIPES

RESULTS = Path(__file__).resolve().parent.parent / "results"


def both(**more):
    """One suite by both protocols; the second is better by what no equal method is."""
    old = grid(("unet", "resunet"), n=60, **more)
    return [*old, *second(grid(("unet", "resunet"), n=60, level=0.99, **more))]


def test_a_record_that_names_no_protocol_is_of_the_first():
    made_from = (None, {}, {"protocol": 2})
    assert [r.protocol for r in parsed({**record("unet", 0, n=10), "inputs": i} for i in made_from)] == [1, 1, 2]
    assert newest([]) == []
    assert {r.protocol for r in newest(parsed(both()))} == {2}


def test_protocols_are_tables_of_their_own_the_newest_first():
    new, old = leaderboards(both())
    assert (new.conditions.protocol, old.conditions.protocol) == (2, 1)
    for leaderboard in (new, old):
        assert len(leaderboard.cells) == 10
        assert {r.n_patients for r in leaderboard.rows} == {60}
        assert len(leaderboard.pairs) == 1
    assert old.rows == leaderboards(grid(("unet", "resunet"), n=60))[0].rows, "new records change no old number"


def test_no_training_of_another_protocol_is_a_matched_row():
    card = [sealed({**r, "machine": {**r["machine"], "device_kind": "nvidia-h200"}})
            for r in second(grid(("unet",), n=60, level=0.99))]  # fmt: skip
    assert all(s.cross_machine == () for s in leaderboards([*grid(("unet",), n=60), *card]))
    same = leaderboards([*second(grid(("unet",), n=60)), *card])
    assert [len(s.cross_machine) for s in same] == [1, 1]


def test_a_set_besides_is_compared_within_its_protocol():
    extra_train = [sealed({**r, "cell": {**r["cell"], "train_set": "phantom+other", "suite": "besides"}})
               for r in grid(("unet",), n=60)]  # fmt: skip
    gains = {
        1: [
            len(s.extra_data_effects)
            for s in leaderboards([*grid(("unet",), n=60), *extra_train])
            if s.conditions.extra_train
        ],
        2: [
            len(s.extra_data_effects)
            for s in leaderboards([*second(grid(("unet",), n=60)), *extra_train])
            if s.conditions.extra_train
        ],
    }
    assert gains == {1: [1], 2: [0]}


def test_how_much_trainings_vary_is_not_told_by_another_protocol():
    """Since the second, seeds vary the split, too."""
    old, new = grid(("unet", "resunet"), n=60, seeds=(0, 1, 2)), grid(("unet", "resunet"), n=60, suite="one")
    first, later = leaderboards([*old, *second(new)])
    assert first.power is not None
    assert later.power is None
    assert [s.power.source for s in leaderboards([*old, *new])] == ["fake", "fake"]


def test_predictions_of_two_protocols_are_two_sets():
    old = grid(("unet",), n=60)
    assert [s.predictions_scored for s in leaderboards(old)] == [1]
    assert [s.predictions_scored for s in leaderboards([*old, *second(old)])] == [2, 2]


def test_every_page_and_table_names_the_protocol(tmp_path):
    new = second(
        grid(("unet", "resunet"), n=60, data="montgomery", seeds=(1,))
    )  # a seed of its own is a file of its own
    text = page(tmp_path, [*grid(("unet", "resunet"), n=60, data="montgomery"), *new])
    heads = lines_with(text, "## TensorFlow on CPU")
    assert [head.rpartition(", ")[2] for head in heads] == ["protocol 2", "protocol 1"]
    index = (tmp_path / "README.md").read_text()
    board = index.split("<details>")[1]
    assert [line.split("|")[4].strip() for line in lines_with(board, "[fake](fake.md)")] == ["2", "1"]
    pairs = (tmp_path / csv_tables.name("fake", "pairs")).read_text().splitlines()
    assert [line.partition(",")[0] for line in pairs] == ["protocol", "2", "1"]
    assert terminal(both()).count(", protocol 1") == 1


def test_the_newest_protocol_comes_first_even_where_it_is_unfinished(tmp_path):
    unfinished = second(grid(("unet",), n=60, seeds=(1,)))[1:]
    heads = lines_with(page(tmp_path, [*grid(("unet",), n=60), *unfinished]), "## TensorFlow on CPU")
    assert [head.rpartition(", ")[2] for head in heads] == ["protocol 2", "protocol 1"]


def test_figures_of_an_older_protocol_leave_the_name_to_the_newer():
    new, old = leaderboards(both())
    assert report.stems([new, old]) == ["fake-tensorflow-cpu-float32", "fake-tensorflow-cpu-float32-protocol-1"]
    assert report.stems([old]) == ["fake-tensorflow-cpu-float32"]


def test_no_figure_is_drawn_that_no_page_shows(tmp_path):
    records = [*grid(("unet", "resunet"), n=60), *second(grid(("unet", "resunet"), n=60, seeds=(1,)))]
    new, old = leaderboards(records)
    for leaderboard in (old, new):  # as they lie before the newer protocol comes
        draw(leaderboard, [], tmp_path / "figures", report.stems([new, old])[leaderboard is old])
    save(tmp_path, records)
    report.write(Results(tmp_path))
    for root in (tmp_path, Path(__file__).resolve().parent.parent / "results"):
        pages = "".join(path.read_text() for path in root.glob("*.md"))
        drawn = [path.name for path in (root / "figures").iterdir()]
        assert any("protocol-1" in name for name in drawn)
        assert [name for name in drawn if name not in pages] == []


def committed_suite(tmp_path, records):
    """The records as a results folder of suite quick."""
    for r in records:
        r["cell"]["suite"] = "quick"
        r["fingerprint"] = store.fingerprint(r["inputs"])
    save(tmp_path, [sealed(r) for r in records])
    return Results(tmp_path).paths("quick")


def test_publishing_keeps_the_records_of_an_older_protocol_byte_for_byte(tmp_path):
    old = {p.name: p.read_bytes() for p in committed_suite(tmp_path / "committed", grid(("unet",), n=24))}
    committed_suite(tmp_path / "own", second(grid(("unet",), n=24)))
    publish.publish(suites.suite("quick"), Results(tmp_path / "own"), Results(tmp_path / "committed"))
    folders = {path.name: path for path in (tmp_path / "committed" / "runs" / "quick").iterdir()}
    assert sorted(folders) == ["tensorflow-cpu-float32", "tensorflow-cpu-float32-protocol-1"]
    kept = {p.name: p.read_bytes() for p in folders["tensorflow-cpu-float32-protocol-1"].iterdir()}
    assert kept == old
    records = Results(tmp_path / "committed").all()
    assert [s.conditions.protocol for s in leaderboards(records)] == [2, 1]
    publish.publish(suites.suite("quick"), Results(tmp_path / "own"), Results(tmp_path / "committed"))
    assert len(Results(tmp_path / "committed").all()) == len(records), "publishing again moves nothing further"


def test_what_a_suite_cost_is_told_by_its_newest_protocol(tmp_path):
    old, new = grid(("unet",), n=24, seeds=(0,)), second(grid(("unet",), n=24, seeds=(1,)))
    for r in old:
        r["timing"]["total_seconds"] = 36000.0
    committed_suite(tmp_path / "own", [*old, *new])
    publish.publish(suites.suite("quick"), Results(tmp_path / "own"), Results(tmp_path / "committed"))
    (_, row) = (tmp_path / "committed" / "costs.csv").read_text().splitlines()
    assert row.startswith("quick,5,10.0,"), "five cells of 120 s, none of ten hours"


# --- patients ---------------------------------------------------------------------------------------------------------


def linked(first="MCUCXR_0254_1", second_="MCUCXR_0255_1", fold=(0, 1), n=40, data="montgomery"):
    """Records of two folds of which two images are really one patient's, as protocol 1 did not know."""
    records = grid(("unet", "resunet"), folds=2, n=n, data=data)
    renamed = {f"CASE_{fold[0]:04d}": first, f"CASE_{fold[1]:04d}": second_}
    for r in records:
        for c in r["cases"]:
            c["id"] = c["patient"] = renamed.get(c["id"], c["id"])
        r["data"]["target_pixels"] = {renamed.get(k, k): v for k, v in r["data"]["target_pixels"].items()}
        r["split"] = {part: [renamed.get(i, i) for i in ids] for part, ids in r["split"].items()}
    return [sealed(r) for r in records]


def test_images_of_one_patient_count_as_one_in_old_records_on_montgomery():
    records = linked()
    assert [r.n_patients for r in leaderboards(records)[0].rows] == [39, 39]
    known = copy.deepcopy(records)
    for r in known:
        for c in r["cases"]:
            if c["id"] == "MCUCXR_0255_1":
                c["patient"] = "MCUCXR_0254_1"
    regrouped, details = (leaderboards(some)[0] for some in (records, [sealed(r) for r in known]))
    assert regrouped.rows == details.rows, "as if the record had known"
    assert regrouped.pairs == details.pairs
    apart = leaderboards(linked("OTHER_1", "OTHER_2"))[0]
    assert apart.rows[0].n_patients == 40
    assert (apart.rows[0].dice.low, apart.rows[0].dice.high) != (details.rows[0].dice.low, details.rows[0].dice.high)


@pytest.mark.parametrize("data", ["shenzhen", "phantom"])
def test_names_that_another_set_happens_to_share_are_left_alone(data):
    assert leaderboards(linked(data=data))[0].rows[0].n_patients == 40


def test_shenzhens_records_are_regrouped_by_its_own_table():
    names = ("CHNCXR_0477_1", "CHNCXR_0605_1")
    assert leaderboards(linked(*names, data="shenzhen"))[0].rows[0].n_patients == 39
    assert leaderboards(linked(*names))[0].rows[0].n_patients == 40, "not Montgomery's images"


def test_records_of_later_protocols_know_their_patients_themselves():
    assert leaderboards(second(linked()))[0].rows[0].n_patients == 40


def test_records_on_disk_stay_as_they_are(tmp_path):
    save(tmp_path, linked())
    before = {path: path.read_bytes() for path in Results(tmp_path).paths()}
    report.write(Results(tmp_path), figures=False)
    assert {path: path.read_bytes() for path in Results(tmp_path).paths()} == before


def test_images_beside_a_sibling_in_training_are_counted():
    assert beside_siblings(parsed(linked(fold=(0, 1)))) == 2, "folds 0 and 1 hold one each out, and train on the other"
    assert beside_siblings(parsed(linked(fold=(0, 2)))) == 0, "both in one fold"
    assert beside_siblings(parsed(second(linked(data="phantom")))) == 0
    failed = linked()
    for r in failed:
        r |= {"status": "crashed", "cases": []}
    assert beside_siblings(parsed(failed)) == 0


def test_the_committed_records_of_montgomery_have_120_patients_and_20_images_beside_a_sibling():
    """Both counts are of the groups that the data's own README lists, made without this code."""
    paths = sorted((RESULTS / "runs" / "montgomery-128-strong").glob("*/unet.montgomery.f*.s0.json"))
    old = [r for path in paths if (r := store.load_record(path)).protocol == 1]
    images = {c.id: patient_of(r, c) for r in old for c in r.cases}
    assert len(images) == 138
    assert len(set(images.values())) == 120
    by_machine = {}
    for r in old:
        by_machine.setdefault(r.machine.device_kind, []).append(r)
    assert {beside_siblings(some) for some in by_machine.values()} == {20}


def test_each_group_of_images_has_one_name_which_is_an_image_of_it():
    assert all(SAME_PATIENT[name] == name for name in SAME_PATIENT.values())
    assert len(SAME_PATIENT) - len(set(SAME_PATIENT.values())) == 138 - 120


# --- what the head of a section says ----------------------------------------------------------------------------------


def head(records):
    (leaderboard,) = leaderboards(records)
    return stated(leaderboard).replace("\n", " ")


def test_the_head_tells_images_patients_and_the_leak_of_the_first_protocol():
    text = head(linked())
    assert "Protocol 1: 2 test images had another image of the patient in training; kept for history." in text
    assert "40 images of 39 patients were scored." in text
    assert "All seeds share one split" not in text, "there is one"
    assert "Protocol 1: kept for history." in head(grid(("unet",), n=24))
    assert "All seeds share one split" in head(grid(("unet",), n=24, seeds=(0, 1)))


def test_the_head_of_a_later_protocol_says_that_seeds_vary_the_split():
    text = head(second(grid(("unet",), n=24, seeds=(0, 1))))
    assert text.startswith("Protocol 2: each image is a patient of its own. 24 images of 24 patients")
    assert "seeds vary the split, too" in text
    assert "seeds vary" not in head(second(grid(("unet",), n=24, folds=1))), "nothing is split there"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"monitor": "val_hard_dice"}, "has the highest hard Dice"),
        ({"monitor": "val_loss"}, "has the lowest validation loss."),
        ({"epochs": 50}, "has the lowest validation loss."),
        ({"best_by_dice": True}, "has the highest soft Dice"),
    ],
)
def test_the_head_says_by_what_epochs_were_chosen(recipe, words):
    records = [sealed({**r, "inputs": {"protocol": 2, "recipe": recipe}}) for r in grid(("unet",), n=24)]
    assert words in head(records)


def test_a_recipe_that_no_record_tells_is_not_made_up():
    assert "epoch" not in head(grid(("unet",), n=24))


def test_an_entry_of_trained_members_is_regrouped_as_they_are():
    records = linked()
    made = [ensemble([r]) for r in records if r["cell"]["architecture"] == "unet"]
    rows = leaderboards([*records, *made])[0].rows
    assert {row.n_patients for row in rows} == {39}


def test_a_failed_cell_stands_with_those_of_its_protocol():
    failed = record("unet", 4, n=60, status="oom")
    failed["inputs"] = {"protocol": 2}
    new, old = leaderboards([*both(), sealed({**failed, "cell": {**failed["cell"], "seed": 1}})])
    assert (len(new.failed), len(old.failed)) == (1, 0)


def test_what_a_suite_cost_counts_what_was_published_before(tmp_path):
    committed_suite(tmp_path / "committed", second(grid(("unet",), n=24, seeds=(0,))))
    committed_suite(tmp_path / "own", second(grid(("unet",), n=24, seeds=(1,))))
    publish.publish(suites.suite("quick"), Results(tmp_path / "own"), Results(tmp_path / "committed"))
    (_, row) = (tmp_path / "committed" / "costs.csv").read_text().splitlines()
    assert row.startswith("quick,10,"), "five cells of either"


def test_a_recipe_is_told_by_what_every_committed_record_of_it_was_trained_with():
    """Its settings come from the code, so they must be those of the records, whichever code made them."""
    settings_of = {}
    for one in Results(RESULTS).all():
        name, settings = one.cell.recipe, one.inputs.recipe
        if name in RECIPES and settings:
            given = settings["loss"], settings["batch_size"], settings["epochs"], bool(settings.get("augmentation"))
            settings_of.setdefault(name, set()).add(given)
    assert {"reference", "strong", "quick"} <= set(settings_of)
    for name, given in settings_of.items():
        known = RECIPES[name]
        assert given == {(known.loss, known.batch_size, known.epochs, known.augmentation is not None)}, name


def test_a_recipe_and_a_protocol_say_what_they_are_where_they_are_first_met(tmp_path):
    records = second(grid(("unet", "resunet"), n=60, data="montgomery", seeds=(0, 1), folds=5))
    records = [sealed({**r, "cell": {**r["cell"], "recipe": "reference"}}) for r in records]
    text = flat(page(tmp_path, records))
    source = "reference (the source protocol's: Adam, Dice loss, batch 16, at most 50 epochs, no augmentation)"
    assert text.count(source) == 1
    assert "Protocol 2: patients are linked across images by their anatomy." in text
    index = flat((tmp_path / "README.md").read_text())
    assert index.count(source) == 1
    assert "protocol 2 (patients are linked across images by their anatomy; each seed has its own split" in index
    assert names.recipe("strong") == "strong (Adam, Dice loss, batch 16, 150 epochs, augmentation)"
    assert names.recipe("ours") == "ours", "nothing is known of it"


@pytest.mark.parametrize(
    ("test_set", "said"),
    [("montgomery", "linked across images by their anatomy"), ("phantom", "each image is a patient of its own"),
     ("own-xrays", "an image without one counts as a patient of its own")],
)  # fmt: skip
def test_a_page_says_how_patients_are_known_and_claims_no_comparison_that_was_not_made(tmp_path, test_set, said):
    records = second(grid(n=24))
    for r in records:
        r["cell"] |= {"test_set": test_set, "train_set": test_set}
    text = flat(page(tmp_path, [sealed(r) for r in records]))
    assert said in text
    assert ("by their anatomy" in text) == (test_set == "montgomery")
