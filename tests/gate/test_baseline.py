"""What a baseline must be before anything is compared with it, and the verbs that read and write it."""

import copy
import json
import math

import pytest
from summaries import IDS, elsewhere, put, scores

from bench import commands, gate, store
from bench.__main__ import main
from bench.gate import NotComparable, compare, exit_code


@pytest.mark.fault("F85", "F88")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("suite",), "quick"),
        (("dataset",), "montgomery"),
        (("size",), [128, 128]),
        (("records",), store.SCHEMA + 1),
        (("machine", "backend"), "jax"),
        (("machine", "device_kind"), "nvidia-h200"),
        (("data", "raw_sha256"), "s" * 64),
        (("data", "truth_pixels"), dict.fromkeys(IDS[1:], 100)),
        (("folds", "n"), 3),
        (("folds", "sha256"), "g" * 64),
        (("architectures", "unet", "counts"), {f"0/{key}": [95, 0, 5, 900] for key in IDS[1:]}),
    ],
)
def test_another_subject_is_not_comparable(baseline, path, value):
    now = copy.deepcopy(baseline)
    put(now, path, value)
    with pytest.raises(NotComparable) as caught:
        compare(baseline, now)
    assert caught.value.exit_code == 5


@pytest.mark.fault("F84", "F87")
def test_a_missing_or_broken_baseline_is_not_comparable(baseline, tmp_path):
    path = tmp_path / "baseline.json"
    with pytest.raises(NotComparable, match="make baseline"):
        gate.load_baseline(path)
    without_numbers = json.dumps(baseline).replace('"validation_loss": 0.08', '"validation_loss": NaN')
    for text in ("", "[]", "{}", json.dumps({**baseline, "schema": 0}), without_numbers):
        path.write_text(text)
        with pytest.raises(NotComparable):
            gate.load_baseline(path)


def test_a_stored_baseline_reads_back(baseline, tmp_path):
    store.write_text(tmp_path / "baseline.json", store.layout(baseline))
    assert gate.load_baseline(tmp_path / "baseline.json") == baseline


def test_an_older_baseline_is_read_and_what_it_lacks_is_named(baseline):
    old = {**copy.deepcopy(baseline), "schema": 1}
    for key in ("size", "records", "recipe", "folds", "batches"):
        del old[key]
    for key in ("patients", "truth_quarters", "image_quarters"):
        del old["data"][key]
    now = elsewhere(baseline)
    assert exit_code(compare(old, now)) == 0
    assert "knows no folds, batches, recipe" in gate.explain(old, now)
    now["data"]["truth_pixels"]["c03"] += 1
    assert exit_code(compare(old, now)) == 1


@pytest.fixture
def gate_verb(tmp_path, monkeypatch):
    """`python -m bench gate` or another verb of it, with a summary instead of a training."""

    def run(verb, now):
        monkeypatch.setattr(commands, "_smoke", lambda results: now)
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
        return main([verb, "--baseline", str(tmp_path / "baseline.json"), "--results", str(tmp_path / "out")])

    return run


def test_the_verb_prints_and_writes_what_changed_and_returns_its_code(baseline, gate_verb, tmp_path, capsys):
    baseline["architectures"]["r2unet"] = copy.deepcopy(baseline["architectures"]["unet"])
    assert gate_verb("baseline", baseline) == 0
    assert gate_verb("gate", copy.deepcopy(baseline)) == 0
    now = copy.deepcopy(baseline)
    now["architectures"]["unet"] = scores(*[6, 10] * 7, 6, 11)
    capsys.readouterr()
    assert gate_verb("gate", now) == 1
    shown = capsys.readouterr().out
    assert "| FAIL | unet" in shown
    assert shown == (tmp_path / "out" / "gate.md").read_text()
    assert (tmp_path / "summary.md").read_text().endswith(shown)
    written = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert written["exit"] == 1
    assert [f["what"] for f in written["findings"] if not f["ok"]] == ["images whose counts changed"]
    now["architectures"]["unet"]["dice"] = 0.5
    assert gate_verb("gate", now) == 70
    now["suite"] = "quick"
    assert gate_verb("gate", now) == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("folds", "leaked"), ["c03"]),
        (("architectures", "unet", "f1"), math.nan),
        (("architectures", "unet"), scores(*[60] * 16)),
        (("data", "image_means", "c03"), math.nan),
    ],
)
def test_a_run_that_would_fail_its_own_gate_is_no_baseline(baseline, gate_verb, tmp_path, capsys, path, value):
    baseline["architectures"]["r2unet"] = copy.deepcopy(baseline["architectures"]["unet"])
    put(baseline, path, value)
    assert gate_verb("baseline", baseline) == 4
    assert not (tmp_path / "baseline.json").exists()
    assert "no baseline written" in capsys.readouterr().err
