"""Laws of the gate's parts: what is counted, at which bound a finding fails, and what it says."""

import dataclasses
import hashlib
import math

import numpy as np
import pytest
import records as made_up
from records import parsed, record, replaced

from bench import gate, machine, suites
from bench.gate import Limits, NotComparable, accuracy, preparation, summary, verdict
from bench.records import store
from bench.records.results import Results
from bench.running.data import SuiteData
from lungseg import metrics
from lungseg.batches import Batches
from lungseg.prepare import Prepared
from lungseg.splits import Fold

LIMITS = Limits(margin=0.25, floor=0.5)
IDS = tuple("abcdefg")
SMOKE = suites.suite("smoke")


@pytest.fixture
def prepared():
    rng = np.random.default_rng(0)
    pixels = rng.random((7, 6, 4), dtype=np.float32)
    return Prepared(IDS, IDS, pixels, pixels > 0.4, (None,) * 7, "raw", "prepared")


def of(**changes):
    """Scores of an architecture."""
    return {"dice": 0.75, "f1": 0.75, "validation_loss": 0.25, "counts": {"0/a": [3, 1, 1, 4]}, **changes}


@pytest.mark.parametrize("key", ["dice", "f1", "validation_loss"])
@pytest.mark.parametrize(("change", "ok"), [(-0.5, True), (-0.25, True), (0.125, True), (0.25, True), (0.3125, False)])
def test_a_score_may_worsen_by_the_margin_itself_and_no_more(key, change, ok):
    """change: for the worse. Powers of two, so that no rounding decides."""
    before = of(**{key: 0.875})
    now = of(**{key: 0.875 + change if key == "validation_loss" else 0.875 - change})
    result = {f.what: f.ok for f in accuracy.compare("unet", before, now, LIMITS, exact=False, expected_change=False)}
    words = {"dice": "mean Dice", "f1": "pooled F1", "validation_loss": "validation loss"}
    assert result == {**dict.fromkeys(words.values(), True), words[key]: ok}


@pytest.mark.parametrize(("value", "ok"), [(0.5, True), (0.499, False)])
def test_the_floor_itself_is_high_enough(value, ok):
    result = accuracy.compare("unet", of(dice=0.5), of(dice=value), LIMITS, exact=False, expected_change=False)
    assert [f.ok for f in result if f.what == "mean Dice"] == [ok]


def test_a_meant_change_is_held_to_the_margin_by_its_dice_alone():
    now = of(dice=0.51, f1=0.51, validation_loss=9.0)
    result = accuracy.compare("unet", of(dice=0.9, f1=0.9), now, LIMITS, exact=False, expected_change=True)
    assert {f.what for f in result if not f.ok} == {"mean Dice"}


def test_p_is_a_share_that_is_never_0():
    names = [str(k) for k in range(20)]
    alike, lost = (accuracy.change(np.full(20, value), names, LIMITS) for value in (0.0, -LIMITS.margin))
    assert lost.p == 1
    assert 0 < alike.p < 1e-3
    assert (alike.mean, alike.bound, lost.mean, lost.bound) == (0, 0, -0.25, -0.25)


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0005, "p < 0.001"), (0.001, "p = 0.001"), (0.04, "p = 0.040"), (0.05, "p = 0.050"), (1, "p = 1.000")],
)
def test_the_table_gives_margin_change_bound_and_p(p, words):
    (result,) = accuracy.compare_by_image({"unet": accuracy.Change(-0.005, -0.01, p)}, LIMITS)
    assert (result.before, result.now, result.ok) == ("> -0.2500", f"-0.0050 (-0.0100), {words}", p <= LIMITS.level)


def test_architectures_without_a_common_image_have_no_change():
    a, b = ({"counts": {f"0/{image}": [9, 1, 0, 5] for image in images}} for images in ("abcdefgh", "ijklmnop"))
    one, other = {"unet": a, "resunet": a}, {"unet": b, "resunet": a}
    assert list(accuracy.changes(one, other, {}, LIMITS)) == ["resunet"]


