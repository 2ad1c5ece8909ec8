"""The contract of every registered dataset: its layout on disk to cases, and each fault listed by name."""

from pathlib import Path

import pytest
from layouts import SHAPE, original_montgomery, source_layout

import lungseg
from lungseg.case_files import read_case
from lungseg.datasets import Case, Dataset, phantom
from lungseg.errors import DataError, UsageError

MINIATURES = {
    "folder": lambda root: source_layout(root, "a", "b", "c"),
    "montgomery": lambda root: original_montgomery(root, "MCUCXR_0003_0", "MCUCXR_0001_0", "MCUCXR_0113_1"),
    "phantom": lambda root: phantom.write(root, 3, SHAPE),
    "shenzhen": lambda root: source_layout(root, "CHNCXR_0002_0", "CHNCXR_0001_0", "CHNCXR_0400_1"),
}


@pytest.fixture(params=list(lungseg.DATASETS))
def miniature(request, tmp_path):
    MINIATURES[request.param](tmp_path / "set")
    return request.param, tmp_path / "set"


@pytest.mark.fault("F42")
def test_cases_are_sorted_by_unique_id_whatever_the_disk_lists_first(miniature, monkeypatch):
    cases = lungseg.load(*miniature)
    assert len(cases) == 3
    assert [case.id for case in cases] == sorted({case.id for case in cases})
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: sorted(listed(folder), reverse=True))
    assert lungseg.load(*miniature) == cases


def test_each_case_can_be_read_and_its_facts_make_sense(miniature):
    for case in lungseg.load(*miniature):
        image, mask = read_case(case)
        assert image.shape == mask.shape
        assert mask.any()
        assert not mask.all()
        assert case.patient
        assert case.spacing_mm is None or all(0 < side < 100 for side in case.spacing_mm)
        assert case.attributes.keys() <= {"sex", "age", "tb"}
        assert case.attributes.get("sex", "F") in ("F", "M")
        assert case.attributes.get("tb", 0) in (0, 1)


def test_root_may_be_a_string_or_a_path(miniature):
    name, root = miniature
    assert lungseg.load(name, str(root)) == lungseg.load(name, root)


@pytest.mark.fault("F35")
def test_missing_and_empty_folders_are_errors_that_name_them(miniature, tmp_path):
    name, _ = miniature
    (tmp_path / "set.zip").touch()
    with pytest.raises(DataError, match=r"set\.zip: a file, not a folder; give the root of"):
        lungseg.load("montgomery", tmp_path / "set.zip")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        lungseg.load(name, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises((DataError, UsageError), match="empty"):  # a phantom can be written: the error says how
        lungseg.load(name, tmp_path / "empty")


@pytest.mark.fault("F24")
def test_every_missing_mask_is_listed(miniature):
    name, root = miniature
    cases = lungseg.load(name, root)
    lost = [cases[0].masks[0], cases[2].masks[-1]]
    for path in lost:
        path.unlink()
    with pytest.raises(DataError) as caught:
        lungseg.load(name, root)
    for case in (cases[0], cases[2]):
        assert case.image.name in str(caught.value)


def in_disorder(root):
    """A dataset of an outsider, with the faults that a name in its file stands for."""
    return [Case(stem, stem, root, (root,)) for stem in (root / "ids").read_text().split()]


@pytest.mark.fault("F37")
def test_any_dataset_comes_sorted_and_without_doubles(tmp_path, monkeypatch):
    monkeypatch.setattr(lungseg.datasets, "DATASETS", {"mine": Dataset(f"{__name__}:in_disorder")})
    (tmp_path / "ids").write_text("b c a")
    assert [case.id for case in lungseg.load("mine", tmp_path)] == ["a", "b", "c"]
    (tmp_path / "ids").write_text("b c a c b")
    with pytest.raises(DataError, match=r"id 'b' occurs more than once\n.*id 'c' occurs more than once"):
        lungseg.load("mine", tmp_path)


def test_unknown_dataset_lists_the_known():
    with pytest.raises(UsageError, match=f"'jsrtt': known are {', '.join(lungseg.DATASETS)}$"):
        lungseg.load("jsrtt", ".")
