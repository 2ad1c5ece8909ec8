"""Precision and determinism: of a suite, changed by a run, and part of whatever is named, kept and shown."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from records import leaderboards, parsed, record, validate

from bench import machine, suites
from bench.cli.options import parser
from bench.pages import report
from bench.records import store
from bench.records.results import Results
from bench.running.training import Training, fingerprint_inputs, from_json, to_json
from bench.running.training import settings as recipe_settings
from bench.statistics import stats
from bench.suites import SUITES, cells, select, suite
from lungseg import recipes, runtime
from lungseg.recipes import PRECISIONS

MATERIAL = SimpleNamespace(
    prepared=SimpleNamespace(sha256="ab"), folds_record=lambda seed: [{"train": ["a"]}], spacing_record=[None]
)


def on(monkeypatch, device_kind):
    monkeypatch.setattr(machine, "device_kind", lambda: device_kind)


@pytest.mark.parametrize("device_kind", ["cpu", "nvidia-h200"])
@pytest.mark.parametrize("name", SUITES)
def test_only_suites_for_a_gpu_are_fast_and_in_bfloat16_and_only_on_one(name, device_kind, monkeypatch):
    on(monkeypatch, device_kind)
    fast = name in ("montgomery", "montgomery-strong") and device_kind != "cpu"
    assert suite(name).is_deterministic is not fast
    assert suite(name).policy == ("mixed_bfloat16" if fast else "float32")
    assert cells(select(suite(name), precision="mixed_float16"))[0].recipe.precision == "mixed_float16"


@pytest.mark.parametrize("requested", [True, False])
@pytest.mark.parametrize("device_kind", ["cpu", "nvidia-h200"])
def test_what_a_run_asks_for_comes_before_the_suite_and_the_device(requested, device_kind, monkeypatch):
    on(monkeypatch, device_kind)
    assert select(suite("montgomery"), deterministic=requested).is_deterministic is requested
    assert select(suite("quick"), deterministic=requested).is_deterministic is requested


@pytest.mark.parametrize(("words", "details"), [([], None), (["--fast"], False), (["--deterministic"], True)], ids=str)
@pytest.mark.parametrize("verb", ["run", "ensemble"])
def test_options_tell_what_was_asked_and_nothing_where_nothing_was(verb, words, details):
    assert parser().parse_args([verb, "quick", *words]).deterministic is details


def test_no_recipe_has_a_precision_of_its_own_that_a_suite_would_override():
    assert {recipe.precision for recipe in recipes.RECIPES.values()} == {"float32"}


def test_what_was_trained_before_precision_was_a_suites_has_the_same_fingerprint():
    for name in recipes.RECIPES:
        assert recipe_settings(suite("quick").recipe_of(name)) == recipe_settings(recipes.recipe(name))
    assert fingerprint_inputs(cells(suite("quick"))[0], MATERIAL)["deterministic"] is True


def test_an_unknown_precision_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["run", "quick", "--precision", "half"])
    assert ended.value.code == 2
    assert re.search("'half'.*choose from .*float32.*mixed_bfloat16.*mixed_float16", capsys.readouterr().err)


def settings():
    """Every combination of precision and determinism of a suite with a variant."""
    chosen = select(suite("ablation"), folds=[0], variants=["no-geometric"])
    return [select(chosen, precision=p, deterministic=d) for p in PRECISIONS for d in (True, False)]


def test_each_setting_has_a_fingerprint_and_a_folder_of_its_own_for_the_recipe_and_its_variants():
    made = [[store.fingerprint(fingerprint_inputs(cell, MATERIAL)) for cell in cells(chosen)] for chosen in settings()]
    assert len({one for both in made for one in both}) == len(PRECISIONS) * 2 * 2
    folders = [chosen.machine_key for chosen in settings()]
    assert len(set(folders)) == len(folders)
    assert folders[0] == machine.key("float32") == "tensorflow-cpu-float32"
    assert folders[1] == "tensorflow-cpu-float32-fast"


@pytest.mark.parametrize("chosen", settings(), ids=lambda chosen: chosen.machine_key)
def test_what_is_written_under_a_setting_is_found_under_it_alone(chosen, tmp_path):
    """Where a cell's process writes and where the next run looks: the fault was a variant of another precision."""
    wanted = {cell.id: fingerprint_inputs(cell, MATERIAL) for cell in cells(chosen)}
    for cell in cells(chosen):
        made_from = {**wanted[cell.id], "graph": "g"}
        whole = {**record("unet", 0, n=8), "inputs": made_from, "fingerprint": store.fingerprint(made_from)}
        details = from_json(Training, to_json(Training(cell, chosen, tmp_path, Results(tmp_path), made_from)))
        store.save_record(details.path, whole)  # as the cell's own process does
    assert Results(tmp_path).missing(cells(chosen), wanted) == []
    for other in settings():
        other_value = {cell.id: fingerprint_inputs(cell, MATERIAL) for cell in cells(other)}
        lacks = Results(tmp_path).missing(cells(other), other_value)
        assert lacks == ([] if other == chosen else cells(other))


