"""Images of one patient are found by their anatomy; the committed tables are what the matcher finds on the pixels."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lungseg import load, terminal
from lungseg.__main__ import main
from lungseg.datasets import Case, montgomery, phantom, same_patient, shenzhen
from lungseg.datasets.phantom.anatomy import ASPECT, FIELD_MM
from lungseg.datasets.verify import verify
from lungseg.errors import DataError
from lungseg.images import affine, warp, write_png
from lungseg.splits import folds

RESULTS = Path(__file__).resolve().parent.parent / "results"
TABLES = {"montgomery": montgomery.SAME_PATIENT, "shenzhen": shenzhen.SAME_PATIENT}
SIZE = (384, 320)
SPACING = (FIELD_MM / SIZE[0], FIELD_MM * ASPECT / SIZE[1])


def read(path):
    return [*csv.DictReader(path.read_text().splitlines())]


def phantom_chest(seed):
    drawn = phantom.thorax(seed, SIZE)
    return drawn.image.astype(np.float32), drawn.left | drawn.right


def taken_again(image, lungs, degrees=6.0, scale=1.06):
    """The same chest on another film: turned, larger, moved, of another exposure and grain."""
    way = affine(image.shape, degrees, scale, (0.02, -0.03), hflip=False)
    grain = np.random.default_rng(0).normal(0, 0.005, image.shape).astype(np.float32)
    return np.clip(0.9 * warp(image, way, sharp=True) ** 0.8 + grain, 0, 1), warp(lungs.astype(np.float32), way) >= 0.5


def marbled_chest(seed):
    """Two lungs with a texture of their own, alike in nothing else: float32 and bool of SIZE."""
    noise = np.random.default_rng(seed).random(SIZE, np.float32)
    veins = sum(cv2.GaussianBlur(noise, (0, 0), spread) * spread for spread in (2.0, 4.0))
    veins = (veins - veins.min()) / (veins.max() - veins.min())
    rows, columns = np.indices(SIZE)
    lungs = np.zeros(SIZE, bool)
    for middle in (90, 230):
        lungs |= ((rows - 190) / 140) ** 2 + ((columns - middle) / 60) ** 2 < 1
    return (0.2 + 0.6 * veins).astype(np.float32), lungs


def inliers(one, other, spacing=SPACING, least=same_patient.POSSIBLE):
    result = same_patient.agreement(*(same_patient.landmarks(*chest, spacing) for chest in (one, other)), least)
    return result.inliers if result else 0


# -- what agrees, and what does not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chest", [phantom_chest, marbled_chest])
def test_a_chest_is_found_again_on_another_film(chest):
    once = chest(0)
    marks = [same_patient.landmarks(*each, SPACING) for each in (once, taken_again(*once))]
    result = same_patient.agreement(*marks)
    assert result.inliers > 5 * same_patient.CERTAIN
    assert result.scale == pytest.approx(1.06, abs=0.01)
    assert result.degrees == pytest.approx(-6, abs=0.5), "against the clock, and rows run downwards"


@pytest.mark.parametrize("chest", [phantom_chest, marbled_chest])
def test_two_chests_are_two(chest):
    assert inliers(chest(0), chest(1)) < same_patient.CERTAIN


def test_a_mirrored_chest_is_another():
    image, lungs = marbled_chest(0)
    assert inliers((image, lungs), (image[:, ::-1].copy(), lungs[:, ::-1].copy())) == 0


@pytest.mark.parametrize(("degrees", "scale"), [(25, 1.0), (0, 1.4)])
def test_no_film_of_one_patient_is_turned_or_enlarged_so_far(degrees, scale):
    once = marbled_chest(0)
    assert inliers(once, taken_again(*once, degrees, scale)) == 0


def test_a_match_of_another_size_direction_or_place_is_not_two_component():
    """The same descriptors lie so close only if size, direction and place do; each is spoiled in turn."""
    marks = same_patient.landmarks(*marbled_chest(0), SPACING).strongest(100)
    assert same_patient.agreement(marks, marks).matches == 100
    other = {"sizes": marks.sizes * 2, "directions": (marks.directions + 90) % 360, "points": marks.points + 80}
    for name, values in other.items():
        assert same_patient.agreement(marks, replace(marks, **{name: values})) is None, name


def test_unknown_spacing_is_made_up_for_by_the_size_of_the_lungs():
    image, lungs = marbled_chest(0)
    smaller = cv2.resize(image, (240, 288), interpolation=cv2.INTER_AREA)
    its = cv2.resize(lungs.astype(np.float32), (240, 288)) >= 0.5
    result = same_patient.agreement(*(same_patient.landmarks(*c, None) for c in ((image, lungs), (smaller, its))))
    assert result.scale == pytest.approx(1, abs=0.01)
    assert result.inliers > same_patient.CERTAIN


def test_pixels_that_are_not_square_are_made_so():
    image, lungs = marbled_chest(0)
    squashed = cv2.resize(image, (320, 192), interpolation=cv2.INTER_AREA)
    its = cv2.resize(lungs.astype(np.float32), (320, 192)) >= 0.5
    marks = same_patient.landmarks(image, lungs, (0.7, 0.7)), same_patient.landmarks(squashed, its, (1.4, 0.7))
    assert same_patient.agreement(*marks).inliers > same_patient.CERTAIN


def test_an_image_without_lungs_agrees_with_none():
    image, lungs = marbled_chest(0)
    nothing = same_patient.landmarks(image, np.zeros_like(lungs), None)
    assert len(nothing.points) == 0
    assert same_patient.agreement(nothing, same_patient.landmarks(image, lungs, SPACING)) is None


def test_matches_are_those_of_exhaustive_search():
    """Mutual nearest neighbours with Lowe's ratio, by whole numbers and sorting."""
    one, other = (
        same_patient.landmarks(*marbled_chest(0), SPACING),
        same_patient.landmarks(*phantom_chest(0), SPACING),
    )
    again = same_patient.landmarks(*taken_again(*marbled_chest(0)), SPACING)
    for a, b in ((one, other), (one, again)):
        a, b = a.strongest(150), b.strongest(120)
        squares = ((a.descriptors[:, None].astype(int) - b.descriptors[None].astype(int)) ** 2).sum(axis=2)
        expected = [
            (i, int(line.argmin()))
            for i, line in enumerate(squares)
            if np.sort(line)[0] < 0.85**2 * np.sort(line)[1] and squares[:, line.argmin()].argmin() == i
        ]
        assert [*zip(*(side.tolist() for side in same_patient.matched(a, b)), strict=True)] == expected
        assert expected or b is not again


