"""Laws of the statistics: what a row, an interval, a rank and a difference must satisfy."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
from read_page import flat, page
from records import counted, ensembles, grid, leaderboards, only, record, sealed
from scipy.stats import spearmanr
from threadpoolctl import threadpool_info, threadpool_limits

from bench.statistics import hard_images, stats
from lungseg.errors import LungsegError


def as_twin(records, name):
    """The same records under another architecture's name."""
    twins = copy.deepcopy(records)
    for r in twins:
        r["cell"]["architecture"] = name
    return [sealed(r) for r in twins]


def test_products_take_one_thread_while_leaderboards_are_computed(monkeypatch):
    threads = []
    monkeypatch.setattr(stats, "nested", lambda *_: threads.extend(pool["num_threads"] for pool in threadpool_info()
                                                                   if pool["user_api"] == "blas"))  # fmt: skip
    with threadpool_limits(2, user_api="blas"):
        leaderboards(grid(("unet",), n=24))
        assert set(threads) == {1}
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}, "as before"


def test_mean_is_over_images_and_pooled_is_over_pixels():
    records = grid(("unet",), n=25)
    row = only(records).rows[0]
    cases = [c for r in records for c in r["cases"]]
    assert row.dice.value == pytest.approx(np.mean([c["dice"] for c in cases]), abs=1e-12)
    tp, errors = sum(c["tp"] for c in cases), sum(c["fp"] + c["fn"] for c in cases)
    assert row.pooled["dice"] == pytest.approx(2 * tp / (2 * tp + errors), abs=1e-12)


def test_images_without_any_lung_and_images_of_two_pieces_are_counted():
    """Both masks empty is one thing, a prediction that is empty alone another; a lung with a hole is not two pieces."""
    records = grid(("unet",), folds=1, n=25)
    cases = records[0]["cases"]
    for case in cases:
        case.update(components=1, holes=0)
    for index, (pieces, holes) in enumerate([(2, 0), (2, 0), (2, 0), (2, 1), (3, 0), (0, 0)]):
        cases[index].update(components=pieces, holes=holes)
    for case in cases[10:14]:
        counted(case, 0, 0, 0)
        case.update(hd95_state="both_empty", hd95_mm=0.0, assd_mm=0.0, nsd_2mm=1.0, target_components=0)
    for case, (fp, fn) in zip(cases[14:16], [(0, 7), (7, 0)], strict=True):
        counted(case, 0, fp, fn)
        case.update(hd95_state="one_empty", hd95_mm=None, assd_mm=None, nsd_2mm=0.0)
    row = only([sealed(r) for r in records]).rows[0]
    assert row.n_empty == 4
    assert row.two_component_rate == pytest.approx(3 / 25)


def test_seeds_are_averaged_per_image_first():
    records = grid(("unet",), seeds=(0, 1), n=25)
    row = only(records).rows[0]
    of_image = [c["dice"] for r in records for c in r["cases"] if c["id"] == row.images[3]]
    assert len(of_image) == 2
    assert row.image_dice[3] == pytest.approx(np.mean(of_image), abs=1e-12)
    assert len(row.images) == 25


def test_order_of_records_changes_nothing():
    records = grid(("unet", "resunet"), seeds=(0, 1), folds=2, n=24)
    first, again = only(records), only(records[::-1])
    assert first.rows == again.rows
    assert first.pairs == again.pairs


def test_another_architecture_changes_no_interval():
    two, three = grid(("unet", "resunet"), n=25), grid(("unet", "resunet", "r2unet"), n=25)
    assert [r.dice for r in only(two).rows] == [r.dice for r in only(three).rows[:2]]


def test_equal_means_share_a_rank_in_the_order_of_names():
    unet = grid(("unet",), n=25)
    leaderboard = only([*unet, *as_twin(unet, "atwin"), *grid(("r2unet",), n=25, level=0.9)])
    assert [(r.name, r.rank) for r in leaderboard.rows] == [("atwin", 1), ("unet", 1), ("r2unet", 3)]
    pair = leaderboard.pair("unet", "atwin")
    assert not pair.significant
    assert (pair.difference.value, pair.probability_of_improvement, pair.p_holm) == (0, 0.5, 1)


def test_planted_difference_is_told_apart_and_antisymmetric_pairs_agree():
    leaderboard = only(grid(("unet", "resunet"), n=60, level=0.97) + grid(("r2unet",), n=60, level=0.9))
    pair = leaderboard.pair(leaderboard.rows[0].name, "r2unet")
    assert pair.difference == -leaderboard.pair("r2unet", leaderboard.rows[0].name).difference
    assert pair.significant
    assert pair.difference.value == pytest.approx(leaderboard.rows[0].dice.value - leaderboard.rows[2].dice.value)