@pytest.mark.parametrize("chosen", settings(), ids=lambda chosen: chosen.machine_key)
def test_a_cells_process_is_started_as_its_suite_says(chosen, tmp_path):
    cell = cells(chosen)[-1]
    job = Training(cell, chosen, tmp_path, Results(tmp_path), {}).job()
    assert job.deterministic is chosen.is_deterministic
    details = from_json(Training, json.loads(json.dumps(job.payload)))
    assert (details.cell.deterministic, details.cell.recipe.precision) == (chosen.is_deterministic, chosen.policy)


def test_only_a_deterministic_process_tells_xla_so(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    flags = [runtime.environment(1, deterministic)["XLA_FLAGS"] for deterministic in (True, False)]
    assert ["deterministic" in flag for flag in flags] == [True, False]


def of(deterministic, precision="float32"):
    """A record that says so, sealed."""
    made = record("unet", 0, n=8)
    made_from = {**(made.get("inputs") or {}), "deterministic": deterministic}
    machine_of = {**made["machine"], "precision": precision}
    return store.sealed(
        {**made, "inputs": made_from, "fingerprint": store.fingerprint(made_from), "machine": machine_of}
    )


def test_fast_records_and_deterministic_ones_never_share_a_table():
    result = leaderboards([of(True), of(False), of(False, "mixed_bfloat16")])
    assert sorted((s.conditions.precision, s.conditions.fast, len(s.cells)) for s in result) == [
        ("float32", False, 1),
        ("float32", True, 1),
        ("mixed_bfloat16", True, 1),
    ]
    assert next(s.conditions.machine for s in result if s.conditions.fast).endswith("-float32-fast")


def test_a_record_that_says_nothing_of_it_is_deterministic():
    silent = record("unet", 0, n=8)
    silent["inputs"] = {k: v for k, v in (silent.get("inputs") or {}).items() if k != "deterministic"}
    assert not stats.conditions(*parsed([silent])).fast


def test_records_of_two_settings_are_two_comparisons_to_publish():
    """Else every image would be called predicted twice."""
    assert not [p for p in validate([of(True), of(False), of(False, "mixed_bfloat16")]) if "predicted" in p]


def test_a_page_says_which_section_is_fast():
    result = leaderboards([of(True), of(False)])
    page = report.suite_page("smoke", result, [], [{}] * 2, [{}] * 2)
    heads = [line for line in page.splitlines() if line.startswith("## ") and " on " in line]
    assert sorted(head.endswith(", fast") for head in heads) == [False, True]


def test_a_suite_of_another_precision_is_the_same_comparison_otherwise():
    chosen = suite("montgomery-128")
    assert replace(select(chosen, precision="mixed_bfloat16"), precision=None) == chosen
    both = [suites.cells(one) for one in (chosen, select(chosen, precision="mixed_bfloat16"))]
    assert [cell.as_dict() for cell in both[0]] == [cell.as_dict() for cell in both[1]]
