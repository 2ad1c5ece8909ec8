"""Records whose seal is right and whose content is not: refused where they are parsed, by the key, and alone."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import is_dataclass

import pytest
from records import ensemble, grid, record, save, sealed

from bench.__main__ import main
from bench.records import kinds, parse, store
from bench.records import record as parts_of
from bench.records.results import Results
from lungseg.metrics import METRICS, Counts
from lungseg.provenance import ROOT
from lungseg.terminal import near

SMALL = {"folds": 2, "n": 24, "epochs": 4}
KEY = "tensorflow-cpu-float32"


def whole(**more):
    """A record as it comes from a file, with every optional part."""
    made = json.loads(json.dumps(record("unet", 1, **{**SMALL, **more})))
    made["inputs"] = {"protocol": 2, "recipe": {"name": "strong", "epochs": 4, "batch_size": 8}}
    made["calibration"] = {"bins": [[10, 0.5 * i, i // 2] for i in range(15)], "brier": 0.01}
    for case in made["cases"]:
        counts = {"tp": 4 * case["tp"], "fp": 4 * case["fp"], "fn": 4 * case["fn"], "tn": 4 * case["tn"]}
        case["at_stored"] = {"size": [256, 256], **counts} | {
            key: case[key] for key in ("distance_unit", "hd95_mm", "hd95_state", "assd_mm", "nsd_2mm")
        }
    made["history"] |= {"hard_dice": [0.9] * 1, "val_hard_dice": [0.9] * 1}
    return made


def put(of, path, value):
    """The record with another value at a path such as ``cases.3.dice``; without it where the value is LOST."""
    made = deepcopy(of)
    *inner, last = path.split(".")
    at = made
    for part in inner:
        at = at[int(part) if isinstance(at, list) else part]
    last = int(last) if isinstance(at, list) else last
    if value is LOST:
        del at[last]
    else:
        at[last] = value
    return made


LOST = object()
ELSEWHERE = {  # where two keys contradict each other the other may be named
    "cases.0.tn": ["cases[0].tp + fp + fn + tn"],
    "cases.0.at_stored.size": ["cases[0].at_stored.tp + fp + fn + tn"],
    "cases.0.at_stored.tp": ["cases[0].at_stored.tp + fp + fn + tn"],
    "cell.size": ["cases[0].tp + fp + fn + tn"],
    "history.loss": ["history.val_loss"],
    "data.target_pixels": ["cases[0].id"],
    "data.target_pixels.CASE_0001": ["cases[0].id"],
    "split.test": ["cases is"],
    "split.train.0": ["split.test"],
    "split.validation": ["split.test"],
    "inputs.more": ["inputs is"],
}
HALF = "\ud800"
DEEP = json.loads("[" * 60 + "]" * 60)


def test_a_record_with_all_that_protocol_2_adds_is_one():
    parse.record(whole())


@pytest.mark.parametrize("kind", ["failed", "ensemble"])
def test_records_of_failures_and_of_means_are_records(kind):
    made = record("unet", 0, status="oom", message="out of memory", **SMALL)
    bare = {"history": None, "timing": {"total_seconds": 3.0}, "peak_memory_bytes": None}
    if kind == "ensemble":
        made = ensemble([record("unet", 0, seed, **SMALL) for seed in (0, 1)])
        bare = {}
    parse.record(json.loads(json.dumps(made)))
    parse.record(json.loads(json.dumps({**made, **bare})))


def test_a_mean_of_trainings_has_neither_a_best_epoch_nor_curves_of_its_own():
    made = json.loads(json.dumps(ensemble([record("unet", 0, seed, **SMALL) for seed in (0, 1)])))
    curves = {key: [0.5] for key in made["history"]}
    for other in ({"best_epoch": 0}, {"history": curves}, {"best_epoch": 0, "history": curves}):
        with pytest.raises(parse.Malformed, match="best_epoch"):
            parse.record({**made, **other})


def test_every_committed_record_is_one():
    paths = Results(ROOT / "results").paths()
    assert len(paths) > 400
    records = {path: store.load_record(path) for path in paths}
    assert sum(len(record.cases) for record in records.values()) > 18_000
    for path, held in records.items():
        assert held.sealed, path
        assert held.fingerprint == store.fingerprint(held.inputs.every), path
        assert path.stem == held.name, path


@pytest.mark.fault("F123")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        # what ended the whole report, or passed for a number
        ("cases.0.id", None),
        ("cases.0.id", ["a"]),
        ("cases.0.id", ""),
        ("cases.0.id", "another"),
        ("cases.0.patient", ["a"]),
        ("cases.0.patient", 7),
        ("cases.0.patient", LOST),
        ("cases.0.hd95_mm", "12.5"),
        ("cases.0.hd95_mm", None),
        ("cases.0.hd95_mm", -1.0),
        ("cases.0.hd95_mm", LOST),
        ("cases.0.assd_mm", [1.0]),
        ("cases.0.assd_mm", True),
        ("cases.0.tp", "many"),
        ("cases.0.tp", True),
        ("cases.0.tp", 3.0),
        ("cases.0.tp", -1),
        ("cases.0.tp", 10**400),
        ("cases.0.tn", 5),
        ("cases.0.components", True),
        ("cases.0.holes", -1),
        ("cases.0.target_pixels", 5),
        ("cases.0.dice", float("nan")),
        ("cases.0.dice", float("inf")),
        ("cases.0.dice", 1.5),
        ("cases.0.dice", 0.5),
        ("cases.0.specificity", 0.5),
        ("cases.0.nsd_2mm", None),
        ("cases.0.distance_unit", "cm"),
        ("cases.0.distance_unit", None),
        ("cases.0.hd95_state", "one_empty"),
        ("cases.0.hd95_state", "fine"),
        ("cases.0.tolerance", []),
        ("cases.0.tolerance.1", None),
        ("cases.0.tolerance.-2", [1, 2, 3]),
        ("cases.0.tolerance.3", [1, 2, 3, 4]),
        ("cases.0.tolerance.3", [16384, 0, 0, True]),
        ("cases.0.more", HALF),
        ("cases.0.more", DEEP),
        ("cases.0.at_stored", None),
        ("cases.0.at_stored.size", [256, 257]),
        ("cases.0.at_stored.tp", 1),
        ("cases.0.at_stored.hd95_mm", "1"),
        ("cases.0.at_stored.distance_unit", "m"),
        ("cases.0.at_stored", {}),
        ("cases.0", None),
        ("cases", LOST),
        ("cases", []),
        ("cases", {}),
        ("cases", "words"),
        ("cell", LOST),
        ("cell", []),
        ("cell.architecture", "a/b"),
        ("cell.architecture", "a\\b"),
        ("cell.architecture", "a" * 81),
        ("cell.architecture", ""),
        ("cell.architecture", None),
        ("cell.suite", "s" * 81),
        ("cell.suite", "../up"),
        ("cell.suite", "a\nb"),
        ("cell.suite", 5),
        ("cell.recipe", "r" * 161),
        ("cell.recipe", "x/y"),
        ("cell.test_set", "d" * 121),
        ("cell.train_set", []),
        ("cell.fold", 2),
        ("cell.fold", -1),
        ("cell.fold", True),
        ("cell.fold", "0"),
        ("cell.folds", 10**9),
        ("cell.seed", -1),
        ("cell.seed", 0.5),
        ("cell.width", 0),
        ("cell.size", [128]),
        ("cell.size", [128, "128"]),
        ("cell.size", [64, 64]),
        ("cell.size", [10**6, 10**6]),
        ("cell.size", LOST),
        ("cell.size", [0, 128]),
        ("history", None),
        ("history", []),
        ("history.loss", LOST),
        ("history.loss", [1.0, 2.0]),
        ("history.loss.0", None),
        ("history.val_dice.0", float("nan")),
        ("history.seconds.0", -1.0),
        ("history.more", "words"),
        ("history.hard_dice", [0.9] * 4),
        ("best_epoch", None),
        ("best_epoch", 1),
        ("best_epoch", -1),
        ("best_epoch", 0.0),
        ("best_epoch", True),
        ("timing", LOST),
        ("timing.train_seconds", LOST),
        ("timing.total_seconds", "an hour"),
        ("timing.train_seconds", 1e300),
        ("timing.train_cpu_seconds", None),
        ("timing.resumed_at_epoch", 0.5),
        ("machine", None),
        ("machine", {}),
        ("machine.backend", "x/y"),
        ("machine.device_kind", "k" * 81),
        ("machine.precision", None),
        ("machine.cpu", ["a"]),
        ("machine.cpu", "c" * 201),
        ("machine.cores", "two"),
        ("machine.memory_bytes", -5),
        ("machine.versions", []),
        ("machine.versions.numpy", 2.4),
        ("machine.device", HALF),
        ("machine.more", DEEP),
        ("data", None),
        ("data.n", "138"),
        ("data.n", 1e3),
        ("data.target_pixels", []),
        ("data.target_pixels", {}),
        ("data.target_pixels.CASE_0001", None),
        ("data.target_pixels.CASE_0001", LOST),
        ("data.more", DEEP),
        ("split", LOST),
        ("split.test", []),
        ("split.test", None),
        ("split.train", LOST),
        ("split.train", "CASE_0000"),
        ("split.train.0", 7),
        ("split.train.0", "CASE_0001"),
        ("split.validation", ["CASE_0003"]),
        ("parameters", None),
        ("parameters", 1.5),
        ("gmacs", "fast"),
        ("gmacs", -1.0),
        ("weights_sha256", None),
        ("peak_memory_bytes", "much"),
        ("finished", 2026),
        ("finished", "yesterday"),
        ("finished", "x" * 1000),
        ("warnings", {"a": 1}),
        ("warnings", [None]),
        ("warnings", ["x" * 5000]),
        ("reused_from", 5),
        ("reused_from", "a/b"),
        ("source", "git"),
        ("source.commit", 5),
        ("source.dirty", "no"),
        ("error", DEEP),
        ("more", DEEP),
        ("inputs", "all"),
        ("inputs.protocol", "2"),
        ("inputs.protocol", True),
        ("inputs.protocol", 0),
        ("inputs.recipe", []),
        ("inputs.recipe.epochs", "50"),
        ("inputs.recipe.batch_size", -8),
        ("inputs.recipe.name", None),
        ("inputs.members", "all"),
        ("inputs.members", [None]),
        ("inputs.members", [{}]),
        ("inputs.tta", 7),
        ("inputs.more", DEEP),
        ("inputs.more", HALF),
        ("calibration", None),
        ("calibration.bins", [[1, 0.5, 0]]),
        ("calibration.bins.3", [1, 0.5, 2]),
        ("calibration.bins.3", [1, 1.5, 1]),
        ("calibration.bins.3", ["1", 0.5, 0]),
        ("calibration.brier", "low"),
        ("calibration.bins", [[0, 0.0, 0]] * 14),
        ("calibration.bins", [[0, 0.0, 0]] * 16),
        ("calibration.bins.3", [1, 0.5]),
        ("calibration.bins.3", [1, 0.5, 0, 0]),
        ("calibration.brier", 1.5),
        ("calibration.brier", LOST),
    ],
    ids=lambda value: "left out" if value is LOST else ascii(value)[:30],
)
def test_a_value_of_another_kind_is_refused_by_its_key(tmp_path, path, value):
    """The file is written by Python's own json, as whoever sealed it without looking would."""
    made = put(whole(), path, value)
    file = tmp_path / "r.json"
    file.write_text(json.dumps(made))
    with pytest.raises(store.UnreadableRecord) as caught:
        store.load_record(file)
    key = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path) if "tolerance" not in path else path.replace("cases.0", "cases[0]")
    assert any(words in caught.value.reason for words in (key, *ELSEWHERE.get(path, ()), "surrogate", "is not JSON"))
    assert len(caught.value.reason) < 400
    assert caught.value.reason.isprintable()


