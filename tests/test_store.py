"""Records on disk: strict JSON, whole or not at all, and found only when nothing about them changed."""

import json
import os
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import cell_name
from records import record as made_up

from bench import machine
from bench.records import store
from bench.records.results import Results
from bench.running.training import fingerprint_inputs
from bench.suites import cells, suite
from lungseg import runtime
from lungseg.errors import DataError, EnvironmentFailure

CELL = cells(suite("quick"))[0]
KEY = "tensorflow-cpu-float32"
INPUTS = {"protocol": 1, "data": "ab", "seed": 0, "recipe": {"epochs": 2}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def record(**changes):
    made_from = {"graph": "g", **INPUTS}
    small = made_up("unet", 0, n=10, epochs=3)
    return store.sealed({**small, "inputs": made_from, "fingerprint": store.fingerprint(made_from), **changes})


@pytest.fixture
def path(tmp_path):
    return Results(tmp_path).path(CELL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "r.json"


def test_path_tells_suite_machine_and_cell(tmp_path, path):
    assert path == tmp_path / "runs/quick/tensorflow-cpu-float32/unet.phantom.f0.s0.json"


def test_record_comes_back_as_it_was_saved(path):
    store.save_record(path, record())
    assert store.load_record(path).document == record()
    assert store.load_record(path).sealed
    assert os.listdir(path.parent) == [path.name], "no temporary file stays"
    assert [r.document for r in Results(path.parents[3]).all()] == [record()]


@given(VALUES)
def test_any_json_value_survives_with_its_seal(shared, value):
    shared.write_text(store.layout(record(extra=value)), encoding="utf-8")
    read = store.load_record(shared)
    assert read.document["extra"] == value
    assert read.sealed


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.randoms(use_true_random=False))
def test_hash_does_not_depend_on_the_order_of_keys(value, random):
    keys = list(value)
    random.shuffle(keys)
    assert store.sha256({key: value[key] for key in keys}) == store.sha256(value)


def test_each_case_is_a_line(path):
    store.save_record(path, record())
    text = path.read_text(encoding="utf-8")
    assert sum('"id"' in line for line in text.splitlines()) == len(record()["cases"]) > 1


@pytest.mark.fault("F74")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_not_written_and_the_old_record_stays(path, value):
    store.save_record(path, record())
    with pytest.raises(ValueError, match="JSON"):
        store.save_record(path, {**record(), "gmacs": value})
    assert store.load_record(path).document == record()
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.fault("F71")
def test_failed_write_keeps_the_old_record_and_names_the_file(path, monkeypatch):
    store.save_record(path, record())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match=r"unet\.phantom\.f0\.s0\.json: cannot be written \(No space"):
        store.save_record(path, record(gmacs=2.0))
    assert store.load_record(path).document == record()
    assert os.listdir(path.parent) == [path.name]


def text_of(**changes):
    return json.dumps({**record(), **changes})


CUT_SHORT = {
    "truncated": text_of()[:-40],
    "truncated within a character": text_of(note="ß").replace("\\u00df", "ß").encode()[:-3],
    "empty": "",
    "a list": "[1]",
    "not text": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
}
ANOTHER_SCHEMA = {
    "a newer schema": text_of(schema=store.SCHEMA + 1),
    "an older schema": text_of(schema=store.SCHEMA - 2),
    "no schema": "{}",
    "an unknown status": text_of(status="fine"),
}
NOT_STRICT = {
    "NaN": text_of(gmacs=float("nan")),
    "Infinity": text_of(gmacs=float("inf")),
    "a number beyond float": text_of(gmacs=12345).replace("12345", "1e999"),
    "a number beyond float that no page reads": text_of(note={"deep": [12345]}).replace("12345", "-1e999"),
    "a key twice": text_of().replace('"gmacs"', '"gmacs": 1, "gmacs"'),
    "a nested key twice": text_of().replace('"recall"', '"recall": 1, "recall"'),
    "half of a surrogate pair": text_of(note={"deep": ["half"]}).replace("half", r"\ud800"),
    "half of a surrogate pair in capitals": text_of(note={"deep": ["half"]}).replace("half", r"\uDC00"),
}
UNREADABLE = [
    pytest.param(data, id=words, marks=mark)
    for texts, mark in (
        (CUT_SHORT, pytest.mark.fault("F72")),
        (ANOTHER_SCHEMA, pytest.mark.fault("F73")),
        (NOT_STRICT, pytest.mark.fault("F74")),
    )
    for words, data in texts.items()
]


