"""What a reader of a page may rely on: nothing pretended, nothing lost, the same bytes again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from read_page import flat, lines_with, number, page
from records import ARCHITECTURES, grid, leaderboards, record, save, save_throughput, sealed, terminal

import lungseg
from bench.markdown import escape
from bench.names import display
from bench.pages import report
from bench.records.results import Results
from lungseg import csv_file

TABLES = ["rows.csv", "folds.csv", "images.csv", "cells.csv"]  # of a suite of one row
OF_ALL = ["METHODS.md", "SPEED.md", "index.html", "README.md"]
RESULTS = Path(__file__).resolve().parent.parent / "results"


def test_no_records_is_said(tmp_path):
    names = ["METHODS.md", "SPEED.md", "index.html", "README.md"]
    assert report.write(Results(tmp_path)) == [tmp_path / name for name in names]
    assert "No suite has been run" in (tmp_path / "README.md").read_text()


@pytest.mark.fault("F96")
def test_same_records_give_the_same_bytes(tmp_path):
    records = grid(n=24, folds=2)
    first = page(tmp_path / "a", records)
    assert first == page(tmp_path / "b", records[::-1])
    assert (tmp_path / "a" / "README.md").read_bytes() == (tmp_path / "b" / "README.md").read_bytes()


@pytest.mark.fault("F92")
def test_missing_and_failed_folds_are_named(tmp_path):
    records = [r for r in grid(n=50) if (r["cell"]["architecture"], r["cell"]["fold"]) != ("resunet", 4)]
    records = [r for r in records if (r["cell"]["architecture"], r["cell"]["fold"]) != ("resunet", 1)]
    records.append(record("resunet", 1, n=50, status="oom", message="allocating 3 GiB"))
    text = page(tmp_path, records)
    assert "ResUNet, seed 0: 3 of 5 folds (failed: fold 1; not run: fold 4)" in flat(text)
    assert lines_with(text, "resunet.phantom.f1.s0", "oom", "RuntimeError", "allocating 3 GiB")
    assert "Not ranked: ResUNet (3 of 5 cells, 30 of 50 images)." in flat(text)
    assert lines_with(text, "| ResUNet ", "unfinished")
    leader = [c["dice"] for r in records for c in r["cases"] if r["cell"]["architecture"] == "unet"
              and r["cell"]["fold"] not in (1, 4)]  # fmt: skip
    details = float(number(tmp_path, "resunet", "first_dice_on_these_images"))
    assert details == pytest.approx(sum(leader) / len(leader), rel=1e-5)


def test_architectures_that_were_never_run_are_counted_and_those_that_failed_are_not_among_them(tmp_path):
    records = grid(("unet",)) + [record("resunet", fold, status="crashed") for fold in range(5)]
    text = flat(page(tmp_path, records))
    assert f"{len(lungseg.ARCHITECTURES) - 2} more architectures can be run in this table: " in text


@pytest.mark.fault("F92")
def test_page_renders_when_all_cells_failed(tmp_path):
    text = page(tmp_path, [record("unet", f, status="crashed", message="boom") for f in range(5)])
    assert "Nothing was scored" in text
    assert lines_with(text, "unet.phantom.f0.s0", "boom")
    assert "Failed in every cell: U-Net." in flat(text)


@pytest.mark.fault("F93")
@pytest.mark.parametrize("name", ["a|b", "<script>alert(1)<script>", "[x](http:y)", "a`b", "..up", "__x__"])
def test_names_cannot_break_the_page(tmp_path, name):
    records = [record("unet", f, n=25) for f in range(5)]
    for r in records:
        r["cell"]["suite"] = name
        r["cell"]["architecture"] = name
        for c in r["cases"]:
            c["id"] = f"{name}{c['id']}"
    (leaderboard,) = leaderboards(records)
    text = report.suite_page(name, [leaderboard], [], [{}], [{}])
    assert "<script" not in text
    assert "[x](http" not in text
    page = Results(tmp_path).page(name)
    assert page.parent == tmp_path
    assert not page.name.startswith(".")
    table = text[text.index("| Network") :].split("\n\n")[0].splitlines()
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


@pytest.mark.parametrize("name", ["README", "methods", "Speed", "hardest"])
def test_no_suite_takes_the_file_of_another_page(tmp_path, name):
    assert Results(tmp_path).page(name) == tmp_path / f"suite-{name}.md"


def test_escape_keeps_ordinary_names():
    assert escape("r2_unet v1.0 (width 16)") == "r2_unet v1.0 (width 16)"


@pytest.mark.fault("F94")
@pytest.mark.parametrize("n", [1, 12])
def test_any_number_of_architectures(tmp_path, n):
    text = page(tmp_path, grid([f"net{i:02d}" for i in range(n)], folds=2, n=24))
    assert len(lines_with(text.split("| Network")[1], "| net", "[0.9")) == n


def test_a_rate_measured_beside_other_work_is_marked(tmp_path):
    save_throughput(tmp_path, ARCHITECTURES, "cpu.tensorflow.float32.128x128")  # the third of them beside other work
    text = page(tmp_path, grid(n=20))
    (marked,) = (line for line in text.splitlines() if line.startswith("| ") and "~" in line)
    assert marked.startswith(f"| {display(ARCHITECTURES[2])} ")
    assert "~ where it was not steady" in text


def test_devices_have_sections_and_throughput_tables_of_their_own(tmp_path):
    save_throughput(tmp_path, ARCHITECTURES, "cpu.tensorflow.float32.128x128")
    save_throughput(tmp_path, ARCHITECTURES, "h200.tensorflow.float32.128x128")
    save_throughput(tmp_path, ARCHITECTURES, "cpu.tensorflow.float32.256x256")
    text = page(tmp_path, grid(n=20) + grid(n=20, device_kind="gpu"))
    assert "## TensorFlow on CPU, float32" in text
    assert "## TensorFlow on gpu, float32" in text
    assert "2 tables, not comparable with each other" in text
    text = (tmp_path / "SPEED.md").read_text()
    assert "## CPU, TensorFlow, float32, 128 x 128 px" in text
    assert "## h200, TensorFlow, float32, 128 x 128 px" in text
    assert len(lines_with(text, "R2U-Net²")) == 3


@pytest.mark.parametrize("lacking", ["cpu", "gpu"])
def test_what_is_whole_comes_before_what_is_unfinished(tmp_path, lacking):
    whole = "cpu" if lacking == "gpu" else "gpu"
    text = page(tmp_path, grid(n=20, device_kind=lacking)[:-1] + grid(n=20, device_kind=whole))
    places = {kind: text.index(f"## TensorFlow on {name}") for kind, name in (("cpu", "CPU"), ("gpu", "gpu"))}
    assert places[whole] < places[lacking]


def test_every_number_names_its_record(tmp_path):
    records = grid(n=25)
    assert "tables/fake/cells.csv" in page(tmp_path, records)
    text = (tmp_path / "tables" / "fake" / "cells.csv").read_text()
    for r in records:
        cell = f"{r['cell']['architecture']}.phantom.f{r['cell']['fold']}.s0"
        assert lines_with(text, cell, r["record_sha256"])


@pytest.mark.fault("F75")
def test_edited_record_is_called_unverified(tmp_path):
    records = grid(n=25)
    assert "Unverified" not in page(tmp_path, records)
    records[0]["timing"]["total_seconds"] = 1.0
    assert "**Unverified**: these records differ from their own hash: unet.phantom.f0.s0" in page(tmp_path, records)


def test_the_index_leads_to_the_pages_of_searches(tmp_path):
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "montgomery-128.unet.f0.64px.w8.e40.md").write_text("# A search")
    page(tmp_path, grid(("unet",)))
    text = (tmp_path / "README.md").read_text()
    link = text.split("Searches for a better recipe: ")[1].split("](")[1].split(")")[0]
    assert (tmp_path / link).is_file()


def test_only_writes_one_suite_but_the_index_of_all(tmp_path):
    save(tmp_path, grid(n=20) + grid(n=20, suite="other"))
    written = report.write(Results(tmp_path), figures=False, only="other")
    assert [p.name for p in written] == [TABLES[0], "other.csv", "measures.csv", *TABLES[1:], "other.md", *OF_ALL]
    index = (tmp_path / "README.md").read_text()
    assert "[fake](fake.md)" in index
    assert "[other](other.md)" in index


def test_only_also_writes_the_page_that_compares_with_the_suite(tmp_path):
    def extra_train(level):
        made = grid(("unet",), n=40, suite="both", data="montgomery", level=level)
        return [sealed({**r, "cell": {**r["cell"], "train_set": "montgomery+shenzhen"}}) for r in made]

    save(tmp_path, [*grid(("unet",), n=40, data="montgomery", level=0.97), *extra_train(0.99)])
    report.write(Results(tmp_path), figures=False)
    before = (tmp_path / "both.md").read_text()
    save(tmp_path, grid(("unet",), n=40, data="montgomery", level=0.94))
    written = report.write(Results(tmp_path), figures=False, only="fake")
    assert [p.name for p in written] == [*TABLES, "both.md", *TABLES, "fake.md", *OF_ALL]
    assert (tmp_path / "both.md").read_text() != before
    records = [*grid(("unet",), n=40, data="montgomery"), *extra_train(0.99)]
    assert "What do the extra training images gain?" not in terminal(records, only="fake")
    assert "fake: montgomery" in terminal(records, only="fake")
    assert "both: montgomery" not in terminal(records, only="fake")


def test_terminal_fits_eighty_columns():
    records = grid(["unet", "a_very_long_architecture_name_indeed"], n=25)
    records.append(record("r2unet", 0, n=25, status="crashed", message="\x1b[31mred\x1b[0m"))
    text = terminal(records)
    assert max(map(len, text.splitlines())) <= 80
    assert "unet" in text
    assert "\x1b" not in text
    assert "crashed" in text
    assert "Is the difference significant? " in text
    assert terminal([]) == "No records, so no leaderboard."


def test_a_narrow_terminal_cuts_no_name_that_its_rows_share():
    def under(recipe, level):
        return [sealed({**r, "cell": {**r["cell"], "recipe": recipe}}) for r in grid(("unet",), n=40, level=level)]

    records = [*under("strong", 0.97), *under("strong:no-augmentation", 0.95), *under("strong:no-geometric", 0.94)]
    text = terminal(records, width=72)
    for name in ("no-aug", "no-geometric"):
        assert any(line.split()[1].startswith(name) for line in text.splitlines() if line[:1].isdigit())
    assert "no-geometric" in terminal(records, width=60)
    assert "unet (no-geometric)" in terminal(records, width=100)
    assert "By Dice, against the whole recipe, worse: no-augmentation" in " ".join(text.split())


def test_report_without_figures_loads_no_backend_and_no_matplotlib(tmp_path):
    save(tmp_path, grid(n=20, folds=2))
    code = (
        "import sys; from pathlib import Path; from bench.pages import report; "
        "from bench.records.results import Results; "
        f"report.write(Results(Path({str(tmp_path)!r})), figures=False); "
        "heavy = ('keras', 'tensorflow', 'jax', 'matplotlib', 'seaborn', 'cv2', 'scipy.stats', 'sklearn', 'pandas'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert (tmp_path / "pairs/fake.csv").exists(), "whose tests are among what might import SciPy's statistics"


def test_rows_stand_by_mean_and_of_rows_that_share_a_letter_neither_is_better():
    names = [f"net{i}" for i in range(6)]
    records = [r for i, n in enumerate(names) for r in grid((n,), folds=2, n=60, level=0.975 - 0.0012 * i)]
    (leaderboard,) = leaderboards(records)
    means = [r.dice.value for r in leaderboard.rows]
    assert means == sorted(means, reverse=True)
    for row in leaderboard.rows:
        pairs = [p.seen_from(row.name).verdict for p in leaderboard.pairs if row.name in (p.first, p.second)]
        assert (row.rank_stats.rank, row.rank_stats.last) == (
            1 + pairs.count("worse"),
            len(names) - pairs.count("better"),
        )
    assert len({r.rank_stats.group for r in leaderboard.rows}) > 1
    for pair in leaderboard.pairs:
        a, b = (
            next(r.rank_stats.group for r in leaderboard.rows if r.name == name) for name in (pair.first, pair.second)
        )
        assert bool(set(a) & set(b)) != pair.significant


def test_a_flagged_training_is_named_with_its_warning(tmp_path):
    warning = ["the training loss did not fall"]
    records = [{**r, "warnings": warning if r["cell"]["fold"] == 1 else []} for r in grid(n=24)]
    text = flat(page(tmp_path / "a", records))
    assert "Warning in 3 of 15 cells: the training loss did not fall." in text
    cells = (tmp_path / "a" / "tables" / "fake" / "cells.csv").read_text()
    assert len(lines_with(cells, ".f1.s0", "the training loss did not fall")) == 3
    assert "Warning" not in page(tmp_path / "b", grid(n=24))


def test_every_pair_is_in_a_table_that_a_page_of_many_rows_links(tmp_path):
    names = [f"net{i}" for i in range(9)]
    records = [r for i, n in enumerate(names) for r in grid((n,), folds=2, n=60, level=0.975 - 0.0012 * i)]
    text = page(tmp_path / "many", records)
    assert "- [pairs](pairs/fake.csv): every pair with its tests" in text
    (leaderboard,) = leaderboards(records)
    columns, rows = csv_file.read(tmp_path / "many" / "pairs" / "fake.csv")
    assert {"first", "second", "difference", "p_holm", "verdict"} < set(columns)
    assert len(rows) == len(leaderboard.pairs) == 36
    for row in rows:
        pair = leaderboard.pair(row["first"], row["second"])
        assert (float(row["low"]), float(row["high"])) == pytest.approx(
            (pair.difference.low, pair.difference.high), abs=1e-6
        )
        assert row["verdict"] == pair.verdict
        assert row["generalises_over_seeds"] == "no"
    assert {row["verdict"] for row in rows} >= {"better", "not known"}
    page(tmp_path / "one", grid(("unet",), n=24))
    assert not (tmp_path / "one" / "pairs").exists()


def test_committed_pages_are_what_the_committed_records_give(tmp_path):
    for name in ("runs", "subgroups", "throughput", "figures", "tuning", "robustness", "reruns"):
        if (RESULTS / name).is_dir():
            shutil.copytree(RESULTS / name, tmp_path / name)
    for path in report.write(Results(tmp_path), figures=False):
        assert path.read_bytes() == (RESULTS / path.relative_to(tmp_path)).read_bytes(), (
            f"make report RESULTS=results renews {path.name}"
        )