@pytest.mark.fault("F123")
@pytest.mark.parametrize("empty", ["prediction", "target", "both"])
def test_empty_masks_are_as_they_are_scored_and_no_other_way(empty):
    """An infinite distance is null, and only where one mask is empty (lungseg.metrics.table)."""
    made = whole()
    case, lung = made["cases"][0], 500 * (empty == "prediction")
    counts = Counts(0, 500 * (empty == "target"), lung, 16384 - 500 * (empty != "both"))
    metric = METRICS.values()
    of_counts = {m.name: m.function(counts) for m in metric if m.takes == "counts" and m.stored}
    distance = 0.0 if empty == "both" else None
    state = "both_empty" if empty == "both" else "one_empty"
    nsd = 1.0 if empty == "both" else 0.0
    del case["tolerance"], case["at_stored"]
    made["cases"][0] = case | dict(zip(("tp", "fp", "fn", "tn"), counts.as_list(), strict=True)) | of_counts | {
        "target_pixels": lung, "hd95_mm": distance, "assd_mm": distance, "nsd_2mm": nsd, "hd95_state": state,
    }  # fmt: skip
    parse.record(made)
    for key, wrong in (("hd95_mm", 3.0), ("assd_mm", 3.0), ("nsd_2mm", 0.5), ("hd95_state", "ok")):
        with pytest.raises(parse.Malformed, match=key):
            parse.record(put(made, f"cases.0.{key}", wrong))