@pytest.mark.parametrize(
    ("before", "now", "tolerance", "moved"),
    [
        ({"a": 1}, {"a": 1}, 0, []),
        ({"a": 1}, {"a": 2}, 0, ["a"]),
        ({"a": 2}, {"a": 1}, 0.5, ["a"]),
        ({"a": 1.0}, {"a": 1.5}, 0.5, []),
        ({"a": [1, 2]}, {"a": [1, 3]}, 0, ["a"]),
        ({"a": [1, 2]}, {"a": [1]}, 0, ["a"]),
        ({"a": [1]}, {"a": [1, 2]}, 0, ["a"]),
        ({"a": math.nan}, {"a": math.nan}, 9, ["a"]),
        ({"b": 1, "a": 1}, {"c": 1, "a": 1}, 0, ["b", "c"]),
    ],
)
def test_what_changed_is_added_lost_or_moved_beyond_the_tolerance(before, now, tolerance, moved):
    assert verdict.changed(before, now, tolerance) == moved


@pytest.mark.parametrize(
    ("ids", "words"), [("", "0"), ("a", "1 (a)"), ("abc", "3 (a, b, c)"), ("abcd", "4 (a, b, c, ...)")]
)
def test_three_names_at_most_are_told_and_how_many_there_are(ids, words):
    assert verdict.count_and_first(list(ids)) == words


@pytest.mark.parametrize("key", ["target_pixels", "target_quarters"])
def test_a_single_lung_pixel_more_is_seen(key):
    before, now = ({"data": {key: {"a": value}}} for value in ([10], [11]))
    assert [f.ok for f in preparation.compare(before, now, False, LIMITS)] == [False]


@pytest.mark.parametrize("letters", [("ab", "cd"), ("cd", "ab")])
def test_hashes_are_told_by_their_first_twelve_digits(letters):
    before, now = ({"data": {"prepared_sha256": two * 32}} for two in letters)
    (result,) = preparation.compare(before, now, True, LIMITS)
    assert (result.before, result.now, result.ok) == (letters[0] * 6, letters[1] * 6, False)


def test_batches_that_are_missing_do_not_hide_others_that_changed():
    old = {"images": 6, "steps": 2, "target_pixels": 9}
    before = {"data": {}, "batches": {"f0.s0": old, "f1.s0": old}, "recipe": {"epochs": 4}}
    now = {"data": {}, "batches": {"f1.s0": {**old, "steps": 3}}, "recipe": {"epochs": 4}}
    *batches, recipe = preparation.compare(before, now, False, LIMITS)
    assert [(f.what, f.ok) for f in batches] == [("f0.s0", False), ("f1.s0", False)]
    assert (recipe.before, recipe.now, recipe.ok) == ("the same", "the same", True)


def test_the_gate_s_own_dice_is_that_of_the_metrics():
    for counts in np.ndindex(3, 3, 3, 2):
        assert accuracy.dice(counts) == metrics.overlap.dice(metrics.Counts(*counts)), counts


(RECORD,) = parsed([record("unet", 0, folds=2, n=10, epochs=3)])


@pytest.mark.parametrize("key", ["f1", "iou"])
@pytest.mark.parametrize("dice", [math.nan, 0.75])
def test_a_ratio_that_is_none_is_a_contradiction_whatever_dice_is(key, dice):
    case = {"id": "a", "tp": 3, "fp": 1, "fn": 1, "tn": 4, "dice": dice, "f1": 0.75, "iou": 0.6}
    accuracy.scores([replaced(RECORD, 0, **case)])
    with pytest.raises(gate.Inconsistent, match=f"a: {key} = nan"):
        accuracy.scores([replaced(RECORD, 0, **{**case, key: math.nan})])


@pytest.mark.parametrize("key", ["f1", "iou"])
def test_counts_and_scores_may_differ_by_a_billionth_of_a_thousandth_and_no_more(key):
    case = {"id": "a", "tp": 0, "fp": 1, "fn": 1, "tn": 4, "dice": 0.0, "f1": 0.0, "iou": 0.0}  # 0: nothing is rounded
    accuracy.scores([replaced(RECORD, 0, **{**case, key: 1e-12})])
    with pytest.raises(gate.Inconsistent, match=f"a: {key} = "):
        accuracy.scores([replaced(RECORD, 0, **{**case, key: math.nextafter(1e-12, 1)})])
    scored = {"counts": {"0/a": [0, 1, 1, 4]}}
    accuracy.consistent("unet", {**scored, "dice": 1e-12})
    with pytest.raises(gate.Inconsistent, match="unet: mean Dice"):
        accuracy.consistent("unet", {**scored, "dice": math.nextafter(1e-12, 1)})


