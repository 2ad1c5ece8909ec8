"""Corruptions do what they say, their cost is counted by patient, and the table comes from kept weights alone."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import two_seeds
from records import parsed, record

from bench import suites
from bench.__main__ import main
from bench.pages import robustness_page
from bench.records import store
from bench.records.results import Results
from bench.robustness import corruptions, measurement, probe
from bench.robustness.corruptions import CLEAN, CORRUPTIONS, KEYS, corrupted
from bench.robustness.measurement import Network
from bench.running import trained
from lungseg.datasets import phantom
from lungseg.errors import DataError, UsageError
from lungseg.provenance import ROOT

SIZE = (96, 80)


@pytest.fixture(scope="module")
def chest():
    drawn = phantom.thorax(3, SIZE)
    return drawn.image.astype(np.float32), drawn.left | drawn.right


# -- corruptions -----------------------------------------------------------------------------------------------------


def test_there_are_seven_of_three_strengths_each():
    assert set(CORRUPTIONS) == {"contrast", "gamma", "rotation", "inversion", "crop", "noise", "blur"}
    assert len(KEYS) == len(set(KEYS)) == 1 + 7 * 3


@pytest.mark.parametrize("key", KEYS)
def test_what_comes_out_is_an_image_and_a_mask_and_depends_on_the_name_alone(key, chest):
    before = [part.copy() for part in chest]
    image, mask = corrupted(*chest, key, "a")
    again = corrupted(*chest, key, "a")
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == (SIZE, np.float32, SIZE, np.bool_)
    assert 0 <= image.min() <= image.max() <= 1
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(mask, again[1])
    for part, old in zip(chest, before, strict=True):
        np.testing.assert_array_equal(part, old, err_msg="the prepared image itself was changed")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_strength_changes_more(name, chest):
    keys = [corruptions.key_of(name, strength) for strength in CORRUPTIONS[name].strengths]
    changed = [np.mean([np.abs(corrupted(*chest, key, n)[0] - chest[0]).mean() for n in "abcdefgh"]) for key in keys]
    assert 0 < changed[0] < changed[1] < changed[2]


@pytest.mark.parametrize("key", [key for key in KEYS if key.split()[0] in ("rotation", "crop")])
def test_the_mask_moves_with_the_image(key, chest):
    """A network that sees the mask itself loses nothing, wherever it moves."""
    mask = chest[1]
    for name in "abcd":
        image, moved = corrupted(mask.astype(np.float32), mask, key, name)
        np.testing.assert_array_equal(image >= 0.5, moved)
        assert (moved != mask).any()


@pytest.mark.parametrize("key", [key for key in KEYS if key.split()[0] not in ("rotation", "crop")])
def test_the_mask_stays_where_the_image_does(key, chest):
    np.testing.assert_array_equal(corrupted(*chest, key, "a")[1], chest[1])


@pytest.mark.parametrize("share", [0.75, 0.5, 0.25])
def test_contrast_keeps_the_mean_and_that_share_of_the_spread(share, chest):
    image = 0.3 + 0.4 * chest[0]  # so that nothing is cut off
    spoiled, _ = corrupted(image, chest[1], f"contrast {share:g}", "a")
    assert spoiled.mean() == pytest.approx(image.mean(), abs=1e-5)
    assert spoiled.std() == pytest.approx(share * image.std(), rel=1e-4)


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_gamma_is_the_power_or_its_inverse(power):
    image = np.full((8, 8), 0.25, np.float32)
    result = {round(float(corrupted(image, image > 1, f"gamma {power:g}", str(n))[0][0, 0]), 5) for n in range(20)}
    assert result == {round(0.25**power, 5), round(0.25 ** (1 / power), 5)}


def test_inversion_from_nought_is_of_the_whole_image(chest):
    np.testing.assert_allclose(corrupted(*chest, "inversion 0", "a")[0], 1 - chest[0], atol=1e-6)
    half, _ = corrupted(*chest, "inversion 0.5", "a")
    np.testing.assert_array_equal(half[chest[0] < 0.5], chest[0][chest[0] < 0.5])
    assert half.max() <= 0.5


@pytest.mark.parametrize("degrees", [5, 10, 20])
def test_rotation_turns_a_point_by_its_degrees_either_way(degrees):
    spot = np.zeros((101, 101), np.float32)
    spot[48:53, 88:93] = 1  # 40 pixels to the right of the middle
    turns = set()
    for n in range(12):
        moved, _ = corrupted(spot, spot > 0.5, f"rotation {degrees}", str(n))
        row, column = (np.average(grid, weights=moved) - 50 for grid in np.indices(moved.shape))
        turns.add(round(np.degrees(np.arctan2(-row, column))))
    assert turns == {degrees, -degrees}


@pytest.mark.parametrize("share", [0.95, 0.9, 0.8])
def test_crop_enlarges_and_shows_nothing_from_outside(share):
    rows, columns = np.indices((120, 120))
    disc = (rows - 59.5) ** 2 + (columns - 59.5) ** 2 < 30**2
    for n in "abcdef":
        image, mask = corrupted(np.ones((120, 120), np.float32), disc, f"crop {share:g}", n)
        assert image.min() > 0.999, "black enters from outside"
        assert mask.sum() == pytest.approx(disc.sum() / share**2, rel=0.02)
    middles = {tuple(np.argwhere(corrupted(image, disc, f"crop {share:g}", n)[1]).mean(axis=0)) for n in "abcdef"}
    assert len(middles) == 6, "the window lies elsewhere in each image"


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.1])
def test_noise_has_its_spread_and_is_another_in_each_image(spread):
    grey = np.full((200, 200), 0.5, np.float32)
    one, other = (corrupted(grey, grey > 1, f"noise {spread:g}", n)[0] - 0.5 for n in "ab")
    assert one.std() == pytest.approx(spread, rel=0.02)
    assert abs(one.mean()) < spread / 50
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("share", [0.005, 0.01, 0.02])
def test_blur_is_as_wide_as_it_says(share):
    spot = np.zeros((400, 300), np.float32)
    spot[200, 150] = 1
    blurred = corrupted(spot, spot > 2, f"blur {share:g}", "a")[0].astype(float)
    assert blurred.sum() == pytest.approx(1, abs=1e-3)
    spread = np.sqrt((blurred * (np.indices(spot.shape)[0] - 200) ** 2).sum())
    assert spread == pytest.approx(share * 400, rel=0.02)


# -- what a corruption costs -----------------------------------------------------------------------------------------


def made_up(clean, spoiled, patients, name="unet", **about):
    """A network whose every corruption gives the same: clean, spoiled of (seeds, images)."""
    images = tuple(f"i{k}" for k in range(len(patients)))
    dice = {
        seed: {key: tuple(line if key == CLEAN else other) for key in KEYS}
        for seed, (line, other) in enumerate(zip(clean, spoiled, strict=True))
    }
    known = {"size": [64, 64], "test_set": "montgomery", "protocol": 2, "trainings": {}, "clean_differs": 0.0, **about}
    return Network(name, "tensorflow-cpu-float32", images, tuple(patients), dice, known)


def test_loss_is_the_mean_over_patients_of_paired_differences():
    """Patient p has three images, each of which counts a third; both seeds count alike."""
    result = made_up([[0.9, 0.9, 0.9, 0.8], [1.0, 1.0, 1.0, 0.8]], [[0.9, 0.6, 0.6, 0.8], [1.0, 1.0, 1.0, 0.4]], "pppq")
    lost = result.lost("blur 0.01")
    assert result.clean().value == pytest.approx((0.95 + 0.8) / 2)
    assert lost.value == pytest.approx((0.1 + 0.2) / 2)
    assert np.isnan([lost.low, lost.high]).all(), "two patients allow no interval"
    assert "0.150\u00a0[-] |" in robustness_page.losses([result])


def test_the_interval_covers_patients_and_not_images():
    rng = np.random.default_rng(0)
    losses = rng.normal(0.1, 0.02, 40)
    clean = np.full(40, 0.9)
    once = made_up([clean], [clean - losses], [f"p{k}" for k in range(40)]).lost("crop 0.9")
    twice = made_up(
        [np.repeat(clean, 2)], [np.repeat(clean - losses, 2)], [f"p{k // 2}" for k in range(80)]
    ).lost("crop 0.9")  # fmt: skip
    half = 2.02 * losses.std(ddof=1) / np.sqrt(40)  # Student's t with 39 degrees of freedom
    assert (once.low, once.high) == pytest.approx((losses.mean() - half, losses.mean() + half), abs=0.0008)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=0.0008), "copies tell nothing new"


def test_a_table_is_read_back_as_it_was_written(tmp_path):
    network = made_up([[0.9, 0.8]], [[0.7, 0.6]], "pq", version=1, machine={"cpu": "one"})
    path = measurement.save(Results(tmp_path), "quick", [network])
    assert measurement.load(Results(tmp_path), "quick") == [network]
    assert measurement.load(Results(tmp_path), "smoke") == []
    assert path == tmp_path / "robustness" / "quick.json"


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.7", "0.99"), ('"schema": 2', '"schema": 7'), ("0.7", "NaN"), ('"pq"', '"pq'), ('"images"', '"pictures"')],
)
def test_a_table_that_is_not_as_it_was_written_is_refused_and_hides_no_other_page(old, new, tmp_path):
    path = measurement.save(Results(tmp_path), "quick", [made_up([[0.9]], [[0.7]], ["pq"])])
    measurement.save(Results(tmp_path), "smoke", [made_up([[0.9]], [[0.7]], ["pq"])])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=r"quick\.json: .*delete it and run"):
        measurement.load(Results(tmp_path), "quick")
    assert main(["report", "--results", str(tmp_path), "--no-figures"]) == 0
    assert "**Unreadable**: quick.json" in (tmp_path / "robustness" / "quick.md").read_text()
    assert "0.200\u00a0[-]" in (tmp_path / "robustness" / "smoke.md").read_text()


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body["networks"][0]["dice"]["0"].pop("blur 0.01"),
        lambda body: body["networks"][0]["dice"]["0"]["blur 0.01"].append(0.5),
        lambda body: body["networks"][0]["dice"]["0"].update({"blur 0.01": [1.5]}),
        lambda body: body["networks"][0]["dice"].clear(),
        lambda body: body["networks"][0].update(patients=[]),
        lambda body: body.update(networks=7),
    ],
)
def test_a_sealed_table_of_other_content_is_refused(edit, tmp_path):
    path = measurement.save(Results(tmp_path), "quick", [made_up([[0.9]], [[0.7]], ["p"])])
    body = json.loads(path.read_text())
    edit(body)
    path.write_text(json.dumps(store.sealed(body)))
    with pytest.raises(DataError, match=r"quick\.json: not a table of corruptions"):
        measurement.load(Results(tmp_path), "quick")


def test_names_in_a_table_are_shown_and_not_obeyed(tmp_path):
    evil = made_up([[0.9]], [[0.7]], ["p"], name="[x](javascript:y)\n# big", test_set="<b>", machine={"cpu": "|a|"})
    measurement.save(Results(tmp_path), "quick", [evil])
    (page,) = robustness_page.write(Results(tmp_path))
    text = page.read_text()
    assert "\n# big" not in text
    assert "[x](" not in text
    assert "<b>" not in text
    assert r"\|a\|" in text


def spoilt(name, lost, patients=12, seed=0, **about):
    """A network that loses ``lost`` Dice under every corruption, a little more or less of each patient."""
    clean = np.full(patients, 0.9)
    noise = np.random.default_rng(seed).normal(0, 0.004, patients)
    return made_up([clean], [clean - lost - noise], [f"p{k:02}" for k in range(patients)], name, **about)


def test_what_a_network_loses_more_is_paired_by_patient():
    """Patients differ by far more than the networks do, yet both find the same ones hard."""
    rng = np.random.default_rng(1)
    hard = rng.normal(0.2, 0.1, 40).clip(0, 0.5)
    more = rng.normal(0.01, 0.01, 40)
    clean, patients = np.full(40, 0.9), [f"p{k}" for k in range(40)]
    best, other = (made_up([clean], [clean - hard - extra], patients) for extra in (0 * more, more))
    result = other.loses_more(best)
    half = 2.02 * more.std(ddof=1) / np.sqrt(40)
    assert result.value == pytest.approx(more.mean())
    assert (result.low, result.high) == pytest.approx((more.mean() - half, more.mean() + half), abs=0.0005)
    assert best.lost_overall().low < other.lost_overall().value < best.lost_overall().high, "apart they overlap"
    with pytest.raises(ValueError, match="different images"):
        other.loses_more(spoilt("unet", 0.1))


def test_the_page_answers_first_and_says_how_the_networks_were_trained(tmp_path):
    networks = [spoilt("unetpp", 0.3, seed=1, recipe="reference"), spoilt("unet", 0.1, seed=2, recipe="reference")]
    worse = {key: tuple(0.9 - 0.6 for _ in line) for key, line in networks[0].dice[0].items() if key == "gamma 2"}
    networks[0].dice[0].update(worse)
    path = measurement.save(Results(tmp_path), "montgomery-64", networks)
    text = robustness_page.page(path).replace("\u00a0", " ")
    head = " ".join(text.partition("| Network")[0].split())
    assert "**Which network loses least?** U-Net loses 0.1" in head
    assert "Every other network loses more on the same patients" in head
    assert "With 1 seed this is a result about these trained weights" in head
    assert "Networks differ most under gamma 2: U-Net loses 0.1" in head
    assert "UNet++ 0.600" in head
    assert "**without augmentation**" in head
    assert "1 seed of the suite's 3" in head
    assert "unetpp" not in text
    assert "inversion 0.5" not in text, "the field calls it solarize"
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith(("| sol", "| inv"))]
    assert rows == ["solarize 0.75", "solarize 0.5", "inversion"]
    augmented = [spoilt("unet", 0.1, recipe="strong")]
    text = robustness_page.page(measurement.save(Results(tmp_path), "montgomery-64", augmented))
    assert "without augmentation" not in text


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([0.1], "No other network is shown to lose more"),
        ([0.1, 0.3], "Only network1 is shown to lose more"),
        ([0.3, 0.4], "Every other network loses more"),
    ],
)
def test_no_network_is_called_worse_unless_its_paired_interval_leaves_out_zero(others, said, tmp_path):
    networks = [spoilt("best", 0.1, seed=7)]
    networks += [spoilt(f"network{k}", lost + 0.0005, seed=8 + k) for k, lost in enumerate(others)]
    text = " ".join(robustness_page.page(measurement.save(Results(tmp_path), "s", networks)).split())
    assert said in text


def test_networks_of_the_same_images_stand_together_whatever_their_names(tmp_path):
    """r2unet, resunet, unet: by name the one of other images stands between the two that can be compared."""
    networks = [spoilt("r2unet", 0.1), spoilt("resunet", 0.1, patients=11), spoilt("unet", 0.3)]
    text = robustness_page.page(measurement.save(Results(tmp_path), "s", networks))
    heads = [line.rpartition(", ")[2] for line in text.splitlines() if line.startswith("## ") and "float32" in line]
    assert sorted(heads) == ["11 images", "12 images"]
    assert [line.count("Net") for line in text.splitlines() if line.startswith("| Corruption")] == [1, 2]


def test_no_nought_has_a_sign_and_one_network_is_not_every_network(tmp_path):
    """A gain of 0.00001 is no loss, and rounds to nought."""
    clean, patients = np.full(12, 0.9), [f"p{k:02}" for k in range(12)]
    networks = [made_up([clean], [clean + gain], patients, name) for name, gain in (("unet", 2e-5), ("resunet", 1e-5))]
    text = robustness_page.page(measurement.save(Results(tmp_path), "s", networks))
    assert "-0.000" not in text
    text = robustness_page.page(measurement.save(Results(tmp_path), "s", networks[:1]))
    assert "every network" not in text
    assert " costs most (0.000 Dice)" in " ".join(text.split())


def test_more_networks_than_fit_stand_in_tables_below_each_other(tmp_path):
    networks = [spoilt(f"network{k}", 0.1) for k in range(6)]
    text = robustness_page.page(measurement.save(Results(tmp_path), "s", networks))
    heads = [line for line in text.splitlines() if line.startswith("| Corruption")]
    assert [line.count("network") for line in heads] == [4, 2]


# -- a tiny suite for real -------------------------------------------------------------------------------------------

SUITE = replace(two_seeds.SUITE, seeds=(0,))


@pytest.fixture(scope="module")
def made(faulty, tmp_path_factory):
    folder = two_seeds.trained(tmp_path_factory, without="*.s1*")
    with two_seeds.known(SUITE):
        assert main(["robustness", SUITE.name, "--results", str(folder)]) == 0
        yield folder


def test_without_corruption_the_kept_weights_give_the_records_scores(made):
    (network,) = measurement.load(Results(made), SUITE.name)
    stored = {case.id: case.dice for record in Results(made).all() for case in record.cases}
    assert dict(zip(network.images, network.dice[0][CLEAN], strict=True)) == pytest.approx(stored, abs=1e-6)
    assert network.about["clean_differs"] == 0
    weights = {record.name: record.weights_sha256 for record in Results(made).all()}
    assert {cell: each["weights_sha256"] for cell, each in network.about["trainings"].items()} == weights
    assert (made / "robustness" / f"{SUITE.name}.md").exists()


def test_the_same_command_again_measures_nothing(made, monkeypatch, capsys):
    path = Results(made).robustness(SUITE.name)
    before = path.read_bytes()
    monkeypatch.setattr(probe, "_measured", lambda *_: pytest.fail("nothing is to be measured"))
    assert main(["robustness", SUITE.name, "--results", str(made)]) == 0
    assert "tiny: already measured with these weights, kept" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_report_makes_the_same_page_without_a_backend(made):
    page = made / "robustness" / f"{SUITE.name}.md"
    before = page.read_text()
    page.unlink()
    code = (
        "import sys\nfrom bench.pages import robustness_page\nfrom bench.records.results import Results\n"
        "from pathlib import Path\n"
        f"robustness_page.write(Results(Path({str(made)!r})))\n"
        "print([m for m in ('keras', 'tensorflow', 'jax') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
    tables = page.read_text().partition("| Network")[2]  # above, it cannot describe the recipe that is made here
    assert tables == before.partition("| Network")[2] != ""
    assert main(["report", "--results", str(made), "--no-figures"]) == 0
    assert page.read_text() == before
    assert f"(robustness/{SUITE.name}.md)" in (made / "README.md").read_text()


def test_published_results_hold_the_table(made, tmp_path):
    assert main(["publish", SUITE.name, "--results", str(made), "--to", str(tmp_path)]) == 0
    assert measurement.load(Results(tmp_path), SUITE.name) == measurement.load(Results(made), SUITE.name)
    assert (tmp_path / "robustness" / f"{SUITE.name}.md").exists()


def test_weights_that_are_not_there_are_named_with_the_command_that_trains_them(made, capsys):
    path = Results(made).artifact(suites.cells(SUITE)[0], "weights.npz")
    kept = path.read_bytes()
    path.unlink()
    try:
        assert main(["robustness", SUITE.name, "--results", str(made)]) == 3
    finally:
        path.write_bytes(kept)
    details = capsys.readouterr().err
    assert "tiny.phantom.f0.s0/weights.npz: no such file" in details
    assert f"tiny.phantom.f0.s0.json and run suite {SUITE.name} again" in details


def test_weights_of_another_training_are_refused(made, capsys):
    mine, other = (Results(made).artifact(cell, "weights.npz") for cell in suites.cells(SUITE))
    kept, path = mine.read_bytes(), Results(made).robustness(SUITE.name)
    table = path.read_bytes()
    mine.write_bytes(other.read_bytes())
    path.unlink()
    try:
        assert main(["robustness", SUITE.name, "--results", str(made)]) == 3
    finally:
        mine.write_bytes(kept)
        path.write_bytes(table)
    assert "the hash of the weights is not the one in their record" in capsys.readouterr().err


def test_seeds_that_scored_different_images_are_refused_before_any_prediction(monkeypatch, tmp_path):
    """Suite smoke takes one fold of each seed's own split."""
    scored = parsed([record("unet", 0, seed=0), record("unet", 1, seed=1)])
    monkeypatch.setattr(
        trained, "records", lambda cells, *_: ({c.id: r for c, r in zip(cells, scored, strict=True)}, [])
    )
    monkeypatch.setattr(probe.data, "load_suite_data", lambda *_: None)
    smoke = suites.select(suites.suite("smoke"), architectures="unet")
    with pytest.raises(UsageError, match=r"unet: its seeds scored different images, .* --seeds 1"):
        probe.measure(smoke, tmp_path, Results(tmp_path), 2, print)


def test_a_suite_that_was_not_trained_names_the_command(tmp_path, capsys):
    assert main(["robustness", "smoke", "--arch", "unet", "--results", str(tmp_path)]) == 3
    assert "run `python -m bench run smoke --arch unet --seeds 1`" in capsys.readouterr().err
