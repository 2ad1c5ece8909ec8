"""CSV tables: nothing that a spreadsheet would run, and every value back as it was."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import parsed, record

from bench.records import costs
from bench.records.results import Results
from bench.speed import throughput_table
from bench.suites import suite
from lungseg import csv_file
from lungseg.errors import DataError

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "'=1", "-"]
NUMBERS = ["-1", "+1", "-0.25", "1e-7", "-1.5e+09", "-inf", "nan", "0"]


def raw(text):
    """Cells as another program reads them."""
    return [row["a"] for row in csv.DictReader(text.splitlines(keepends=True))]


@pytest.mark.fault("F105")
@pytest.mark.parametrize("value", FORMULAS)
def test_no_cell_begins_as_a_formula(value):
    (cell,) = raw(csv_file.text(["a"], [{"a": value}]))
    assert cell.startswith("'")


@pytest.mark.fault("F105")
@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_stay_numbers(value):
    assert raw(csv_file.text(["a"], [{"a": value}])) == [value]


SPOKEN = [*filter(str.isprintable, FORMULAS), *NUMBERS]
TEXT = st.text(max_size=8).filter(str.isprintable)


@pytest.mark.fault("F105")
@given(st.lists(TEXT | st.sampled_from(SPOKEN) | st.from_regex(r"[' ]*[=+@-][a-z]?", fullmatch=True), max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    rows = [{"a": value, "b": "1"} for value in values]
    path.write_bytes(csv_file.text(["a", "b"], rows).encode())
    assert csv_file.read(path) == (["a", "b"], rows)


@pytest.mark.fault("F105")
def test_costs_and_throughput_write_no_formula(tmp_path):
    made = record("unet", 0, n=10)
    machine = {**made["machine"], "cpu": "=cmd|' /C calc'!A0", "cores": 2, "device": "@SUM(A1)"}
    written = costs.renew(Results(tmp_path), suite("quick"), parsed([{**made, "machine": machine}])).read_text()
    assert "'=cmd" in written
    assert "'@SUM" in written
    assert costs.read(Results(tmp_path))[0]["cpu"] == machine["cpu"]
    row = dict.fromkeys(throughput_table.COLUMNS, "1") | {"device": "=1+1", "note": "-x"}
    text = throughput_table.csv_text([row])
    assert "'=1+1" in text
    assert "'-x" in text
    (tmp_path / "speeds.csv").write_text(text)
    assert throughput_table.read(tmp_path / "speeds.csv") == [row]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\n" + b"x" * 200_000])
def test_what_is_no_table_is_an_error_that_names_it(tmp_path, data):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.csv: cannot be read as a table"):
        csv_file.read(tmp_path / "x.csv")
