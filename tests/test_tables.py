"""One function and one row: a leaderboard column, and an architecture of another package, without an edit elsewhere."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from read_page import page
from records import grid, sealed, second

from bench import suites
from bench.running.training import _elsewhere
from lungseg import ARCHITECTURES, metrics
from lungseg.errors import UsageError
from lungseg.metrics import METRICS, Metric


def of_wrong(c):
    """Share of the prediction that is wrong."""
    return c.fp / (c.tp + c.fp) if c.tp + c.fp else 0.0


def farthest(d):
    """Largest distance of the two borders: the Hausdorff distance."""
    if d.state != "ok":
        return 0.0 if d.state == "both_empty" else math.inf
    return float(d.of_both.max())


WRONG = Metric("of_wrong", "1", 0.0, None, "counts", of_wrong, False, column="Wrong", definition="new.")
FARTHEST = Metric("farthest", "mm", 0.0, math.inf, "distances", farthest, column="HD {unit}", average="median")


def columns(text):
    """Of the leaderboard: heading -> first row's cell."""
    head, _, first, *_ = text[text.index("| Network") :].replace("\u00a0", " ").splitlines()
    return dict(zip(*([c.strip() for c in line.strip("|").split("|")] for line in (head, first)), strict=True))


def test_a_ratio_gets_its_column_from_records_that_never_held_it(tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, WRONG.name, WRONG)
    records = second(grid(("unet",), folds=2, n=24))
    cases = [c["at_stored"] for r in records for c in r["cases"]]
    text = page(tmp_path, records)
    assert columns(text)["Wrong"] == f"{np.mean([c['fp'] / (c['tp'] + c['fp']) for c in cases]):.3f}"
    assert "- **Wrong**: new." in (tmp_path / "METHODS.md").read_text(encoding="utf-8")
    square = np.zeros((4, 4), bool)
    square[:2] = True
    assert metrics.of_wrong(square, np.ones((4, 4), bool)) == 0.5, "as a function of masks, too"


def test_a_distance_gets_its_column_from_records_made_since_and_a_dash_before(tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, FARTHEST.name, FARTHEST)
    records = second(grid(("unet",), folds=2, n=24))
    assert columns(page(tmp_path / "a", records))["HD mm"] == "-"
    for r in records:
        for k, c in enumerate(r["cases"]):
            c["at_stored"]["farthest"] = c["farthest"] = float(k)
    assert columns(page(tmp_path / "b", [sealed(r) for r in records]))["HD mm"] == "5.50"
    square = np.zeros((8, 8), bool)
    square[2:6, 2:6] = True
    scored = metrics.score(square, np.roll(square, 1, axis=0), (0.5, 0.5))
    assert scored["farthest"] == 0.5, "and records made now hold it"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of somebody else's with one network in it."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/__init__.py").write_text("")
    (tmp_path / "theirs/nets.py").write_text(
        "from theirs.layers import WIDTH\n\n\ndef net(shape, width, layers): ...\n"
    )
    (tmp_path / "theirs/layers.py").write_text("WIDTH = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "theirs"
    for name in [name for name in sys.modules if name.startswith("theirs")]:
        del sys.modules[name]


def test_another_packages_architecture_is_called_by_where_it_is(package):
    chosen = suites.select(suites.suite("quick"), "theirs.nets:net,unet")
    assert chosen.architectures == ("unet", "theirs.nets:net")
    assert {cell.id for cell in suites.cells(chosen)} >= {"theirs.nets-net.phantom.f0.s0"}
    assert "theirs.nets" not in sys.modules, "nobody need import a backend to plan a run"
    assert ARCHITECTURES["theirs.nets:net"].__name__ == "net"
    assert "theirs.nets:net" not in list(ARCHITECTURES)


def test_its_fingerprint_covers_its_package_and_that_of_ours_says_nothing(package):
    before = _elsewhere("theirs.nets:net")
    (package / "layers.py").write_text("WIDTH = 2\n")
    assert before.keys() == {"architecture_code"}
    assert _elsewhere("theirs.nets:net") != before
    assert _elsewhere("unet") == _elsewhere("unet+seeds") == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("theirs.nest:net", "there is no module theirs.nest; install it, or set LUNGSEG_MODULES to the folder"),
        ("nobody.at.home:net", "there is no module nobody.at.home"),
        ("theirs.nets:nut", "nets.py holds no 'nut'"),
        ("theirs.nets:", "expected package.module:function"),
    ],
)
def test_a_name_that_cannot_be_imported_is_an_error_that_says_what_to_do(package, name, words):
    with pytest.raises(UsageError, match=words):
        suites.select(suites.suite("quick"), name)
