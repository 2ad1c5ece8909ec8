"""Pairs by other measures than Dice at the network's size, and what pages say of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from read_page import flat, page
from records import counted, grid, only, sealed, second

from bench import verdict_words
from bench.names import display
from bench.pages import csv_tables, other_measures
from bench.records.results import Results
from bench.statistics import pairs, stats
from bench.statistics.pairs import MEASURES, Measure
from bench.statistics.resampling import Interval
from bench.statistics.verdicts import MARGIN, MeasuredPair
from bench.suites import THREE

ROOT = Path(__file__).resolve().parent.parent


def patients(records, at=2):
    """The records with every ``at`` images one patient's."""
    result = copy.deepcopy(records)
    for r in result:
        for c in r["cases"]:
            c["patient"] = f"P{int(c['id'][-4:]) // (5 * at)}.{r['cell']['fold']}"
    return [sealed(r) for r in result]


def test_by_dice_itself_it_is_the_table_s_own_test(monkeypatch):
    monkeypatch.setattr(pairs, "MEASURES", (Measure("dice", "Dice", MARGIN, lambda case: case.dice),))
    leaderboard = only(patients(grid(("unet", "resunet", "r2unet"), seeds=(0, 1, 2))))
    for pair, same in zip(leaderboard.pairs, leaderboard.by_measure["dice"], strict=True):
        assert (pair.first, pair.second, pair.verdict) == (same.first, same.second, same.verdict)
        ours, own = (np.array([p.difference.value, p.difference.low, p.difference.high, p.p_holm, p.p_apart_holm])
                     for p in (same, pair))  # fmt: skip
        np.testing.assert_allclose(ours, own, atol=1e-15)


def test_differences_are_those_of_the_columns():
    leaderboard = only(second(patients(grid(("unet", "resunet"), seeds=(0, 1)))))
    rows = {row.name: row for row in leaderboard.rows}
    assert {*leaderboard.by_measure} == {measure.name for measure in MEASURES}
    for name, (pair,) in leaderboard.by_measure.items():
        of = {
            "stored_dice": lambda row: row.stored.dice,
            "stored_nsd": lambda row: row.stored.columns["nsd_2mm"],
        }.get(name, lambda row, name=name: row.means[name])
        assert pair.difference.value == pytest.approx(of(rows[pair.first]) - of(rows[pair.second]), abs=1e-12)


def test_columns_are_means_over_patients_of_means_over_their_images():
    records = second(patients(grid(("unet",), seeds=(0, 1), folds=2, n=41)))
    row = only(records).rows[0]
    for name, value in {**row.means, "nsd_2mm": row.stored.columns["nsd_2mm"]}.items():
        of_patient = {}
        for r in records:
            for c in r["cases"]:
                one = c["at_stored"]["nsd_2mm"] if name == "nsd_2mm" else c[name]
                of_patient.setdefault(c["patient"], []).append(one)
        assert len({len(some) for some in of_patient.values()}) > 1, "else the mean over images is the same"
        assert value == pytest.approx(np.mean([np.mean(some) for some in of_patient.values()]), abs=1e-12)
    assert row.stored.boundary.nsd_mean == pytest.approx(row.stored.columns["nsd_2mm"], abs=1e-12)


def test_a_measure_that_an_image_lacks_is_left_out():
    first, *rest = second(grid(("unet", "resunet")))
    first = copy.deepcopy(first)
    for c in first["cases"]:
        del c["at_stored"]
    assert {*only([sealed(first), *rest]).by_measure} == {"iou", "precision", "recall", "accuracy"}
    assert only(grid(("unet",))).by_measure == {}, "a single row has no pair"


def overdrawn(records, architecture, more):
    """The records with ``more`` false positives and as many false negatives less: recall for precision."""
    result = copy.deepcopy(records)
    for r in result:
        for c in r["cases"] if r["cell"]["architecture"] == architecture else ():
            take = min(more, c["fn"])
            counted(c, c["tp"] + take, c["fp"] + take, c["fn"] - take)
    return [sealed(r) for r in result]


def test_a_row_that_trades_precision_for_recall_is_told():
    records = grid(("unet", "resunet"), seeds=(0, 1, 2), level=0.97)
    leaderboard = only(overdrawn(records, "resunet", 20))
    assert [row.name for row in leaderboard.rows] == ["unet", "resunet"]
    assert leaderboard.pairs[0].verdict == "equivalent"
    assert {name: pair.verdict for name, (pair,) in leaderboard.by_measure.items()} == {
        "iou": "equivalent", "precision": "better", "recall": "worse", "accuracy": "equivalent",
    }  # fmt: skip
    assert other_measures.answer(leaderboard) == (
        "In part: the same verdict by IoU and accuracy; by precision unet is better than resunet; by recall unet is"
        " worse than resunet."
    )


