"""Records that are cut short, edited, failed, oddly named or far too many: the report shows what can be shown."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
from copy import deepcopy

import pytest
from records import agreeing, grid, leaderboards, record, save, save_throughput, sealed, terminal

from bench import figures
from bench.__main__ import main
from bench.figures import style
from bench.pages import report
from bench.records import store
from bench.records.readable import readable
from bench.records.results import Results
from bench.speed import throughput_table
from lungseg.provenance import ROOT

SMALL = {"folds": 2, "n": 24, "epochs": 4}
KEY = "tensorflow-cpu-float32"


def record_file(results, fold=1, suite="fake"):
    return results / "runs" / suite / KEY / f"unet.phantom.f{fold}.s0.json"


def page(results, suite="fake"):
    return (results / f"{suite}.md").read_text(encoding="utf-8").replace("\n", " ")


@pytest.fixture
def two_suites(tmp_path):
    """Two suites of two architectures."""
    for suite in ("fake", "other"):
        save(tmp_path, grid(("unet", "resunet"), suite=suite, **SMALL))
    return tmp_path


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param("", "not a readable record", marks=pytest.mark.fault("F72"), id="empty"),
        pytest.param('{"schema": 2, "sta', "not a readable record", marks=pytest.mark.fault("F72"), id="truncated"),
        pytest.param('{"schema": 0}', "schema 0, this version reads", marks=pytest.mark.fault("F73"), id="older"),
        pytest.param('{"schema": 99}', "schema 99, this version reads", marks=pytest.mark.fault("F73"), id="newer"),
        pytest.param('{"schema": NaN}', "NaN is not JSON", marks=pytest.mark.fault("F74"), id="NaN"),
        pytest.param('{"a": 1, "a": 2}', "a key occurs twice", marks=pytest.mark.fault("F74"), id="twice"),
        pytest.param('{"schema": 2, "status": "ok"}', "cell is None", marks=pytest.mark.fault("F75"), id="stripped"),
    ],
)
def test_an_unreadable_record_is_named_and_hides_no_other(two_suites, capsys, data, reason):
    record_file(two_suites).write_text(data)
    assert main(["report", "--no-figures", "--results", str(two_suites)]) == 3
    details = capsys.readouterr()
    assert f"{record_file(two_suites)}: " in details.err
    assert reason in details.err
    assert "delete it and run its suite again" in details.err
    assert f"written: {two_suites / 'other.md'}" in details.out
    for text in (page(two_suites), (two_suites / "README.md").read_text(encoding="utf-8").replace("\n", " ")):
        assert "**Unreadable.**" in text
        assert f"- runs/fake/{KEY}/unet.phantom.f1.s0.json: " in text
    assert "resunet.phantom.f1.s0" in (two_suites / "tables" / "fake" / "cells.csv").read_text()
    assert "U-Net, seed 0: 1 of 2 folds (not run: fold 1)" in page(two_suites)
    assert "Unreadable" not in page(two_suites, "other")


@pytest.mark.fault("F72")
def test_a_suite_of_unreadable_records_alone_still_has_a_page(tmp_path):
    for fold in (0, 1):
        store.write_text(record_file(tmp_path, fold), "{")
    report.write(Results(tmp_path))
    assert "unet.phantom.f0.s0.json" in page(tmp_path)
    assert "unet.phantom.f1.s0.json" in page(tmp_path)


@pytest.mark.fault("F75")
def test_an_edited_record_is_shown_and_called_unverified(two_suites, capsys):
    edited = json.loads(record_file(two_suites).read_text())
    edited["timing"]["train_seconds"] = 1.0
    record_file(two_suites).write_text(json.dumps(edited))
    assert main(["report", "--no-figures", "--results", str(two_suites)]) == 0
    assert capsys.readouterr().err == ""
    assert "**Unverified**: these records differ from their own hash: unet.phantom.f1.s0." in page(two_suites)


@pytest.mark.fault("F75")
@pytest.mark.parametrize("key", ["cases", "cell", "machine", "history", "data", "timing", "best_epoch", "gmacs"])
def test_a_record_that_an_editor_broke_costs_only_itself(two_suites, capsys, key):
    for broken in (None, "words", [], {"a": []}):
        edited = json.loads(record_file(two_suites, 0).read_text())
        edited[key] = broken
        record_file(two_suites).write_text(json.dumps(edited))
        assert main(["report", "--no-figures", "--results", str(two_suites)]) in (0, 3)
        assert "Traceback" not in capsys.readouterr().err
        assert "**Un" in page(two_suites), "unreadable or unverified, but never as if nothing had happened"
        assert "has the highest mean Dice" in page(two_suites, "other")


@pytest.mark.fault("F90")
@pytest.mark.parametrize(("key", "shift"), [("iou", 1e-9), ("f1", -0.01), ("dice", 0.001)])
def test_scores_that_contradict_each_other_are_in_no_table(two_suites, capsys, key, shift):
    records = grid(("unet", "resunet"), **SMALL)
    records[1]["cases"][3][key] += shift
    save(two_suites, [sealed(records[1])])
    assert main(["report", "--no-figures", "--results", str(two_suites)]) == 3
    assert f"unet.phantom.f1.s0.json: cases[3].{key} is " in capsys.readouterr().err
    assert f"cases[3].{key} is " in page(two_suites).replace("\\", "")
    assert "U-Net, seed 0: 1 of 2 folds (not run: fold 1)" in page(two_suites), "a table of it is worse than none"
    assert "Unreadable" not in page(two_suites, "other")


@pytest.mark.fault("F90")
def test_what_nobody_foresaw_is_exit_70_and_not_a_regression(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "write", lambda *_, **__: 1 / 0)
    (tmp_path / "runs").mkdir()
    assert main(["report", "--results", str(tmp_path)]) == 70
    assert "internal error" in capsys.readouterr().err


@pytest.mark.fault("F91")
def test_a_tie_shares_a_rank_in_the_order_of_names(tmp_path):
    records = grid(("unet",), **SMALL)
    for name in ("zz", "aa"):
        twins = deepcopy(records)
        for twin in twins:
            twin["cell"]["architecture"] = name
        records += [sealed(twin) for twin in twins if twin["cell"]["architecture"] == name]
    unique = {(r["cell"]["architecture"], r["cell"]["fold"]): r for r in records}
    texts = set()
    for order in (1, -1):
        save(tmp_path, list(unique.values())[::order])
        report.write(Results(tmp_path), figures=False)
        texts.add((tmp_path / "fake.md").read_text())
    (text,) = texts
    board = text[text.index("| Network") :].split("\n\n")[0].splitlines()[2:]
    assert [line.split("|")[1].strip() for line in board] == ["aa", "U-Net", "zz"]
    assert "aa, U-Net and zz share the highest mean Dice" in text.replace("\n", " ")


@pytest.mark.fault("F72", "F92")
def test_a_run_whose_cells_all_fail_reports_them_and_exits_4(tmp_path):
    """Each cell's process dies as it imports its backend; nothing else is made up."""
    store.write_text(tmp_path / "broken/tensorflow/__init__.py", "import os\nos._exit(9)\n")
    results = tmp_path / "results"
    truncated, foreign = record_file(results, 0, "smoke"), record_file(results, 0, "quick")
    for path in (truncated, foreign):
        store.write_text(path, "{")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "smoke", "--no-speed", "--results", str(results)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path / "broken"), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "3 of 3 cells failed" in done.stderr
    assert "Nothing was scored" in page(results, "smoke")
    assert "unet.phantom.f0.s0" in page(results, "smoke")
    assert [r.status for r in Results(results).all("smoke")] == ["crashed"] * 3
    assert [path.read_text() for path in truncated.parent.glob("*.old")] == ["{"], "kept, where nothing reads it"
    assert f"{foreign}: not a readable record" in done.stderr, "of another suite: named, and no business of this run"