def test_missing_fold_is_not_ranked():
    records = [r for r in grid(n=50) if (r["cell"]["architecture"], r["cell"]["fold"]) != ("unet", 3)]
    leaderboard = only(records)
    row = leaderboard.rows[-1]
    assert (row.name, row.rank, row.cells, row.coverage) == ("unet", None, (4, 5), (40, 50))
    assert {r.name for r in leaderboard.rows if r.rank} == {"resunet", "r2unet"}


def test_fewer_than_twenty_images_are_not_ranked():
    assert all(r.rank is None for r in only(grid(n=19)).rows)
    assert not only(grid(n=19)).pairs
    assert all(r.rank for r in only(grid(n=20)).rows)


def test_devices_and_data_never_share_a_section():
    records = [*grid(n=20), *grid(n=20, device_kind="gpu"), *grid(n=20, data="montgomery")]
    assert len(leaderboards(records)) == 3


def test_image_scored_twice_is_refused():
    twice = sealed({**record("unet", 0, n=25), "cell": {**record("unet", 1)["cell"]}})
    with pytest.raises(LungsegError, match=r"CASE_0000 \(seed 0\)"):
        leaderboards([record("unet", 0, n=25), twice])


def test_inconsistent_record_is_refused():
    bad = record("unet", 0, n=25)
    bad["cases"][2]["iou"] += 1e-6
    with pytest.raises(LungsegError, match="iou"):
        leaderboards([bad])


def test_infinite_distance_is_counted_not_averaged():
    records = grid(("unet",), n=25)
    whole = only(records).rows[0].boundary
    case = records[0]["cases"][0]
    counted(case, 0, 0, case["target_pixels"])
    case.update(hd95_mm=None, assd_mm=None, nsd_2mm=0.0, hd95_state="one_empty")
    boundary = only(records).rows[0].boundary
    assert (boundary.n, boundary.n_inf) == (25, 1)
    assert np.isfinite(boundary.hd95_mean)
    assert boundary.hd95_mean != whole.hd95_mean


def test_pixels_and_millimetres_are_not_averaged_together():
    records = grid(("unet",), n=25)
    records[0]["cases"][0]["distance_unit"] = "px"
    row = only(records).rows[0]
    numbers = (row.boundary.hd95_mean, row.boundary.hd95_median, row.boundary.assd_mean, row.boundary.nsd_mean)
    assert np.isnan([*numbers, *row.image_hd95]).all()
    assert row.dice.value == only(grid(("unet",), n=25)).rows[0].dice.value


def test_hardest_images_come_first():
    leaderboard = only(grid(n=30))
    result = hard_images.hardest(leaderboard, 5)
    means = np.mean([r.image_dice for r in leaderboard.rows], axis=0)
    assert [mean for _, mean, _ in result] == pytest.approx(sorted(means)[:5])


def test_rows_that_miss_the_same_images_gain_little_by_a_choice_among_them():
    records = grid(("unet",), n=40)
    twins = hard_images.agreement(only([*records, *as_twin(records, "resunet")]), 5)
    assert twins.rho == pytest.approx((1, 1, 1))
    assert twins.best == pytest.approx(twins.mean)
    assert (twins.rows, twins.first) == (2, True)
    row = only(records).rows[0]
    assert twins.mean == pytest.approx(row.dice.value)
    assert twins.rest == pytest.approx(np.mean(sorted(row.image_dice)[5:]))


def test_the_best_for_each_image_is_what_no_choice_exceeds():
    leaderboard = only(grid(n=40))
    result = hard_images.agreement(leaderboard, 5)
    dice = np.array([row.image_dice for row in leaderboard.rows])
    assert (result.rows, result.first) == (len(leaderboard.rows), False), "one row alone leads, so all are compared"
    assert result.best == pytest.approx(dice.max(axis=0).mean())
    assert result.mean < result.best
    rho = [spearmanr(a, b).statistic for a, b in itertools.combinations(dice, 2)]
    assert result.rho == pytest.approx((min(rho), np.median(rho), max(rho)))


def test_where_several_share_the_first_rank_the_others_say_nothing_of_them():
    records = grid(("unet",), n=40)
    worse = grid(("r2unet",), n=40, level=0.9)
    result = hard_images.agreement(only([*records, *as_twin(records, "resunet"), *worse]), 5)
    assert (result.rows, result.first) == (2, True)


