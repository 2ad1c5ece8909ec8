"""The page of what an export costs says what its records say, and the records what this code measures."""

from __future__ import annotations

import json

import export_table
import numpy as np
import pytest

from lungseg import ARCHITECTURES, parity


def records():
    return {path.stem: json.loads(path.read_text()) for path in export_table.TRAINED.glob("*.json")}


def test_the_committed_page_is_that_of_its_records():
    assert export_table.PAGE.read_text(encoding="utf-8") == export_table.page()


def test_each_architecture_and_the_three_trained_networks_have_every_form():
    measured = json.loads(export_table.MEASURED.read_text())
    assert list(measured) == list(ARCHITECTURES)
    assert all(set(export_table.FORMS) <= values.keys() for values in measured.values())
    assert set(export_table.FORMS) == set(parity.LIMITS)
    result = records()
    assert {record["architecture"] for record in result.values()} == {"unet", "lwnet", "m2unet"}
    for record in result.values():
        assert tuple(row["form"] for row in record["forms"]) == export_table.FORMS
        assert {row["dice"]["images"] for row in record["forms"]} == {566}


def test_each_verdict_is_todays_rules():
    """A limit that is changed later does not leave the old verdicts standing."""
    fields = parity.Parity.__dataclass_fields__
    for name, record in records().items():
        for row in record["forms"]:
            again = parity.Parity(**{field: row[field] for field in fields})
            assert again.broken == row["broken"], (name, row["form"])
        assert record["failures"] == [one for row in record["forms"] for one in row["broken"]]


def test_a_runtime_that_fails_without_a_word_is_told_by_the_errors_name(monkeypatch):
    def speechless(*_):
        raise AssertionError

    monkeypatch.setattr(parity, "started", speechless)
    images = np.zeros((1, 2, 2), np.float32)
    with pytest.raises(parity.ParityError, match=r"onnx: was written, but cannot run \(AssertionError\)"):
        parity.compare("onnx", {"model.onnx": b""}, images, images, 0.5)


def test_probabilities_spread_so_that_agreement_means_something():
    for name, values in json.loads(export_table.MEASURED.read_text()).items():
        assert values["spread"] > export_table.SPREAD, name


@pytest.mark.slow  # a minute of a converter's time
@pytest.mark.filterwarnings("ignore")
def test_a_row_measured_again_is_the_committed_one():
    for package in ("onnxruntime", "onnx", "tf2onnx", "ai_edge_litert", "ai_edge_quantizer"):
        pytest.importorskip(package, reason="pip install 'lungseg[export]'")
    committed = json.loads(export_table.MEASURED.read_text())["lwnet"]
    result = export_table.measured("lwnet", ("onnx", "litert-float32", "litert-float16"))
    assert result["spread"] == pytest.approx(committed["spread"], rel=0.05)
    for form in ("onnx", "litert-float32"):
        assert result[form] <= 1e-4
        assert committed[form] <= 1e-4
    assert result["litert-float16"] == pytest.approx(committed["litert-float16"], rel=0.5)