# -- a set -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of four images, of which b and d are of one patient."""
    root = tmp_path_factory.mktemp("set")
    chests = {"a": marbled_chest(1), "b": marbled_chest(0), "c": marbled_chest(2), "d": taken_again(*marbled_chest(0))}
    for name in ("img", "mask"):
        (root / name).mkdir()
    for name, (image, lungs) in chests.items():
        write_png(root / "img" / f"{name}.png", np.rint(image * 255).astype(np.uint8))
        write_png(root / "mask" / f"{name}.png", lungs.astype(np.uint8) * np.uint8(255))
    (root / "metadata.csv").write_text("id,sex,age\na,F,30\nb,M,40\nc,,\nd,M,41\n")
    return root


def test_verify_names_images_of_one_patient_who_counts_as_two(root):
    report = verify("folder", root, same_patient=True)
    (names,) = (names for kind, names in report.warnings.items() if "one patient under two names" in kind)
    assert [name.split(" (")[0] for name in names] == ["b ~ d"]
    rows = dict(report.rows)
    assert rows["patients"] == "4"
    assert rows["patients by landmarks"] == "3, from certain pairs alone"
    assert rows["check of certain pairs"] == "sex agrees in 1 of 1, age within a year in 1 of 1"


def test_a_pair_that_the_set_gives_one_patient_is_no_warning(root, tmp_path):
    details = tmp_path / "told"
    shutil.copytree(root, details)
    (details / "metadata.csv").write_text("id,patient\na,a\nb,b\nc,c\nd,b\n")
    report = verify("folder", details, same_patient=True)
    assert [kind for kind in report.warnings if "one patient under two names" in kind] == []
    assert dict(report.rows)["pairs by landmarks"] == "1 certain, 0 possible"


