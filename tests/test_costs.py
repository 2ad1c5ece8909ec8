"""What trainings took: a row a device, and how many ran at a time."""

import pytest
from records import ensemble, parsed, record, sealed

from bench.pages import overview
from bench.records import costs
from bench.records.results import Results
from bench.suites import suite


def cell(finished, seconds, device="cpu", resumed=0):
    """A record of a training that ended at ``finished`` (HH:MM:SS) after so many seconds."""
    made = record("unet", 0, suite="quick", n=10)
    made["finished"] = f"2026-11-26T{finished}+00:00"
    made["timing"] |= {"total_seconds": seconds, "resumed_at_epoch": resumed}
    made["history"]["seconds"] = [2.0] * 50
    made["machine"] = {**made["machine"], "device": device}
    return made


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([], 1),
        ([cell("10:01:00", 60)], 1),
        ([cell("10:01:00", 60), cell("10:02:00", 59.4)], 1),  # one after the other, told in whole seconds
        ([cell("10:01:00", 60), cell("10:02:00", 60.8)], 1),
        ([cell("10:01:00", 60), cell("10:01:30", 60)], 2),
        ([cell("10:05:00", 300), cell("10:01:30", 60), cell("10:03:00", 60), cell("10:01:10", 40)], 3),
        ([cell("10:01:00", 60), cell("10:01:30", 500, resumed=40)], 1),  # its last 20 seconds were after the other
        ([cell("10:01:00", 60), cell("10:01:30", 500, resumed=20)], 2),
        ([cell("10:01:00", 60), {**cell("10:01:30", 60), "finished": None}], 1),
    ],
)
def test_how_many_ran_at_a_time(cells, expected):
    assert costs.at_once(parsed(cells)) == costs.at_once(parsed(cells[::-1])) == expected


def test_others_count_while_one_of_these_runs():
    local, others = [cell("10:01:00", 60)], [cell("10:01:10", 40), cell("10:00:40", 30), cell("10:05:00", 60)]
    assert costs.at_once(parsed(local), parsed(others)) == 3
    assert costs.at_once(parsed(others), parsed(local)) == 3
    assert costs.at_once(parsed(local), parsed(others[2:])) == 1, "the other ran when none of these did"
    assert costs.at_once([], parsed(others)) == 1


def test_the_mean_of_several_trainings_ran_beside_none():
    one, mean = parsed([cell("10:01:00", 60), ensemble([cell("10:01:00", 60)])])
    assert costs.at_once([one, mean], [mean]) == 1


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        ([], 0),
        ([cell("10:01:00", 60)], 59),
        ([cell("10:01:00", 60), cell("12:00:00", 30)], 59 + 29),  # hours later, in another session
        ([cell("10:05:00", 300), cell("10:01:30", 60), cell("10:05:30", 60)], 329),
    ],
)
def test_the_clock_runs_while_any_cell_does(cells, seconds):
    assert costs.active_seconds(parsed(cells)) == seconds


def test_a_row_a_device_and_precision(tmp_path, monkeypatch):
    quick, cells = suite("quick"), [cell("10:01:00", 60), cell("10:01:30", 60)]
    costs.renew(Results(tmp_path / "results"), quick, parsed(cells))
    costs.renew(Results(tmp_path / "results"), suite("ablation"), parsed(cells[:1]))
    costs.renew(Results(tmp_path / "results"), quick, parsed([cell("11:00:00", 30, "NVIDIA H200")]))
    half = cell("12:00:00", 30)
    half["machine"]["precision"] = "mixed_bfloat16"
    costs.renew(Results(tmp_path / "results"), quick, parsed([sealed(half)]))
    rows = [
        tuple(r[k] for k in ("suite", "device", "cells", "cell_minutes", "at_once"))
        for r in costs.read(Results(tmp_path / "results"))
    ]
    assert rows == [
        ("ablation", "cpu", "1", "1.0", "1"),
        ("quick", "NVIDIA H200", "1", "0.5", "1"),
        ("quick", "cpu", "2", "2.0", "2"),
        ("quick", "cpu", "1", "0.5", "1"),
    ]
    monkeypatch.setattr(overview, "home", lambda: tmp_path)
    text = overview.overview()
    assert "1 cell in 30 s on NVIDIA H200: " in text
    assert "2 cells in 2 min, up to 2 in parallel, on cpu: " in text  # the second began half a minute after the first
    assert "1 cell in 30 s on cpu, mixed_bfloat16: " in text
    assert "cost not measured" in text


@pytest.mark.parametrize("columns", [60, 200])
def test_the_list_fits_the_terminal_and_names_what_a_suite_trains(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = overview.overview()
    assert max(map(len, text.splitlines())) <= min(columns, 100)
    flat = " ".join(text.split())
    assert "unet, resunet and r2unet: phantom, 64 x 64 px" in flat
    assert "width 16 (m2unet, lwnet, segformer_b0 and mobilenetv2_unet: 64)" in flat
    assert "recipe strong and its variants plateau, batch-4" in flat
    assert "1 seed, recipe quick; 6 cells" in flat
    assert "long and long+ema; long is batch-4+epochs-300+elastic" in flat
