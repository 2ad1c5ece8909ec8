"""Paired non-inferiority: what passes, what must not, and that the two errors are as rare as they must be."""

import subprocess
import sys

import numpy as np
import pytest
import records as made_up

from bench.__main__ import main
from bench.gate import Limits, NotComparable, accuracy
from lungseg.provenance import ROOT

LIMITS = Limits(margin=0.01, floor=0.9)


def test_a_loss_of_the_margin_passes_in_one_of_twenty_at_most():
    rng = np.random.default_rng(1)
    names = [f"p{k}" for k in range(138)]
    passed = [
        accuracy.change(rng.gamma(2, 0.01, 138) - 0.02 - LIMITS.margin, names, LIMITS).p <= LIMITS.level
        for _ in range(200)
    ]
    assert sum(passed) <= 18  # 10 expected; 18 is beyond the 99th percentile


def test_a_loss_of_the_margin_passes_no_more_often_where_patients_are_few():
    """Without the width of Student's t, 8 patients let it pass in 8 % of draws."""
    rng = np.random.default_rng(3)
    names = [f"p{k}" for k in range(8)]
    draws = rng.normal(-LIMITS.margin, 0.01, (600, 8))
    passed = sum(accuracy.change(one, names, LIMITS).p <= LIMITS.level for one in draws)
    assert passed <= 40  # 30 expected; 43 is beyond the 99th percentile


def test_of_too_few_patients_nothing_is_said():
    differences = np.full(7, 0.07)
    with pytest.raises(NotComparable, match=r"unet: images of 7 patients.* fewer than 8; give more patients"):
        accuracy.change(differences, [f"p{k}" for k in range(7)], LIMITS, "unet")


def test_images_of_one_patient_do_not_count_as_many():
    rng = np.random.default_rng(2)
    by_patient = rng.normal(-0.007, 0.006, 12)
    differences = np.repeat(by_patient, 12)
    alone = accuracy.change(differences, [str(k) for k in range(144)], LIMITS)
    grouped = accuracy.change(differences, [str(k // 12) for k in range(144)], LIMITS)
    assert grouped.mean == alone.mean
    assert grouped.bound < alone.bound
    assert grouped.p > alone.p


def test_more_architectures_need_more_evidence():
    flagged = {"a": accuracy.Change(-0.005, -0.009, 0.03)}
    sure = {name: accuracy.Change(0, 0, 0.04) for name in "bc"}
    assert [f.ok for f in accuracy.compare_by_image(flagged, LIMITS)] == [True]
    assert not any(f.ok for f in accuracy.compare_by_image(flagged | sure, LIMITS))


def test_seeds_are_averaged_before_images_are_paired():
    counts = {"0/a": [50, 0, 0, 50], "1/a": [0, 50, 0, 50], "0/b": [0, 0, 0, 100]}
    assert accuracy.per_image(counts) == {"a": 0.5, "b": 1.0}


def save(results, architectures=made_up.ARCHITECTURES, **more):
    """Made-up records of montgomery-128, all of the same ground truth, which their maker draws anew for each."""
    records = made_up.grid(architectures, suite="montgomery-128", **more)
    for record in records:
        record["data"]["target_pixels"] = {key: 4000 for part in record["split"].values() for key in part}
    made_up.save(results, [made_up.sealed(record) for record in records])


@pytest.fixture
def stored(tmp_path):
    """Two results folders of two architectures with seeds 0 and 1, whose weights differ a little."""
    for name, seed in (("old", 0), ("new", 1)):
        save(tmp_path / name, ("unet", "resunet"), seeds=(seed,))
    return tmp_path


def run(stored, *more):
    return main(
        ["compare", "montgomery-128", "--baseline", str(stored / "old"), "--candidate", str(stored / "new"),
         "--results", str(stored / "out"), *more]
    )  # fmt: skip


def test_other_seeds_pass_and_the_table_is_written_thrice(stored, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(stored / "summary.md"))
    assert run(stored) == 0
    shown = capsys.readouterr().out
    page = (stored / "out" / "compare-montgomery-128.md").read_text()
    assert all(part.strip() in page for part in shown.split("\n\n"))
    assert page == (stored / "summary.md").read_text()
    assert '"exit": 0' in (stored / "out" / "compare-montgomery-128.json").read_text()


def test_networks_that_the_suite_does_not_name_are_told_of_and_judged_when_asked(stored, capsys):
    for folder, level in (("old", 0.97), ("new", 0.95)):
        save(stored / folder, ("unetpp", "lwnet"), seeds=(2,), level=level)
    assert run(stored) == 0
    assert "Not compared: lwnet, unetpp (--arch '*' compares all)." in capsys.readouterr().out
    assert run(stored, "--arch", "*") == 1
    assert run(stored, "--arch", "resunet") == 0
    assert "Not compared" not in capsys.readouterr().out, "whoever names some has left the others out himself"


def test_a_worse_network_fails(stored):
    save(stored / "new", ("unet",), seeds=(1,), level=0.955)
    assert run(stored) == 1
    assert run(stored, "--arch", "resunet") == 0


@pytest.mark.fault("F88", "F89")
def test_folds_that_are_missing_are_not_comparable_and_a_missing_architecture_fails(stored):
    unet = sorted((stored / "new").rglob("unet*.json"))
    unet[0].unlink()
    assert run(stored) == 5
    for path in unet[1:]:
        path.unlink()
    assert run(stored) == 1
    assert run(stored, "--arch", "unet") == 5


def test_records_of_different_devices_are_not_comparable(stored):
    save(stored / "gpu", ("unet",), device_kind="h200")
    (stored / "new").rename(stored / "cpu")
    (stored / "gpu").rename(stored / "new")
    assert run(stored) == 5


def test_a_comparison_of_records_imports_neither_scipy_nor_keras(stored):
    code = (
        "import sys\nfrom bench.__main__ import main\n"
        f"code = main(['compare', 'montgomery-128', '--baseline', {str(stored / 'old')!r}, "
        f"'--candidate', {str(stored / 'new')!r}, '--results', {str(stored / 'out')!r}])\n"
        "print(code, 'scipy' in sys.modules, 'keras' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "0 False False"