def test_where_every_measure_agrees_the_answer_is_yes(tmp_path):
    records = second(grid(("unet", "resunet"), seeds=(0, 1, 2)))
    leaderboard = only(records)
    assert {pair.verdict for (pair,) in leaderboard.by_measure.values()} == {"better"}
    assert other_measures.answer(leaderboard) == (
        "Yes: the same verdict by IoU, precision, recall, accuracy, Dice at the stored size and NSD at the stored size."
    )
    assert other_measures.said_of(leaderboard.by_measure, leaderboard.rows, str) == (
        "By IoU, precision, recall, accuracy, Dice at the stored size and NSD at the stored size unet is better"
        " than resunet."
    )
    text = page(tmp_path, records)
    assert "**Do other measures agree?** Yes: the same verdict by IoU" in flat(text)
    (line,) = [line for line in text.splitlines() if line.startswith("| NSD at the stored size")]
    pair = leaderboard.by_measure["stored_nsd"][0]
    assert f"{pair.difference.value:+.4f}\u00a0better |" in line
    assert "better" in line
    lines = csv_tables.KINDS["measures"][1](leaderboard, {})
    assert [(line["table"], line["measure"]) for line in lines] == [("all", measure.name) for measure in MEASURES]


def test_of_more_than_three_rows_the_first_two_and_the_three_original_networks_are_shown(tmp_path):
    records = grid(("lwnet", "m2unet", "unet", "r2unet", "resunet"), seeds=(0, 1, 2))
    leaderboard = only(records)
    assert [row.name for row in leaderboard.rows] == ["lwnet", "m2unet", "unet", "r2unet", "resunet"]
    header, _, line, *_ = other_measures.block(leaderboard)[0].splitlines()
    assert [cell.strip() for cell in header.split("|")[2:-1]] == [
        "LW-Net minus M2U-Net", "U-Net minus R2U-Net", "U-Net minus ResUNet", "R2U-Net minus ResUNet",
    ]  # fmt: skip
    pair = leaderboard.pair("r2unet", "resunet").seen_from("r2unet")
    assert f"{pair.difference.value:+.4f}\u00a0{pair.verdict}" in line.split("|")[-2]
    said = other_measures.originals(leaderboard, display)
    assert said.startswith("As a table of their own: by Dice")
    assert "LW-Net" not in said
    assert f"**U-Net, ResUNet or R2U-Net?** {said}" in flat(page(tmp_path, records))


def test_what_the_three_original_networks_come_to_does_not_depend_on_others():
    """Of the committed records, where others change verdicts; by Dice and by each other measure."""
    local = [r for r in Results(ROOT / "results").all("montgomery-128") if r.protocol == 2]
    (every,) = stats.leaderboards(local)
    (three,) = stats.leaderboards(r for r in local if r.cell.architecture in THREE)
    assert every.originals == three.originals == {"dice": three.pairs, **three.by_measure}
    among = {frozenset((p.first, p.second)): p.verdict for p in every.pairs}
    changed = [p for p in three.pairs if among[frozenset((p.first, p.second))] != p.verdict]
    assert changed, "else this shows nothing"
    said = other_measures.among_all(every, display)
    assert said.startswith(" Among all 7 rows, corrected for 21 pairs, R2U-Net is better than ResUNet; not known: ")
    assert other_measures.among_all(three, display) == ""
    assert other_measures.by_dice(every, display) == verdict_words.among(three.pairs, three.rows, display)
    lines = [line for line in csv_tables.KINDS["measures"][1](every, {}) if line["table"] == "original"]
    assert [line["measure"] for line in lines[::3]] == ["dice", *(measure.name for measure in MEASURES)]

    assert every.outlying_seeds == ("m2unet",)
    (steady,) = stats.leaderboards(r for r in local if r.cell.architecture != "m2unet")
    for measure, made in steady.by_measure.items():
        of_all = {(p.first, p.second): p.p_value for p in every.by_measure[measure]}
        for p in made:
            assert of_all[p.first, p.second] == p.p_value, "a row unsteady by Dice hides nothing by another measure"


