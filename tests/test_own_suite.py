"""A folder of one's own as a suite: named as such in every record and page, never as a public set."""

from dataclasses import replace

import numpy as np
import pytest
from layouts import original_montgomery, source_layout
from records import grid, save

import lungseg
from bench import suites
from bench.__main__ import main
from bench.pages import report
from bench.records.results import Results
from bench.running import data
from bench.running.training import Training, from_json, to_json
from lungseg import images
from lungseg.errors import UsageError

OWN = suites.SUITES["own"]


@pytest.mark.fault("F122")
@pytest.mark.parametrize(
    ("folder", "called"),
    [
        ("hospital", "own-hospital"),
        ("Montgomery", "own-Montgomery"),
        ("St. Mary's + others", "own-St-_Mary_s_others"),
        ("Klinik Köln", "own-Klinik_K_ln"),
    ],
)
def test_its_records_bear_the_folders_name_marked_as_ones_own(tmp_path, folder, called):
    root = tmp_path / folder
    root.mkdir()
    suite = suites.called(OWN, root)
    cells = suites.cells(suite)
    assert {(cell.suite, cell.train_set, cell.test_set) for cell in cells} == {("own", called, called)}
    assert cells[0].id == f"unet.{called}.f0.s0"
    assert not set(lungseg.DATASETS) & {called, *called.split("+")}
    assert suite.sets == ("folder",)
    details = Training(cells[0], suite, root, Results(tmp_path), {})
    assert from_json(Training, to_json(details)) == details


@pytest.mark.fault("F122")
def test_a_public_suites_cells_are_called_as_ever(tmp_path):
    suite = suites.SUITES["montgomery-128"]
    assert suites.called(suite, tmp_path) == suite
    assert suites.cells(suite)[0].id == "unet.montgomery.f0.s0"


@pytest.mark.fault("F122")
@pytest.mark.parametrize("verb", ["run", "ensemble"])
def test_the_verbs_name_the_data_by_their_folder(tmp_path, monkeypatch, verb):
    source_layout(tmp_path / "hospital", "a", "b")
    (tmp_path / "results").mkdir()
    requested = []

    class Asked(Exception):
        pass

    def made(suite, *_, **__):
        requested.append(suite.called)
        raise Asked

    monkeypatch.setattr("bench.running.suite_run.train", made)
    monkeypatch.setattr("bench.running.ensemble.make", made)
    arguments = [verb, "own", "--data", str(tmp_path / "hospital"), "--results", str(tmp_path / "results")]
    assert main(arguments) == 70
    assert requested == ["own-hospital"]


@pytest.mark.fault("F122")
def test_without_a_folder_the_suite_says_what_it_needs(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("LUNGSEG_DATA", raising=False)
    assert main(["run", "own", "--results", str(tmp_path / "results")]) == 2
    assert "img/ and mask/" in capsys.readouterr().err


@pytest.mark.fault("F122")
@pytest.mark.parametrize("stems", [["a", "b"], ["MCUCXR_0001_0", "a"], ["mcucxr_0001_0"], ["MCUCXR_0001_0_copy"]])
@pytest.mark.parametrize("layout", [source_layout, original_montgomery])
def test_images_that_are_not_a_public_sets_do_not_pass_for_it(tmp_path, stems, layout):
    layout(tmp_path / "hospital", *stems)
    with pytest.raises(UsageError, match=r"are not Montgomery's.*bench run own"):
        data.resolve_root(suites.SUITES["montgomery-128"], tmp_path / "hospital", Results(tmp_path))


@pytest.mark.fault("F122")
@pytest.mark.parametrize("name", ["montgomery-to-shenzhen-128", "shenzhen-to-montgomery-128"])
def test_of_two_sets_each_is_looked_at(tmp_path, name):
    source_layout(tmp_path / "Montgomery", "MCUCXR_0001_0")
    source_layout(tmp_path / "shenzhen", "CHNCXR_0001_0")
    assert data.resolve_root(suites.SUITES[name], tmp_path, Results(tmp_path)) == tmp_path
    source_layout(tmp_path / "shenzhen", "MCUCXR_0002_0")
    with pytest.raises(UsageError, match="'MCUCXR_0002_0'"):
        data.resolve_root(suites.SUITES[name], tmp_path, Results(tmp_path))


@pytest.mark.fault("F122")
def test_a_page_names_the_folder_and_no_public_set(tmp_path):
    records = [
        {**r, "cell": {**r["cell"], "suite": "own", "train_set": "own-hospital", "test_set": "own-hospital"}}
        for r in grid(("unet",), folds=2, n=20, epochs=4)
    ]
    save(tmp_path, records)
    report.write(Results(tmp_path), figures=False)
    page = (tmp_path / "own.md").read_text()
    assert "own-hospital" in page
    assert "ontgomery" not in page


def gathered(root, cache, **change):
    suite = replace(suites.called(OWN, root), size=(32, 32), folds=2, **change)
    return suite, data.load_suite_data(suite, root, Results(cache))


@pytest.fixture
def root(tmp_path):
    """Twelve images whose masks differ."""
    stems = [f"a{k:02d}" for k in range(12)]
    source_layout(tmp_path / "set", *stems)
    for k, stem in enumerate(stems):
        mask = np.zeros((40, 32), np.uint8)
        mask[8 : 24 + k, 4:14] = mask[8 : 24 + k, 18:28] = 255
        images.write_png(tmp_path / "set" / "mask" / f"{stem}.png", mask)
        images.write_png(tmp_path / "set" / "img" / f"{stem}.png", 255 - mask // 2 - np.uint8(k))
    return tmp_path / "set"


@pytest.mark.fault("F110", "F106", "F116")
def test_what_is_odd_is_told_before_training(root, tmp_path):
    assert data.oddities(*gathered_all(root, tmp_path)) == []
    rows = [f"a{k:02d},{'0.7,0.7' if k % 2 else ','},AP" for k in range(12)]
    (root / "metadata.csv").write_text("\n".join(["id,spacing_row_mm,spacing_column_mm,view", *rows]))
    images.write_png(root / "mask" / "a03.png", 255 - np.pad(np.full((20, 20), 255, np.uint8), ((10, 10), (6, 6))))
    details = data.oddities(*gathered_all(root, tmp_path))
    assert [line.rpartition(": ")[2] for line in details] == ["a00, a02, a04, a06, a08 and 1 more", "view", "a03"]
    assert "spacing" in details[0]
    assert "inverted" in details[2]


def gathered_all(root, cache):
    suite, suite_data = gathered(root, cache)
    return suite, root, suite_data