def test_distances_of_a_baseline_are_those_of_the_record_at_both_sizes():
    """At four times the size a made-up case has 16 times the pixels and half the distance; a word is infinite."""
    (both,) = parsed(made_up.second([record("unet", 0, folds=2, n=10, epochs=3)]))
    case = both.cases[0]
    far, near, share = case.hd95_mm, case.assd_mm, case.nsd_2mm
    here = {"hd95_mm": far, "assd_mm": near, "nsd_2mm": share}
    there = {"hd95_mm": far / 2, "assd_mm": near / 2, "nsd_2mm": share}
    pixels = {key: 16 * getattr(case, key) for key in ("tp", "fp", "fn", "tn")}
    stored = {f"at_stored.{key}": value for key, value in (pixels | there).items()}
    assert accuracy.scores([both])["boundary"][f"0/{case.id}"] == here | stored
    nowhere = replaced(replaced(both, 0, hd95_mm=None, assd_mm=None, nsd_2mm=0.0), 0, at_stored=None)
    assert accuracy.scores([nowhere])["boundary"][f"0/{case.id}"] == {
        "hd95_mm": "infinite", "assd_mm": "infinite", "nsd_2mm": 0.0
    }  # fmt: skip


@pytest.mark.parametrize("sides", [(64, 32), (32, 64)])
def test_another_number_of_pixels_is_not_comparable_either_way(sides):
    before, now = (
        {
            "suite": "smoke", "machine": {"backend": "x", "device_kind": "y"}, "folds": {"leaked": []},
            "data": {"target_pixels": {"a": 1}, "raw_sha256": "r"},
            "architectures": {"unet": of(counts={"0/a": [1, 0, 0, side * side - 1]})},
        }
        for side in sides
    )  # fmt: skip
    del before["folds"]
    with pytest.raises(NotComparable, match=f"{sides[0] ** 2} pixels in the baseline, {sides[1] ** 2} in this run"):
        preparation.same_subject(before, now, expected_change=False)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_batches_are_counted_as_the_first_epoch_yields_them(prepared, size):
    batches = Batches(prepared, IDS[:6], size, seed=3)
    held = summary.batches(batches)
    pairs = list(batches.epoch(0))
    assert held["images"] == 6
    assert held["steps"] == -(-6 // size) == len(pairs)
    assert held["target_pixels"] == np.count_nonzero(prepared.masks[:6])
    assert held["sha256"] == hashlib.sha256(b"".join(a.tobytes() for pair in pairs for a in pair)).hexdigest()


@pytest.mark.parametrize(("only", "names"), [(None, {"f0.s0", "f1.s0"}), ((1,), {"f1.s0"}), ((0,), {"f0.s0"})])
def test_batches_are_those_of_the_folds_that_are_trained(prepared, only, names):
    suite = dataclasses.replace(SMOKE, folds=2, fold_subset=only, seeds=(0,))
    folds = (Fold(IDS[:4], (), IDS[4:]), Fold(IDS[4:], (), IDS[:4]))
    made = gate.summarise(suite, SuiteData((), prepared, folds), [])
    assert set(made["batches"]) == names
    assert made["data"]["patients"] == {key: key for key in IDS}


def test_a_prepared_set_that_lost_a_patient_or_an_image_is_no_summary(prepared):
    short = dataclasses.replace(prepared, patients=IDS[:6])
    with pytest.raises(ValueError, match="shorter"):
        gate.summarise(SMOKE, SuiteData((), short, ()), [])
    with pytest.raises(ValueError, match="shorter"):
        summary.quarters(dataclasses.replace(prepared, masks=prepared.masks[:6]))


def test_quarters_are_the_means_and_sums_of_each_corner(prepared):
    made = summary.quarters(prepared)
    for k, key in enumerate(IDS):
        corners = [(slice(r, r + 3), slice(c, c + 2)) for r in (0, 3) for c in (0, 2)]
        assert made["target_quarters"][key] == [prepared.masks[k][corner].sum() for corner in corners]
        assert made["image_quarters"][key] == pytest.approx([prepared.images[k][c].mean() for c in corners], rel=1e-6)
        assert made["image_means"][key] == pytest.approx(prepared.images[k].mean(), rel=1e-6)


@pytest.mark.parametrize("status", [status for status in store.STATUSES if status != "ok"])
def test_a_cell_that_did_not_succeed_is_no_score(tmp_path, status):
    made_up.save(tmp_path, [made_up.record("unet", 0, suite="montgomery-128", status=status)])
    with pytest.raises(NotComparable, match="no finished record"):
        gate.summarise_results(Results(tmp_path), suites.suite("montgomery-128"))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_number_of_records_has_a_summary(tmp_path, number):
    records = made_up.grid(["unet"], suite="montgomery-128")[:number]
    made_up.save(tmp_path, records)
    (result,) = gate.summarise_results(Results(tmp_path), suites.suite("montgomery-128")).values()
    assert len(result["architectures"]["unet"]["counts"]) == sum(len(record["cases"]) for record in records)
    assert (result["size"], result["dataset"], result["folds"]["n"]) == ([128, 128], "phantom", 5)


def test_records_of_other_data_than_the_rest_are_no_summary(tmp_path):
    records = made_up.grid(["unet"], suite="montgomery-128")
    for one in records:
        one["inputs"] = {"data": "first", "fold": one["cell"]["fold"]}
    made_up.save(tmp_path, records)
    assert gate.summarise_results(Results(tmp_path), suites.suite("montgomery-128"))
    records[3]["inputs"]["data"] = "second"
    made_up.save(tmp_path, records)
    with pytest.raises(NotComparable, match=r"unet\.phantom\.f3\.s0 and unet\.phantom\.f0\.s0 differ in data"):
        gate.summarise_results(Results(tmp_path), suites.suite("montgomery-128"))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_leak_is_a_patient_on_two_sides(part):
    sides = {"train": ("a1",), "validation": (), "test": ("b1",)}
    patients = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
    assert summary.leaked([Fold(**sides)], patients) == []
    assert summary.leaked([Fold(**{**sides, part: (*sides[part], "b2")})], patients) == ["b1"]
    assert summary.leaked([Fold(**{**sides, "validation": ("a2",)})], patients) == ["a2"]


@pytest.fixture
def named():
    machine.own_cpu_name.cache_clear()
    yield machine.own_cpu_name
    machine.own_cpu_name.cache_clear()


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize(("limit", "other"), [("AVX2", True), ("ALL", False), ("", False)])
def test_a_processor_held_to_fewer_instructions_is_another_kind_of_machine(named, monkeypatch, variable, limit, other):
    """Its counts differ from the baseline's, and the code is none the worse."""
    for key in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(key, raising=False)
    whole = named()
    named.cache_clear()
    monkeypatch.setenv(variable, limit)
    assert (named() != whole) is other
    assert named().startswith(whole)
    assert summary.machine_kind(1)["cpu"] == named()


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([(True, True)], 0),
        ([(True, True), (False, False)], 4),
        ([(False, True), (False, False)], 1),
        ([], 0),
    ],
)
def test_a_regression_counts_more_than_what_could_not_be_judged(findings, code):
    result = [verdict.Finding("a", "b", "c", "d", ok, judged) for ok, judged in findings]
    assert gate.exit_code(result) == code


def test_how_strict_a_comparison_was_is_told(tmp_path):
    machine = {"cpu": "one", "backend": "x"}
    before = {"suite": "smoke", "machine": machine}
    same, other = dict(before), {**before, "machine": {**machine, "cpu": "two"}}
    assert gate.explain(before, same) == (
        "Same machine kind as the baseline's: counts and prepared pixels must be equal."
    )
    assert gate.explain(before, other).startswith("Different machine kind from the baseline's (cpu ")
    assert gate.explain(before, other, expected_change=True).startswith("An expected change: ")
    assert "lacks size;" in gate.explain(before, {**same, "size": [64, 64]})
    for expected_change, words in ((False, "no score may be below 0.5;"), (True, "no mean score may be below 0.5.")):
        details = gate.explain(before, other, limits=LIMITS, expected_change=expected_change)
        assert "lost less than 0.25 per-image Dice" in details
        assert words in details


@pytest.mark.parametrize("value", [LIMITS, accuracy.Change(0, 0, 1), verdict.Finding("a", "b", "c", "d", True)])
def test_limits_changes_and_findings_cannot_be_changed(value):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, 1)
