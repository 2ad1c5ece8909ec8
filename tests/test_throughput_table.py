"""Tables of throughput: none loses a row, none takes another file's place, every column is read and written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import THROUGHPUT
from speed_rows import row

from bench.pages import speed_page
from bench.records.results import Results
from bench.speed import peers, speed_worker, throughput_table
from lungseg import csv_file
from lungseg.errors import DataError


def test_a_table_keeps_rows_of_other_conditions_and_replaces_its_own(tmp_path: Path) -> None:
    path = tmp_path / "cpu.tensorflow.float32.64x64.csv"
    old = [row(width=16, commit="old"), row(width=8, commit="old"), row(threads=2, commit="old"), row("r2unet")]
    path.write_text(throughput_table.csv_text(old), encoding="utf-8")
    rows = throughput_table.merged(throughput_table.read(path), [row(width=8, commit="new"), row(batch=16)])
    keys = [tuple(r[name] for name in throughput_table.KEY) for r in rows]
    assert keys == [
        ("r2unet", "8", "4", "1"),
        ("unet", "8", "4", "1"),
        ("unet", "8", "4", "2"),
        ("unet", "8", "16", "1"),
        ("unet", "16", "4", "1"),
    ]
    assert [r["commit"] for r in rows] == ["", "new", "old", "", "old"]


def test_a_published_row_gives_way_to_no_older_and_no_disturbed_one() -> None:
    idle, day = {"contended": "false"}, "2026-11-24"
    published = [row(commit="published", measured=day, **idle)]
    for measured, contended, stays in (
        (day, "false", False),
        ("2026-11-25", "false", False),
        ("2026-11-23", "false", True),
        ("2026-11-25", "true", True),
    ):
        rows = throughput_table.improved(
            published, [row(commit="own", measured=measured, contended=contended), row("r2unet")]
        )
        assert [r["architecture"] for r in rows] == ["r2unet", "unet"], "what was not measured before is added"
        assert rows[1]["commit"] == ("published" if stays else "own"), (measured, contended)
    disturbed = [row(commit="published", measured=day, contended="true")]
    assert (
        throughput_table.improved(disturbed, [row(commit="own", measured=day, contended="true")])[0]["commit"] == "own"
    )


def test_a_table_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("architecture,width,batch,threads,gone\nunet,8,4,1,x\n", encoding="utf-8")
    again = throughput_table.csv_text(throughput_table.read(path))
    assert again.splitlines()[0] == ",".join(throughput_table.COLUMNS)
    assert again.splitlines()[1].startswith("unet,8,4,")


def test_another_file_in_the_table_s_place_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "cpu.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"cpu\.csv: not a throughput table"):
        throughput_table.read(path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (12.3456, "12.35"), (123456.7, "123457"), (7, "7"), ("a,b", "a,b"), (3e-5, "3e-05")],
)
def test_values_are_spelled_without_separators(value: object, text: str) -> None:
    assert throughput_table.formatted(value) == text


def test_what_a_reader_must_know_is_noted() -> None:
    assert (
        speed_worker.note({"train_fraction_of_peak": 0.99, "train_gflops": 50.0}, steady_state=True, accounted=0.99)
        == ""
    )
    noted = speed_worker.note({"train_fraction_of_peak": 1.25}, steady_state=False, accounted=0.9)
    assert "train_fraction_of_peak 1.25" in noted
    assert "did not reach a steady state" in noted
    assert "90%" in noted


class Strict(dict[str, str]):
    """A row that has a value of every column and no other."""

    def get(self, name: str, default: Any = None) -> str:  # type: ignore[override]
        return self[name]


def test_every_column_that_the_report_reads_is_written(tmp_path: Path) -> None:
    assert set(THROUGHPUT.split(",")) <= set(throughput_table.COLUMNS)  # what the report's own tests give it
    measured = row(
        train_images_per_second=12.34,
        train_iqr=0.5,
        inference_images_per_second=45.6,
        inference_iqr=0.7,
        train_fraction_of_peak=0.25,
        inference_fraction_of_peak=0.5,
        contended=True,
        device="Some CPU",
        versions="keras 3, b 1",
        commit="0123abc",
        measured="2026-11-23",
        note="odd",
    )
    path = tmp_path / "throughput" / "cpu.tensorflow.float32.64x64.csv"
    path.parent.mkdir()
    path.write_text(throughput_table.csv_text([measured]), encoding="utf-8")
    (table,) = throughput_table.load(Results(tmp_path))
    assert (table.device_kind, table.backend, table.precision, table.size) == ("cpu", "tensorflow", "float32", (64, 64))
    strict = replace(table, rows=tuple(Strict(r) for r in table.rows))
    assert strict.of("unet", 8) == measured
    page = speed_page.speed_page([strict]).replace("\u00a0", " ")
    for text in (
        "12.3 (0.5)",
        "45.6 (0.7)",
        "25.0 %",
        "50.0 %",
        "U-Net²",
        "² Contended: ",
        "Some CPU",
        "keras 3, b 1",
        "0123abc",
        "odd",
    ):
        assert text in page


# -- the page ----------------------------------------------------------------------------------------------------------


def table_of(*rows: dict[str, str], size: int = 64, kind: str = "cpu") -> throughput_table.ThroughputTable:
    name = f"{kind}.tensorflow.float32.{size}x{size}.csv"
    return throughput_table.ThroughputTable(name, kind, "tensorflow", "float32", (size, size), rows)


def cells(page: str, network: str) -> list[str]:
    (line,) = [line for line in page.replace("\u00a0", " ").splitlines() if line.startswith(f"| {network}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_cost_is_told_of_steady_rows_alone() -> None:
    """A rate that drifted once gave a cost of -17 %: two processes one after the other saw two machines."""
    fine = {"steady_state": True, "contended": False, "determinism_cost": 0.031}
    rows = [
        row("unet", **fine),
        row("resunet", **{**fine, "steady_state": False, "determinism_cost": -0.1742, "note": speed_page.DRIFTED}),
        row("r2unet", **{**fine, "contended": True, "determinism_cost": 0.2}),
        row("unetpp", **{**fine, "steady_state": False, "note": f"odd; {speed_page.DRIFTED}"}),
    ]
    page = speed_page.speed_page([table_of(*rows)])
    assert cells(page, "U-Net ")[-1] == "3.1 %"
    assert (cells(page, "ResUNet")[0], cells(page, "ResUNet")[-1]) == ("ResUNet¹", "not steady")
    assert (cells(page, "R2U-Net")[0], cells(page, "R2U-Net")[-1]) == ("R2U-Net²", "contended")
    assert "17.4" not in page
    assert page.count("\n¹ Not steady: ") == page.count("\n² Contended: ") == 1
    assert speed_page.DRIFTED not in page
    assert "- UNet++ (width 8): odd\n" in page


def test_sizes_are_in_the_order_of_numbers_and_the_title_names_the_device() -> None:
    page = speed_page.speed_page([table_of(row(device="Some CPU"), size=size) for size in (128, 256, 64)])
    heads = [line.rpartition(", ")[2] for line in page.splitlines() if line.startswith("## ")]
    assert heads == ["64 x 64 px", "128 x 128 px", "256 x 256 px"]
    assert "# Speed on CPU\n\nSpeeds were measured on CPU (Some CPU). These tables contain no GPU" in page
    both = speed_page.speed_page([table_of(row()), table_of(row(), kind="nvidia-h200")])
    assert "# Speed on CPU and H200\n" in both
    assert "no GPU" not in both


def peer(way: str, train: float, inference: float, **more: str) -> dict[str, str]:
    about = {"peer": f"torch, {way}, channels last", "precision": "float32", "width": "16", "batch": "16"}
    rates = {"train": (10.0, train), "inference": (40.0, inference)}
    for mode, (ours, other) in rates.items():
        about |= {f"our_{mode}_images_per_second": f"{ours:.4g}", f"{mode}_images_per_second": f"{other:.4g}"}
        about[f"{mode}_ratio"] = f"{ours / other:.4g}"
    return {**dict.fromkeys(peers.COLUMNS, ""), **about, "our_backend": "tensorflow", "threads": "1", **more}


def test_peers_are_shown_with_ratios_to_the_faster_of_both_ways(tmp_path: Path) -> None:
    folder = Results(tmp_path).throughput("peers")
    folder.mkdir(parents=True)
    for size in (128, 64):
        rows = [peer("eager", 5, 50), peer("compiled", 8, 45)]
        (folder / f"cpu.{size}x{size}.csv").write_text(csv_file.text(peers.COLUMNS, rows), encoding="utf-8")
    (folder / "notes.csv").write_text("a\n1\n")
    assert throughput_table.load(Results(tmp_path)) == [], "they are no tables of ours"
    read = throughput_table.load_peers(Results(tmp_path))
    assert [one.size for one in read] == [(64, 64), (128, 128)]
    page = " ".join(speed_page.speed_page([], read).replace("\u00a0", " ").split())
    assert "is 1.25 times as fast in training (faster) and 0.80 times as fast at inference (slower)." in page
    assert "| 64 px, float32 | eager | 10.0 / 5.00 | **2.00** | 40.0 / 50.0 | **0.80** |" in page


STEADY = {"our_steady_state": "true", "steady_state": "true", "our_contended": "false", "contended": "false"}


def beside_torch(peers_of: list[throughput_table.PeerTable], *measured: throughput_table.ThroughputTable) -> str:
    page = speed_page.speed_page(measured, peers_of).replace("\u00a0", " ")
    return " ".join(page[page.index("## U-Net compared with") :].split())


def test_ratios_of_rates_that_drifted_are_marked_and_not_in_the_answer() -> None:
    """4 and 0.5 stand for rates that a drift could have made."""
    flaws = {"our_steady_state": "false"}, {"steady_state": "false"}, {"our_contended": "true"}, {"contended": "true"}
    for flaw in flaws:
        mark = "²" if "true" in flaw.values() else "¹"
        fine = throughput_table.PeerTable("a.csv", "cpu", (64, 64), (peer("eager", 8, 50, **STEADY),))
        rough = throughput_table.PeerTable("b.csv", "cpu", (128, 128), (peer("eager", 2.5, 80, **{**STEADY, **flaw}),))
        text = beside_torch([fine, rough])
        assert (
            "ours is 1.25 times as fast in training (faster) and 0.80 times as fast at inference (slower). Ma" in text
        )
        assert "Marked ratios are excluded." in text
        assert f"| 128 px, float32{mark} | eager | 10.0 / 2.50 | 4.00 | 40.0 / 80.0 | 0.50 |" in text
        assert f" {mark} {'Not steady' if mark == '¹' else 'Contended'}: " in text
        assert "do not state" not in text
        text = beside_torch([rough])
        assert "4.00 times as fast in training (faster)" in text
        assert "All ratios are marked below, so this is approximate." in text


def test_what_is_not_recorded_of_peers_and_what_differs_from_the_table_above_is_said() -> None:
    table = throughput_table.PeerTable("a.csv", "cpu", (64, 64), (peer("eager", 8, 50),))
    assert "At 64 px the records do not state whether each rate was steady." in beside_torch([table])
    steady = replace(table, rows=(peer("eager", 8, 50, **STEADY),))
    rates = {"train_images_per_second": 10.0, "inference_images_per_second": 40.0}
    same = table_of(row("unet", 16, 16, **rates))
    assert "differ" not in beside_torch([steady], same)
    other = table_of(row("unet", 16, 16, **{**rates, "train_images_per_second": 11.0}))
    assert "At 64 px our rates differ from those in the table above, which come from another run." in beside_torch(
        [steady], other
    )
    for elsewhere in (replace(other, size=(128, 128)), replace(other, precision="mixed_bfloat16")):
        assert "differ" not in beside_torch([steady], elsewhere)