NAMES = ["a|b", "<script>alert(1)</script>", "../up", "a\nb", "$x_2$", "{x}", "%s", "\x1b[31m", "‮abc", "é☃"]


@pytest.mark.fault("F93")
@pytest.mark.parametrize("name", NAMES)
def test_no_name_leaves_its_place_on_a_page_in_a_figure_or_on_disk(tmp_path, name):
    results = tmp_path / "in" / "results"
    records = grid(("unet",), **SMALL)
    for r in records:
        r["cell"]["suite"], r["cell"]["architecture"], r["machine"]["device_kind"] = name, name, name
        for case in r["cases"]:
            case["id"] = case["patient"] = f"{name}{case['id']}"
    records = [agreeing(r) for r in records]
    for k, r in enumerate(records):
        store.write_text(results / f"runs/odd/m/{k}.json", store.layout(r))
    written = report.write(Results(results))
    assert {path.parent for path in written if path.parent.parent != results / "tables"} <= {
        results, results / "figures"
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    for text in (path.read_text(encoding="utf-8") for path in written if path.suffix == ".md"):
        assert "<script" not in text
        assert "\x1b" not in text
        assert "](../" not in text
        tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
        assert all(len({line.replace("\\|", "").count("|") for line in table}) == 1 for table in tables)
    assert "\x1b" not in terminal(readable(Results(results)).records)


def drawn(tmp_path, n):
    """A section of n architectures, and its figures."""
    names = [f"network{i:03d}" for i in range(n)]
    save_throughput(tmp_path, names, "cpu.tensorflow.float32.128x128")
    (leaderboard,) = leaderboards(grid(names, level=0.95, **SMALL))
    with style.house_style():
        made = [function(leaderboard) for function in figures.FIGURES.values()]
        made = [figure for figure in made if figure is not None]  # one row has no pairs and no places
        return leaderboard, [*made, figures.speed(leaderboard, throughput_table.load(Results(tmp_path)))]


@pytest.mark.fault("F94")
@pytest.mark.parametrize("n", [1, 300])
def test_one_and_300_architectures_are_all_on_the_page_and_as_many_in_a_figure_as_can_be_read(tmp_path, n):
    leaderboard, made = drawn(tmp_path, n)
    text = report.suite_page("fake", [leaderboard], [], [{}], [{}])
    assert all(f"| network{i:03d} " in text for i in range(n))
    for figure in made:
        width, height = 72 * figure.get_size_inches()
        assert 400 <= width <= 900
        assert 140 <= height <= 1200
        panels = [axes for axes in figure.axes if axes.axison]
        words = [t.get_text() for axes in panels for t in axes.texts + axes.get_yticklabels()]
        assert len(panels) <= 3
        assert len(words) <= 180
        titles = [text.get_text() for text in figure.texts]
        founding = any("true class" in title for title in titles)  # its three are no cut of a longer list
        details = any(f"of {n})" in title or "not measured" in title for title in titles)
        assert details == (n > 1) or founding, "says what it leaves out"


@pytest.mark.fault("F95")
def test_a_missing_font_is_replaced(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(style.STYLE, "font.family", "No Such Font")
    with caplog.at_level(logging.ERROR):
        (leaderboard,) = leaderboards(grid(("unet",), **SMALL))
        paths = figures.draw(leaderboard, [], tmp_path, "x")
    assert len(paths) == 4
    assert all(path.stat().st_size > 5000 for path in paths)


@pytest.mark.fault("F96")
def test_a_second_report_changes_no_byte_of_a_page_or_figure(tmp_path):
    records = [*grid(("unet",), **SMALL), record("r2unet", 0, status="oom", **SMALL)]
    made = []
    for name, order in (("a", 1), ("a", 1), ("b", -1)):
        save(tmp_path / name, records[::order])
        save_throughput(tmp_path / name, ["unet"], "cpu.tensorflow.float32.128x128")
        paths = report.write(Results(tmp_path / name))
        made.append({path.relative_to(tmp_path / name): path.read_bytes() for path in paths})
    assert len(made[0]) == 14
    assert all(again == made[0] for again in made[1:])


def test_records_of_a_report_keep_whether_they_are_sealed_but_not_their_json(two_suites):
    """Which is half of the memory of a folder of 20,000. The collector is as it was."""
    file = record_file(two_suites)
    file.write_text(file.read_text().replace('"gmacs": ', '"gmacs": 1'))
    result = readable(Results(two_suites)).records
    assert not any(record.document for record in result)
    assert [record.sealed for record in result] == [
        store.load_record(path).sealed for path in Results(two_suites).paths()
    ]  # fmt: skip
    assert sum(not record.sealed for record in result) == 1
    assert gc.isenabled()