@pytest.mark.fault("F123")
def test_who_reads_a_record_of_schema_1_is_told_which_commit_rewrites_it(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps({**whole(), "schema": 1}))
    with pytest.raises(store.UnreadableRecord, match=r"schema 1 \(`python -m bench migrate` of commit [0-9a-f]{7} "):
        store.load_record(tmp_path / "r.json")


@pytest.mark.parametrize("schema_", [True, 1.0, "1", None, [1]])
def test_a_schema_that_only_equals_one_is_another(tmp_path, schema_):
    (tmp_path / "r.json").write_text(json.dumps({**whole(), "schema": schema_}))
    with pytest.raises(store.UnreadableRecord, match="schema"):
        store.load_record(tmp_path / "r.json")


def test_every_field_of_a_part_has_a_kind_whose_words_can_be_told():
    parts = [value for value in vars(parts_of).values() if is_dataclass(value)]
    assert len(parts) > 12
    for part in parts:
        for name, kind, _ in parse.form(part):
            assert isinstance(kind, kinds.Kind), f"{part.__name__}.{name}"
            assert not kind.fits(object()), f"{part.__name__}.{name}"
            assert kind.words


@pytest.mark.parametrize("levels", [31, 32, 33])
@pytest.mark.parametrize("nest", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["lists", "dicts"])
def test_a_value_of_any_form_has_at_most_32_levels(levels, nest):
    value = 0
    for _ in range(levels):
        value = nest(value)
    assert kinds.ANY.fits(value) == (levels <= 32)


