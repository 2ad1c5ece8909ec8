"""Images of one patient stay on one side of every fold, whatever the seed's partition."""

import csv
import json
from pathlib import Path

import pytest

from lungseg import load
from lungseg.datasets import Case
from lungseg.datasets.montgomery import SAME_PATIENT
from lungseg.splits import folds

RUNS = Path(__file__).resolve().parent.parent / "results" / "runs"
# Pairs in which 20 or more keypoints agree under one similarity transform, by their numbers; the anatomy alone says so.
CERTAIN = """0254/0255 0264/0313/0316 0089/0090 0038/0393 0052/0053 0173/0243 0087/0142 0367/0369 0144/0223 0113/0117
0162/0166/0170"""


@pytest.fixture(scope="module")
def ids():
    """Names of all images of Montgomery, from a committed record."""
    record = json.loads(next((RUNS / "montgomery-128").glob("*/unet.montgomery.f0.s0.json")).read_text())
    return sorted(record["data"]["target_pixels"])


@pytest.fixture(scope="module")
def cases(ids):
    place = Path("nowhere")
    return [Case(key, SAME_PATIENT.get(key, key), place, (place,), None, {"tb": int(key[-1])}) for key in ids]


@pytest.mark.fault("F39")
@pytest.mark.parametrize("seed", range(5))
def test_no_certain_pair_lies_in_two_folds(ids, cases, seed):
    named = {key.split("_")[1]: key for key in ids}
    parts = folds(cases, 5, seed)
    for group in CERTAIN.split():
        images = {named[number] for number in group.split("/")}
        assert len(images) == group.count("/") + 1
        for fold in parts:
            assert sum(bool(images & set(side)) for side in (fold.train, fold.validation, fold.test)) == 1, group


def test_138_images_are_of_120_patients(ids, cases):
    assert (len(ids), len({case.patient for case in cases})) == (138, 120)
    assert SAME_PATIENT.keys() <= set(ids)
    assert all(SAME_PATIENT[first] == first for first in SAME_PATIENT.values()), "a group has one name"


def test_the_table_is_that_of_the_resized_layout(real_montgomery):
    """Both layouts must give the same patients, or the same folds would have other images."""
    with (real_montgomery / "metadata.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert {key: row["patient"] for key, row in rows.items()} == {key: SAME_PATIENT.get(key, key) for key in rows}
    for key, first in SAME_PATIENT.items():
        assert rows[key]["sex"] == rows[first]["sex"], key
        assert abs(int(rows[key]["age"]) - int(rows[first]["age"])) <= 1, key
    assert {c.id: c.patient for c in load("montgomery", real_montgomery)} == {k: r["patient"] for k, r in rows.items()}