@pytest.mark.parametrize("data", UNREADABLE)
def test_unreadable_record_is_an_error_that_names_it_and_is_not_found(path, data):
    path.parent.mkdir(parents=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(DataError, match=r"unet\.phantom\.f0\.s0\.json"):
        store.load_record(path)
    assert store.find(path, INPUTS) is None


@pytest.mark.parametrize("length", [58, 59, 60, 61, 2000])
def test_a_wrong_value_is_quoted_whole_up_to_60_characters(path, length):
    """The quotes count."""
    path.parent.mkdir(parents=True)
    path.write_text(text_of(status="x" * (length - 2)))
    with pytest.raises(store.UnreadableRecord) as caught:
        store.load_record(path)
    shown = caught.value.reason.partition(" is not one of")[0].removeprefix("status ")
    whole = f"'{'x' * (length - 2)}'"
    assert shown == (whole if length <= 60 else whole[:57] + "...")


@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\uD83D \uDE00"])
def test_half_of_a_surrogate_pair_is_no_text_and_both_halves_are(half):
    with pytest.raises(ValueError, match="surrogate"):
        store.strict_json(f'{{"a": ["{half}"]}}')
    assert store.strict_json(r'["\uD83D\uDE00"]') == ["\U0001f600"]


@pytest.mark.parametrize("broken", ["a key twice", "a nested key twice", "half of a surrogate pair"])
def test_a_text_that_is_not_strict_differs_from_a_record_in_nothing_else(path, broken):
    text = NOT_STRICT[broken].replace('"gmacs": 1, ', "").replace('"recall": 1, ', "").replace(r"\ud800", "half")
    store.write_text(path, text)
    assert store.load_record(path).status == "ok"


@pytest.mark.fault("F72")
def test_one_error_lists_every_unreadable_record(tmp_path):
    for name in ("a", "b"):
        store.write_text(tmp_path / f"runs/quick/m/{name}.json", "{")
    with pytest.raises(DataError) as caught:
        Results(tmp_path).all()
    assert len(caught.value.problems) == 2


def test_records_of_one_suite_in_the_order_of_their_paths(tmp_path):
    for name in ("quick/m/b", "quick/m/a", "smoke/m/c"):
        store.save_record(tmp_path / f"runs/{name}.json", record(parameters=ord(name[-1])))
    assert [chr(r.parameters) for r in Results(tmp_path).all()] == ["a", "b", "c"]
    assert [chr(r.parameters) for r in Results(tmp_path).all("quick")] == ["a", "b"]
    assert Results(tmp_path / "nowhere").all() == []


def test_fitting_record_is_found_with_or_without_the_graph(path):
    assert store.find(path, INPUTS) is None
    store.save_record(path, record())
    assert store.find(path, INPUTS).document == record()
    assert store.find(path, {**INPUTS, "graph": "g"}).document == record()
    assert Results(path.parents[3]).missing([CELL], {CELL.id: INPUTS}) == []


@pytest.mark.fault("F76")
@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"data": "cd"}, {"recipe": {"epochs": 3}}, {"graph": "h"}, {"protocol": 2}, {"new": True}],
    ids=str,
)
def test_record_of_other_inputs_is_not_found(path, changed):
    store.save_record(path, record())
    assert store.find(path, {**INPUTS, **changed}) is None


def of_suite(chosen):
    suite_data = SimpleNamespace(
        prepared=SimpleNamespace(sha256="ab"), folds_record=lambda seed: [{"train": ["a"]}], spacing_record=[[1.0, 1.0]]
    )
    return fingerprint_inputs(cells(chosen)[0], suite_data)


@pytest.mark.fault("F76")
@pytest.mark.parametrize("key", of_suite(suite("quick")))
def test_each_single_input_voids_a_record(path, key):
    made_from = {"graph": "g", **of_suite(suite("quick"))}
    store.save_record(path, record(inputs=made_from, fingerprint=store.fingerprint(made_from)))
    assert store.find(path, of_suite(suite("quick"))) is not None
    assert store.find(path, {**of_suite(suite("quick")), key: "another"}) is None