def test_the_best_of_several_seeds_is_of_their_own_predictions():
    records = [*grid(("unet",), n=40, seeds=(0, 1)), *grid(("r2unet",), n=40, level=0.9)]
    leaderboard = only(records)
    result = hard_images.agreement(leaderboard, 5)
    each = {}
    for r in records:
        for case in r["cases"]:
            each[case["id"]] = max(each.get(case["id"], 0), case["dice"])
    assert result.best == pytest.approx(np.mean(list(each.values())))
    assert result.best > max(row.dice.value for row in leaderboard.rows)


def test_a_row_that_scores_every_image_alike_orders_none():
    flat = as_twin(grid(("unet",), n=40), "resunet")
    for r in flat:
        for c in r["cases"]:
            counted(c, 0, c["fp"], c["target_pixels"])
    others = [*grid(("unet",), n=40), *grid(("r2unet",), n=40, level=0.9)]
    result = hard_images.agreement(only([*others, *[sealed(r) for r in flat]]), 5)
    assert (result.rows, result.first) == (2, False)
    assert all(np.isfinite(result.rho))


@pytest.mark.parametrize(("rows", "n"), [(1, 40), (2, 9)])
def test_one_row_or_few_images_say_nothing_of_what_is_hard_for_all(rows, n):
    assert hard_images.agreement(only(grid(("unet", "resunet")[:rows], n=n)), 5) is None


def without(records, architecture, seed, folds):
    """The records less some folds of one training seed."""
    gone = {(architecture, seed, fold) for fold in folds}
    return [r for r in records if tuple(r["cell"][k] for k in ("architecture", "seed", "fold")) not in gone]


def test_records_of_a_row_are_those_of_its_network_and_complete_seeds():
    variant = [sealed({**r, "cell": {**r["cell"], "recipe": "reference:x"}}) for r in grid(("unet",), n=25)]
    records = [*without(grid(("unet", "r2unet"), n=25, seeds=(0, 1)), "unet", 1, [3]), *variant]
    leaderboard = only([*records, record("unet", 0, seed=2, n=25, status="oom")])
    whole = {row.name: {c.name for c in leaderboard.cells_of(row)} for row in leaderboard.rows}
    assert {name: len(result) for name, result in whole.items()} == {"unet": 5, "unet (x)": 5, "r2unet": 10}
    assert whole["unet"] == {f"unet.phantom.f{fold}.s0" for fold in range(5)}
    assert whole["unet (x)"] == {f"unet~x.phantom.f{fold}.s0" for fold in range(5)}


def test_unequal_seeds_are_ranked_by_their_complete_seeds():
    full = grid(("unet", "resunet"), seeds=(0, 1, 2), folds=3, n=60)
    leaderboard = only(without(full, "unet", 2, (0, 1, 2)))
    seeds = {r.name: (r.seeds, bool(r.rank)) for r in leaderboard.rows}
    assert seeds == {"unet": ((0, 1), True), "resunet": ((0, 1, 2), True)}
    assert sorted(leaderboard.pairs[0].seeds) == [2, 3]
    assert not leaderboard.pairs[0].generalises_over_seeds


def test_an_unfinished_seed_moves_no_number():
    two = grid(("unet", "resunet"), seeds=(0, 1), folds=3, n=60)
    more = [*two, *(r for r in grid(("unet",), seeds=(2,), folds=3, n=60, level=0.8) if r["cell"]["fold"] == 0)]
    before, after = only(two), only(more)
    assert [r.dice for r in before.rows] == [r.dice for r in after.rows]
    assert before.pairs == after.pairs
    assert {r.name: r.left_out for r in after.rows} == {"unet": (2,), "resunet": ()}


def timed(records, reached, cpu=0.5, known=True):
    """The records with a validation Dice of 0.96 from epoch ``reached(fold)`` on, 2 s each of the clock."""
    result = []
    for r in records:
        n, at = len(r["history"]["loss"]), reached(r["cell"]["fold"])
        curves = {**r["history"], "val_hard_dice": [0.96 if i >= at else 0.5 for i in range(n)]}
        spent = r["timing"] | ({"train_cpu_seconds": cpu * n} if known else {})
        curves |= {"cpu_seconds": [cpu] * n} if known else {}
        result.append(sealed({**r, "history": curves, "timing": spent}))
    return result