@pytest.mark.parametrize("length", [0, 1, 199, 200, 201])
def test_a_label_has_at_most_200_characters_and_an_id_at_least_one(length):
    names = {name: kind for name, kind, _ in parse.form(parts_of.CaseScore)}
    assert kinds.LABEL.fits("x" * length) == (length <= 200)
    assert names["id"].fits("x" * length) == (1 <= length <= 200)


@pytest.mark.fault("F123")
def test_an_image_that_two_records_predict_is_in_neither_and_a_copy_elsewhere_counts_for_nothing(tmp_path, capsys):
    for suite in ("fake", "other"):
        save(tmp_path, grid(("unet", "resunet"), suite=suite, **SMALL))
    folder = tmp_path / "runs/fake" / KEY
    copy = folder / "unet.phantom.f0.s0.copy.json"
    copy.write_bytes((folder / "unet.phantom.f0.s0.json").read_bytes())
    assert main(["report", "--no-figures", "--results", str(tmp_path)]) == 3
    details = capsys.readouterr().err
    assert f"{near(copy)}: predicts 'CASE_0000', as runs/fake/{KEY}/unet.phantom.f0.s0.json does" in details
    assert "unet and resunet" not in (tmp_path / "fake.md").read_text()
    assert "over 24 images of 24 patients" in (tmp_path / "fake.md").read_text().replace("\n", " ")

    copy.unlink()
    second = json.loads((folder / "unet.phantom.f1.s0.json").read_text())
    first = json.loads((folder / "unet.phantom.f0.s0.json").read_text())
    parts = {key: first[key] for key in ("cases", "split", "data")}
    save(tmp_path, [sealed({**second, **parts})])  # fold 1 with the images of fold 0
    assert main(["report", "--no-figures", "--results", str(tmp_path)]) == 3
    details = capsys.readouterr().err
    assert all(f"{near(folder)}/unet.phantom.f{fold}.s0.json: predicts 'CASE_0000'" in details for fold in (0, 1))
    assert "has the highest mean Dice" in (tmp_path / "other.md").read_text().replace("\n", " ")
