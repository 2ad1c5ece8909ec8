"""What forbids publishing: nothing is copied then, and every problem is named."""

from __future__ import annotations

import json

import pytest
from records import agreeing, grid, parsed, save, validate

from bench import publish, suites
from bench.records import store
from bench.records.results import Results
from lungseg.errors import DataError, UsageError

SMALL = {"folds": 2, "n": 24, "epochs": 4}


def sound(**more):
    """Records that may be published but for what a test does to them."""
    return [
        store.sealed({**r, "inputs": {"graph": "g"}, "fingerprint": store.fingerprint({"graph": "g"})})
        for r in json.loads(json.dumps(grid(("unet",), **{**SMALL, **more})))
    ]


def test_an_image_that_is_predicted_twice_is_named_and_forbids_it():
    first, second = sound()
    image = first["cases"][3]
    twice = agreeing({**second, "cases": [*second["cases"], image]})
    assert validate([first, second]) == []
    assert validate([first, twice]) == [f"unet seed 0: {image['id']} is predicted 2 times"]


def test_the_same_image_by_two_seeds_is_what_seeds_are_for():
    assert validate(sound(seeds=(0, 1))) == []


def test_every_record_that_is_none_is_named_and_nothing_is_copied(tmp_path):
    records = sound(suite="quick")
    for r in records:
        r["cases"][0]["patient"] = None
    save(tmp_path / "own", [store.sealed(r) for r in records])
    with pytest.raises(DataError, match="patient is None") as caught:
        publish.publish(suites.suite("quick"), Results(tmp_path / "own"), Results(tmp_path / "committed"))
    assert len(caught.value.problems) == 2
    assert not (tmp_path / "committed").exists()


def test_a_row_that_lacks_folds_is_told_how_to_be_published():
    first, second = sound()
    first["data"]["target_pixels"] = {**first["data"]["target_pixels"], **second["data"]["target_pixels"]}
    alone = parsed([store.sealed(first)])
    (problem,) = publish.validate(alone)
    assert problem.startswith("unet seed 0: 12 of 24 images are not predicted; it has folds [0] only")
    assert problem.endswith("run the others, or publish it unranked with --partial")
    assert publish.validate(alone, partial=True) == []


def test_a_folder_is_not_published_to_itself_whatever_it_is_called(tmp_path):
    """Older protocols' records would be moved aside as if newer ones had come from elsewhere."""
    save(tmp_path / "own", sound(suite="quick"))
    (tmp_path / "link").symlink_to("own")
    with pytest.raises(UsageError, match="link: is the folder that is published from; give another --to"):
        publish.publish(suites.suite("quick"), Results(tmp_path / "own"), Results(tmp_path / "link"))
    assert {path.name for path in (tmp_path / "own").iterdir()} == {"runs"}
