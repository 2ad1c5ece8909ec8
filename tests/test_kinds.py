"""Rows of one table that were made on other processors or with other libraries: said beside the comparison."""

from __future__ import annotations

import pytest
from read_page import page
from records import grid, only, sealed

from bench.pages.provenance import kinds


def made(records, **machine):
    return [sealed({**r, "machine": {**r["machine"], **machine}}) for r in records]


@pytest.mark.fault("F121")
def test_a_table_of_two_kinds_of_processor_says_which_row_is_of_which(tmp_path):
    records = [*made(grid(("unet",), n=60), cpu="EPYC (avx2)"), *made(grid(("resunet",), n=60), cpu="EPYC (avx512f)")]
    text = page(tmp_path, records)
    comparison = text.split("**Rows from several kinds of machine.**")[1].split("<details>")[0]
    assert "- EPYC (avx2): unet\n- EPYC (avx512f): resunet\n" in comparison
    assert "as run-to-run spread" in comparison.replace("\n", " ")
    assert len(only(records).rows) == 2, "the table stays whole"


@pytest.mark.fault("F121")
def test_a_row_made_on_both_says_how_much_of_it_is_of_which():
    records = grid(("unet", "resunet"), n=60)
    records = [*made(records[:2], cpu="old"), *made(records[2:], cpu="new")]
    _, lines = kinds(only(records))
    assert lines == "- new: resunet and unet (3 of 5 cells)\n- old: unet (2 of 5 cells)"


@pytest.mark.fault("F121")
def test_other_versions_of_a_library_are_told_alike():
    records = [*grid(("unet",), n=60), *made(grid(("resunet",), n=60), versions={"keras": "3.16.0", "numpy": "2.4.6"})]
    _, lines = kinds(only(records))
    assert lines == "- keras 3.15.1: unet\n- keras 3.16.0: resunet"


def test_one_kind_needs_no_word():
    assert kinds(only(grid(n=60))) == []


def test_the_processor_beside_a_card_is_no_matter():
    card = [*made(grid(("unet",), n=60), device_kind="nvidia-h200", cpu="a"),
            *made(grid(("resunet",), n=60), device_kind="nvidia-h200", cpu="b")]  # fmt: skip
    assert kinds(only(card)) == []