def test_without_being_asked_verify_does_not_look(root):
    report = verify("folder", root)
    assert report.pairs is None
    assert "patients by landmarks" not in dict(report.rows)


def test_the_command_writes_the_pairs(root, tmp_path, capsys):
    assert main(["data", "verify", "folder", str(root), "--pairs", str(tmp_path / "new" / "pairs.csv")]) == 0
    assert "b ~ d" in capsys.readouterr().out
    (row,) = read(tmp_path / "new" / "pairs.csv")
    assert (row["id"], row["other_id"], row["verdict"], row["one_patient"]) == ("b", "d", "certain", "no")
    assert (row["sex_agrees"], row["years_apart"]) == ("yes", "1")


def test_a_name_that_a_spreadsheet_would_run_is_shielded():
    place = Path("nowhere")
    evil, plain = (Case(name, name, place, (place,)) for name in ("=1+1", "b\n,c"))
    text = same_patient.table([same_patient.Pair(evil, plain, 20, 30, 1.0, 0.0)])
    assert text.splitlines()[1:] == ['\'=1+1,"b ,c",20,30,1.000,0.0,certain,no,,']


def test_pairs_do_not_depend_on_the_order_of_cases_nor_on_what_a_set_says_of_patients(root):
    cases = load("folder", root)
    stripped = [Case(c.id, "all", c.image, c.masks, c.spacing_mm) for c in reversed(cases)]
    result, again = same_patient.find(cases), same_patient.find(stripped)
    assert [(p.one.id, p.other.id, p.inliers, p.scale) for p in result] == [
        (p.one.id, p.other.id, p.inliers, p.scale) for p in again
    ]