def measured(**words):
    """Pairs by measure with these verdicts of a against b, a against c and b against c."""
    intervals = {"better": (0.01, 0.02), "worse": (-0.02, -0.01), "equivalent": (-0.0001, 0.0001), "unknown": (-1, 1)}
    result = {}
    for measure, verdicts in words.items():
        pairs = []
        for (a, b), verdict in zip((("a", "b"), ("a", "c"), ("b", "c")), verdicts, strict=True):
            low, high = intervals[verdict]
            p, apart = (0.001 if verdict in of else 1.0 for of in (("better", "worse"), ("equivalent",)))
            pairs.append(MeasuredPair(a, b, Interval((low + high) / 2, low, high), p, apart, p, apart))
        result[measure] = tuple(pairs)
    return result


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        (("better", "better", "better"), "a is better than b, and both are better than c"),
        (("equivalent", "equivalent", "equivalent"), "any two of a, b and c are equivalent"),
        (("unknown", "unknown", "unknown"), "no difference is shown"),
        (("unknown", "better", "better"), "a and b are better than c; not known: a against b"),
        (("worse", "worse", "worse"), "b and c are better than a; c is better than b"),
        (("better", "better", "unknown"), "a is better than b and c; not known: b against c"),
        (("equivalent", "better", "unknown"),
         "a is better than c; a and b are equivalent; not known: b against c"),
    ],
)  # fmt: skip
def test_verdicts_of_three_in_words(verdicts, text):
    rows = [SimpleNamespace(name=name) for name in "abc"]
    pairs = measured(iou=verdicts)["iou"]
    assert verdict_words.among(pairs, rows, str) == text
    assert verdict_words.among([p.seen_from(p.second) for p in pairs], rows, str) == text, "however it is stored"


def test_of_more_than_three_rows_without_the_three_the_first_is_compared_with_those_behind_it():
    leaderboard = only(grid(("unet", "resunet", "lwnet", "m2unet"), seeds=(0, 1)))
    assert other_measures.originals(leaderboard, str) is None
    first, next_one, *_ = leaderboard.rows
    table = other_measures.block(leaderboard)[0].splitlines()
    assert table[0].count(" minus ") == 3
    assert table[0].count("U-Net minus") == 3
    assert (first.name, next_one.name) == ("unet", "resunet")
    assert "lwnet" not in other_measures.answer(leaderboard)
    assert other_measures.answer(leaderboard).startswith(
        ("Yes, against resunet, the next: ", "In part, against resunet, ")
    )


def test_borders_in_two_units_are_not_compared():
    records = second(grid(("unet", "resunet")))
    assert "stored_nsd" in only(records).by_measure
    records[0] = copy.deepcopy(records[0])
    for c in records[0]["cases"]:
        c["distance_unit"] = c["at_stored"]["distance_unit"] = "px"
    measured = only([sealed(r) for r in records]).by_measure
    assert "stored_nsd" not in measured
    assert "stored_dice" in measured


def test_margins_are_a_tenth_of_what_images_vary_by():
    """Of the committed trainings of the three original networks, to a factor of two: a tenth of the SD over images."""
    records = [
        r for r in Results(ROOT / "results").all("montgomery-128") if r.protocol == 2 and r.cell.architecture in THREE
    ]
    cases = [c for r in records for c in r.cases]
    for measure in MEASURES:
        sd = np.std([measure.of(c) for c in cases])
        assert 0.5 < measure.margin / (sd / 10) < 2, measure.name


def test_a_difference_that_rounds_to_nothing_has_no_sign():
    leaderboard = only(grid(("unet", "resunet")))
    tiny = {name: (replace(pair, difference=Interval(-0.00001, -0.001, 0.001)),)
            for name, (pair,) in leaderboard.by_measure.items()}  # fmt: skip
    assert "-0.0000" not in other_measures.block(replace(leaderboard, by_measure=tiny))[0]


def test_a_wider_margin_makes_more_rows_equivalent(monkeypatch):
    close = grid(("unet", "resunet"), seeds=(0, 1, 2), level=0.97)
    margins = {"narrow": MARGIN / 100, "wide": 10 * MARGIN}
    monkeypatch.setattr(pairs, "MEASURES", [Measure(n, n, m, lambda case: case.dice) for n, m in margins.items()])
    (narrow,), (wide,) = (only(close).by_measure[name] for name in margins)
    assert narrow.difference == wide.difference
    assert (narrow.p_apart_holm, wide.verdict) == (pytest.approx(1, abs=0.6), "equivalent")
    assert narrow.verdict != "equivalent"
