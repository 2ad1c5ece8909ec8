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
from bench.speed import throughput_table
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
        throughput_table.note({"train_fraction_of_peak": 0.99, "train_gflops": 50.0}, steady_state=True, accounted=0.99)
        == ""
    )
    noted = throughput_table.note({"train_fraction_of_peak": 1.25}, steady_state=False, accounted=0.9)
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
        "contended",
        "Some CPU",
        "keras 3, b 1",
        "0123abc",
        "odd",
    ):
        assert text in page