@pytest.mark.parametrize("known", [True, False])
def test_time_to_a_dice_is_the_median_training_s_until_the_epoch_that_first_reached_it(known):
    records = timed(grid(("unet",)), lambda fold: 3 + fold, known=known)
    (leaderboard,) = leaderboards(records)
    (row,) = leaderboard.rows
    assert leaderboard.processor_time == known
    assert row.seconds_to[0.95] == (3 + 2 + 1) * (0.5 if known else 2.0)  # of folds 0 to 4 the middle one
    assert math.isinf(row.seconds_to[0.97])


def test_what_compiling_took_is_no_time_to_a_dice():
    slow = copy.deepcopy(timed(grid(("unet",)), lambda fold: 4))
    for r in slow:
        r["history"]["cpu_seconds"][0] = 90.0
    fast, compiled = (only([sealed(r) for r in records]).rows[0].seconds_to for records in
                      (timed(grid(("unet",)), lambda fold: 4), slow))  # fmt: skip
    assert compiled == fast


@pytest.mark.parametrize(("folds", "never"), [(2, False), (3, True)])
def test_a_training_that_never_reached_it_counts_as_the_longest(tmp_path, folds, never):
    text = flat(page(tmp_path, timed(grid(("unet",)), lambda fold: 1000 if fold < folds else 5)))
    assert (" never |" in text) == never
    assert ("(never: half of the trainings or more did not)" in text) == never
    assert "processor time of one fold and seed, and until the validation Dice reached 0.95" in text


def test_the_processor_of_the_times_is_named_and_times_of_others_are_marked(tmp_path):
    def on(cpu, architecture):
        return [
            sealed({**r, "machine": r["machine"] | {"cpu": cpu}}) for r in timed(grid((architecture,)), lambda _: 4)
        ]

    old = [*on("Old (avx2)", "unet"), *on("Old (avx2)", "r2unet")]
    text = flat(page(tmp_path, old))
    assert "validation Dice reached 0.95; on Old (avx2). Images/s" in text
    assert "†" not in text
    text = page(tmp_path, [*old, *on("New (avx512f)", "resunet")])
    assert "; on Old (avx2) († on New (avx512f): not comparable). Images/s" in flat(text)
    assert [line.split("|")[1].strip() for line in text.splitlines() if "†" in line and line[0] == "|"] == ["ResUNet"]
    assert "on Old" not in flat(page(tmp_path, grid(("unet",))))  # times of the clock


def test_time_to_a_dice_of_records_without_its_curve_is_not_told(tmp_path):
    (leaderboard,) = leaderboards(grid(("unet",)))
    assert not leaderboard.rows[0].seconds_to
    assert not leaderboard.processor_time
    assert "Training: time of one fold and seed. Images/s" in flat(page(tmp_path, grid(("unet",))))


@pytest.mark.parametrize("change", [{"device_kind": "h200"}, {"threads": 2}])
def test_beside_an_accelerator_or_over_several_cores_the_clock_tells_the_time(change):
    records = [sealed({**r, "machine": r["machine"] | change}) for r in timed(grid(("unet",)), lambda fold: 4)]
    (leaderboard,) = leaderboards(records)
    assert not leaderboard.processor_time
    assert leaderboard.rows[0].train_seconds == 140.0
    assert leaderboard.rows[0].seconds_to[0.95] == 10.0


def test_an_ensemble_that_tells_no_processor_time_leaves_the_trainings_theirs(tmp_path):
    records = timed(grid(("unet",), seeds=(0, 1)), lambda fold: 4)
    members = ensembles(records, "unet")
    for r in members:
        r["timing"].pop("train_cpu_seconds", None)
    leaderboard = only([*records, *map(sealed, members)])
    rows = {row.name: row for row in leaderboard.rows}
    assert leaderboard.processor_time
    assert rows["unet"].train_seconds == 0.5 * 44
    assert math.isnan(rows["unet+seeds"].train_seconds)
    assert not rows["unet+seeds"].seconds_to
    assert "nan" not in page(tmp_path, [*records, *map(sealed, members)]).lower()


def test_one_record_that_tells_no_processor_time_leaves_the_clock_to_all():
    first, *rest = timed(grid(("unet",)), lambda fold: 4)
    (leaderboard,) = leaderboards([first, *rest])
    assert leaderboard.rows[0].train_seconds == 0.5 * 44  # of 50, 47, 44, 41 and 38 epochs
    spent = {k: v for k, v in first["timing"].items() if k != "train_cpu_seconds"}
    (leaderboard,) = leaderboards([sealed({**first, "timing": spent}), *rest])
    assert leaderboard.rows[0].train_seconds == 140.0
