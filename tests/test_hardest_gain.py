"""What the hardest images gain from a change: chosen by networks that take no part in it, on those images alone."""

import re
from dataclasses import replace
from statistics import fmean

import pytest
from records import agreeing, counted, ensembles, grid, leaderboards, save, sealed

from bench.pages.hard_cases import hardest_page
from bench.pages.report import write
from bench.records.results import Results
from bench.statistics.hard_images import HARDEST
from bench.statistics.related import TTA_CHANGE
from bench.statistics.rows import HardestGain

OTHERS = ("resunet", "r2unet", "lwnet")


def trained(architectures, recipe="strong", **more):
    """Records of one suite's table, under a recipe or a variant of it."""
    settings = {"recipe": {"name": recipe, "epochs": 150, "batch_size": 16}}
    return [
        agreeing({**r, "inputs": settings, "cell": {**r["cell"], "recipe": recipe}})
        for r in grid(architectures, n=60, **more)
    ]


def mean_dice(records, images):
    """Mean over patients, by hand."""
    of_patient = {}
    for case in (case for r in records for case in r["cases"] if case["id"] in images):
        of_patient.setdefault(case["patient"], []).append(case["dice"])
    return fmean(map(fmean, of_patient.values()))


def lowest(records):
    """The images of lowest Dice over these records, by hand."""
    scores = {}
    for case in (case for r in records for case in r["cases"]):
        scores.setdefault(case["id"], []).append(case["dice"])
    return set(sorted(scores, key=lambda image: fmean(scores[image]))[:HARDEST])


def spoiled(records, image):
    """The records with another prediction of one image, of which nearly nothing is right."""
    for r in records:
        for case in r["cases"]:
            if case["id"] == image:
                counted(case, 1, 50, case["target_pixels"] - 1)
    return [agreeing(r) for r in records]


def gains(records, suite="fake") -> tuple[HardestGain, ...]:
    (result,) = (s for s in leaderboards(records) if s.conditions.suite == suite)
    return result.hardest_gains


def test_a_variant_is_measured_on_the_images_that_other_networks_find_hardest():
    base, changed, others = trained(("unet",)), trained(("unet",), "strong:hflip", level=0.985), trained(OTHERS)
    (gain,) = gains([*base, *changed, *others])
    hard = lowest(others)
    rest = {case["id"] for r in base for case in r["cases"]} - hard
    assert (gain.base, gain.change, gain.n) == ("unet", "hflip", HARDEST)
    assert gain.base_dice == pytest.approx(mean_dice(base, hard))
    assert gain.pair.difference.value == pytest.approx(mean_dice(changed, hard) - mean_dice(base, hard))
    assert gain.rest.value == pytest.approx(mean_dice(changed, rest) - mean_dice(base, rest))
    assert gain.rest.low < gain.rest.value < gain.rest.high


def test_a_network_s_own_worst_image_is_not_among_them():
    """It would be segmented better by any other training: regression to the mean."""
    base, changed, others = trained(("unet",)), trained(("unet",), "strong:hflip"), trained(OTHERS)
    easiest = max((case for r in others for case in r["cases"]), key=lambda case: case["dice"])["id"]
    (before,) = gains([*base, *changed, *others])
    (after,) = gains([*spoiled(base, easiest), *changed, *others])
    assert after.pair.difference == before.pair.difference
    assert after.rest.value > before.rest.value


def test_fewer_than_three_other_architectures_do_not_say_what_is_hard():
    own = [*trained(("unet",)), *trained(("unet",), "strong:hflip")]
    assert gains([*own, *trained(OTHERS[:2])]) == ()
    assert len(gains([*own, *trained(OTHERS)])) == 1


def test_networks_of_another_suite_say_it_too_unless_they_trained_on_other_images():
    own = [*trained(("unet",)), *trained(("unet",), "strong:hflip")]
    assert len(gains([*own, *trained(OTHERS, suite="elsewhere")])) == 1
    foreign = [
        sealed({**r, "cell": {**r["cell"], "train_set": "shenzhen"}}) for r in trained(OTHERS, suite="elsewhere")
    ]
    assert gains([*own, *foreign]) == ()


def test_test_time_augmentation_and_more_training_images_are_changes_too():
    base, others = trained(("unet",)), trained(OTHERS)
    tta = ensembles(base, "unet", "+tta", transforms=7)
    (gain,) = gains([*base, *tta, *others])
    assert (gain.base, gain.change) == ("unet", TTA_CHANGE)
    assert gain.pair.difference.value > 0
    more = [
        sealed({
            **r,
            "cell": {**r["cell"], "train_set": "phantom+shenzhen"},
            "split": {**r["split"], "train": [*r["split"]["train"], *(f"CHNCXR_{k:04}_0" for k in range(90))]},
        })
        for r in trained(("unet",), suite="both", level=0.99)
    ]  # fmt: skip
    (gain,) = gains([*base, *more, *others], "both")
    assert (gain.base, gain.change) == ("unet", "with Shenzhen")
    assert gain.base_dice == pytest.approx(mean_dice(base, lowest(others)))


def test_verdicts_are_corrected_for_all_changes_of_the_table():
    one = trained(("unet",), "strong:hflip", level=0.98)
    records = [*trained(("unet",)), *one, *trained(OTHERS)]
    (alone,) = gains(records)
    among = next(g for g in gains([*records, *trained(("unet",), "strong:plateau")]) if g.change == "hflip")
    assert alone.pair.p_value == among.pair.p_value
    assert alone.pair.p_holm == alone.pair.p_value < among.pair.p_holm


def test_the_page_answers_and_lists_each_change():
    records = [*trained(("unet",)), *trained(("unet",), "strong:hflip", level=0.99), *trained(OTHERS)]
    (leaderboard,) = leaderboards(records)
    page = hardest_page([leaderboard])
    assert "**Of 1 change, better with: hflip (U-Net, +0.0" in page
    assert re.search(r"^\| U-Net +\| hflip +\| +0\.9", page, re.MULTILINE)
    narrow = replace(leaderboard.hardest_gains[0], base="unet (width 16, long)")
    assert "| U-Net (width 16, long) " in hardest_page([replace(leaderboard, hardest_gains=(narrow,))])
    (same,) = leaderboards([*trained(("unet",)), *trained(("unet",), "strong:hflip"), *trained(OTHERS)])
    none = "**None of 1 change is shown to improve or worsen Dice on the hardest images. 10 images are few: "
    assert none in hardest_page([same]).replace("\n", " ")
    (plain,) = leaderboards(trained(("unet", *OTHERS)))
    assert hardest_page([plain]) is None


@pytest.mark.parametrize("changed", [False, True])
def test_pages_link_it_where_there_is_one(tmp_path, changed):
    save(tmp_path, [*trained(("unet", *OTHERS)), *(trained(("unet",), "strong:hflip") if changed else [])])
    (tmp_path / "HARDEST.md").write_text("of earlier records")
    write(Results(tmp_path), figures=False)
    assert (tmp_path / "HARDEST.md").exists() == changed
    for name in ("README.md", "fake.md"):
        assert ("(HARDEST.md)" in (tmp_path / name).read_text(encoding="utf-8")) == changed