@pytest.mark.fault("F77")
def test_what_decides_no_number_voids_nothing(path, monkeypatch):
    made_from = {"graph": "g", **of_suite(suite("quick"))}
    store.save_record(path, record(inputs=made_from, fingerprint=store.fingerprint(made_from)))
    monkeypatch.setattr(machine, "source", lambda: {"commit": "another", "dirty": True, "sha256": "another"})
    monkeypatch.setattr(runtime, "versions", lambda: {"keras": "99"})
    renamed = replace(suite("quick"), title="other words", workers=7, timeout_s=1.0)
    assert Results(path.parents[3]).missing([CELL], {CELL.id: of_suite(renamed)}) == []


@pytest.mark.fault("F77")
def test_the_sources_hash_covers_code_and_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    for name in ("README.md", "lungseg/a.py", "lungseg/README.md"):
        store.write_text(tmp_path / name, "one")
    before = machine.sources_sha256("lungseg")
    store.write_text(tmp_path / "README.md", "two")
    store.write_text(tmp_path / "lungseg/README.md", "two")
    assert machine.sources_sha256("lungseg") == before
    store.write_text(tmp_path / "lungseg/a.py", "two")
    assert machine.sources_sha256("lungseg") != before


@pytest.mark.fault("F75")
def test_edited_record_is_not_found(path):
    store.save_record(path, record())
    edited = deepcopy(record())
    edited["cases"][0]["components"] += 1
    assert not store.is_sealed(edited)
    path.write_text(json.dumps(edited), encoding="utf-8")
    assert store.load_record(path).document == edited, "a report can still show it, as unverified"
    assert store.find(path, INPUTS) is None


@pytest.mark.fault("F75", "F76")
@pytest.mark.parametrize("lost", ["inputs", "fingerprint", "record_sha256"])
def test_record_without_its_origin_is_not_found(path, lost):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({key: value for key, value in record().items() if key != lost}), encoding="utf-8")
    assert store.find(path, INPUTS) is None


@pytest.mark.parametrize("status", [status for status in store.STATUSES if status != "ok"])
def test_failed_cell_is_run_again(path, status):
    store.save_record(path, record(status=status, cases=[]))
    assert store.find(path, INPUTS) is None


@pytest.mark.fault("F76")
def test_record_that_no_longer_fits_is_kept_where_no_report_looks(tmp_path, path):
    store.save_record(path, record())
    store.set_aside(path)
    assert Results(tmp_path).all() == []
    (old,) = path.parent.iterdir()
    assert json.loads(old.read_text(encoding="utf-8")) == record()
    store.set_aside(path)  # nothing there: harmless


@pytest.mark.fault("F72")
def test_a_record_that_cannot_be_read_or_set_aside_is_an_error_that_names_it(path):
    path.mkdir(parents=True)
    with pytest.raises(DataError, match=r"unet\.phantom\.f0\.s0\.json: cannot be read \(Is a directory"):
        store.load_record(path)
    with pytest.raises(EnvironmentFailure, match=r"unet\.phantom\.f0\.s0\.json"):
        store.set_aside(path)


def test_what_a_run_leaves_beside_its_record_is_no_record(tmp_path, path):
    store.write_text(Results(tmp_path).artifact(CELL, "log.json"), "{}")
    assert Results(tmp_path).paths() == []


def test_a_cell_is_called_as_its_record_s_file(path):
    assert cell_name({"cell": CELL.as_dict()}) == CELL.id == path.stem


@pytest.mark.parametrize(
    ("source", "details"),
    [
        ({"commit": "0" * 40, "dirty": False, "sha256": "ef" * 32}, "ef" * 32),
        ({"commit": "0" * 40, "dirty": True}, None),  # a record of before sources were hashed
        ({"sha256": ""}, None),
        (None, None),
    ],
)
def test_a_record_tells_the_code_that_made_it_as_far_as_it_knows(path, source, details):
    store.save_record(path, record(source=source))
    assert store.source_of(path) == details


def test_no_record_and_no_whole_one_tell_of_no_code(path):
    assert store.source_of(path) is None
    store.save_record(path, record())
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    assert store.source_of(path) is None