def test_a_file_that_cannot_be_read_is_named_and_no_pair_is_sought(root, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(root, broken)
    (broken / "img" / "a.png").write_bytes(b"")
    report = verify("folder", broken, same_patient=True)
    assert "a.png: empty file" in report.errors[0]
    assert report.pairs is None
    with pytest.raises(DataError, match="empty file"):
        same_patient.find(load("folder", broken))


def test_progress_is_told_and_ctrl_c_ends_it(root, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    details = []
    same_patient.find(load("folder", root), details.append)
    assert details[0] == "landmarks of 1 of 4 images"
    assert details[-1] == "6 of 6 pairs compared, 1 alike"

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        same_patient.find(load("folder", root), interrupt)


# -- the committed tables --------------------------------------------------------------------------------------------


def committed(name):
    return read(RESULTS / "same_patient" / f"{name}.csv")


def ids_of(name):
    """Names of all images of a set, from a committed record of a suite that scores it."""
    suite = {"montgomery": "montgomery-128", "shenzhen": "montgomery-to-shenzhen-128"}[name]
    paths = sorted((RESULTS / "runs" / suite).glob(f"*/unet.{name}.f0.s0.json"))
    return sorted(json.loads(paths[0].read_text())["data"]["target_pixels"])


@pytest.mark.fault("F39")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", TABLES)
def test_no_certain_pair_lies_in_two_folds(name, seed):
    place, groups = Path("nowhere"), TABLES[name]
    cases = [Case(key, groups.get(key, key), place, (place,), None, {"tb": int(key[-1])}) for key in ids_of(name)]
    certain = [row for row in committed(name) if int(row["inliers"]) >= same_patient.CERTAIN]
    assert certain
    for k, fold in enumerate(folds(cases, 5, seed)):
        for row in certain:
            pair = {row["id"], row["other_id"]}
            assert any(pair <= set(part) for part in (fold.train, fold.validation, fold.test)), (k, pair)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_lists_pairs_of_the_set_once_the_strongest_first(name):
    rows = committed(name)
    counts = [int(row["inliers"]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= same_patient.POSSIBLE
    assert len({(row["id"], row["other_id"]) for row in rows}) == len(rows)
    assert {row[key] for row in rows for key in ("id", "other_id")} <= set(ids_of(name))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_whom_the_loader_gives_one_patient(name):
    """So every certain pair is grouped, and the reader sees which possible ones are."""
    groups = TABLES[name]
    for row in committed(name):
        known = groups.get(row["id"], row["id"]) == groups.get(row["other_id"], row["other_id"])
        assert row["one_patient"] == ("yes" if known else "no"), row
        assert row["verdict"] == ("certain" if int(row["inliers"]) >= same_patient.CERTAIN else "possible"), row


@pytest.mark.parametrize(("name", "patients", "grouped"), [("montgomery", 127, 120), ("shenzhen", 562, 562)])
def test_the_page_counts_pairs_and_patients_as_the_table_does(name, patients, grouped):
    place, ids = Path("nowhere"), ids_of(name)
    cases = {key: Case(key, TABLES[name].get(key, key), place, (place,)) for key in ids}
    pairs = [same_patient.Pair(cases[r["id"]], cases[r["other_id"]], int(r["inliers"]), int(r["matches"]), 1.0, 0.0)
             for r in committed(name)]  # fmt: skip
    certain = sum(pair.certain for pair in pairs)
    assert same_patient.patients(cases.values(), pairs) == patients
    assert len({case.patient for case in cases.values()}) == grouped
    page = (RESULTS / "same_patient" / "README.md").read_text(encoding="utf-8")
    cells = [f"[{name}.csv]({name}.csv)", len(ids), f"{len(ids) * (len(ids) - 1) // 2:,}", certain,
             len(pairs) - certain, patients, grouped]  # fmt: skip
    assert f"| {' | '.join(map(str, cells))} |" in page


def test_images_of_one_shenzhen_patient_share_a_group(tmp_path):
    for name in ("0477_1", "0605_1", "0001_0"):
        for folder in ("img", "mask"):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_png(tmp_path / folder / f"CHNCXR_{name}.png", np.eye(8, dtype=np.uint8) * np.uint8(255))
    patient = {case.id: case.patient for case in load("shenzhen", tmp_path)}
    assert patient == {"CHNCXR_0001_0": "CHNCXR_0001_0", "CHNCXR_0477_1": "CHNCXR_0477_1",
                       "CHNCXR_0605_1": "CHNCXR_0477_1"}  # fmt: skip


def test_sex_and_age_agree_in_every_certain_pair_of_montgomery():
    certain = [row for row in committed("montgomery") if row["verdict"] == "certain"]
    assert {row["sex_agrees"] for row in certain} == {"yes"}
    assert max(int(row["years_apart"]) for row in certain) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["montgomery", "shenzhen"])
def test_the_pixels_give_the_committed_pairs_and_the_loader_groups_each_certain_one(name, request):
    """Counts may move by a few between releases of OpenCV; which pairs are certain may not. Takes half a minute for
    Montgomery and 17 times as many pairs' time for Shenzhen."""
    result = same_patient.find(load(name, request.getfixturevalue(f"real_{name}")))
    certain = [pair for pair in result if pair.certain]
    listed = {(row["id"], row["other_id"]): row for row in committed(name)}
    assert {(p.one.id, p.other.id) for p in certain} == {k for k, row in listed.items() if row["verdict"] == "certain"}
    assert all(pair.known for pair in certain)
    if name == "montgomery":  # Shenzhen has neither sex nor age
        assert all(pair.sexes_agree for pair in certain)
    assert all(
        abs(p.inliers - int(listed[k]["inliers"])) <= 3 for p in result if (k := (p.one.id, p.other.id)) in listed
    )
