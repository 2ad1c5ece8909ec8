"""A report of 100 records must not be waited for: 4 s, 15 s with figures, of processor time (a loaded machine's
clock says nothing); nor a comparison of 100: 1 s. Limits are of an idle machine of today: a slow or a loaded one needs
more processor time, too, so the default run has none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from records import grid, save, save_throughput, sealed

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    names = [f"net_{i:02d}" for i in range(20)]
    save(folder, grid(names, folds=5, data="montgomery", level=0.97))
    save_throughput(folder, names, "cpu.tensorflow.float32.128x128")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("options", "seconds"), [(["--no-figures"], 4.0), ([], 15.0)])
def test_report_of_100_records(results, options, seconds):
    spent = processor_seconds("report", "--results", results, *options)
    print(f"\n20 architectures, 100 records, {' '.join(options) or 'with figures'}: {spent:.1f} s of processor time")
    assert spent <= seconds


@pytest.mark.slow
def test_comparison_of_100_records(tmp_path):
    for name, seeds in (("old", range(3)), ("new", range(3, 7))):
        records = grid(suite="montgomery-128", seeds=seeds)
        for record in records:  # of the same ground truth, which their maker draws anew for each
            record["data"]["target_pixels"] = {key: 4000 for part in record["split"].values() for key in part}
        save(tmp_path / name, [sealed(record) for record in records])
    folders = ("--baseline", tmp_path / "old", "--candidate", tmp_path / "new", "--results", tmp_path / "out")
    spent = processor_seconds("compare", "montgomery-128", *folders)
    print(f"\ncomparison of 100 records: {spent:.1f} s of processor time")
    assert spent <= 1.0


def processor_seconds(*arguments):
    """What a command of bench takes, from the interpreter's start to its end."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
