"""A report of 100 records must not be waited for: 4 s, 15 s with figures, of processor time (a loaded machine's
clock says nothing)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from records import grid, save, save_throughput

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
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "bench", "report", "--results", results, *options],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"\n20 architectures, 100 records, {' '.join(options) or 'with figures'}: {spent:.1f} s of processor time")
    assert spent <= seconds
