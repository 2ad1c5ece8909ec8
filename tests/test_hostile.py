"""What hostile files and values must not achieve."""

import io
import json
import os
import pickle
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.figures import gallery
from bench.records.results import Results
from bench.suites import cells, suite
from lungseg import images, recipes
from lungseg.datasets import Case
from lungseg.errors import DataError, UsageError
from lungseg.prepare import prepare

ROOT = Path(__file__).resolve().parent.parent


class Payload:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def object_array(path, payload):
    array = np.empty(1, object)
    array[0] = payload
    np.save(path, array, allow_pickle=True)


@pytest.mark.fault("F102")
def test_the_payload_of_these_tests_does_run_when_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def case_on_disk(root):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name, values in (("img", pixels), ("mask", pixels // 32)):
        root.joinpath(name).mkdir(parents=True)
        images.write_png(root / name / "a.png", values)
    return [Case("a", "a", root / "img" / "a.png", (root / "mask" / "a.png",))]


CACHES = {
    "pickled": lambda path, payload: object_array(path, payload),
    "bare pickle": lambda path, payload: path.write_bytes(pickle.dumps(payload)),
    "empty": lambda path, _: path.write_bytes(b""),
    "other shape": lambda path, _: np.save(path, np.zeros((3, 8, 8), np.float32)),
    "one number": lambda path, _: np.save(path, np.float32(0)),
}


@pytest.mark.fault("F102")
@pytest.mark.parametrize("kind", CACHES)
def test_a_planted_cache_is_made_again_and_runs_nothing(tmp_path, kind):
    cases = case_on_disk(tmp_path / "set")
    whole = np.array(prepare(cases, (8, 8), tmp_path / "cache").images)
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "images.npy").unlink()
    CACHES[kind](folder / "images.npy", Payload(tmp_path / "ran"))
    assert np.array_equal(prepare(cases, (8, 8), tmp_path / "cache").images, whole)
    assert not (tmp_path / "ran").exists()


CELL, KEY = cells(suite("quick"))[0], "tensorflow-cpu-float32"


def keras_file(payload):
    """What a model with a Lambda layer looks like on disk: a zip of its configuration, code in it, and weights."""
    code = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": payload}}}}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped:
        zipped.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": [code]}}))
        zipped.writestr("metadata.json", "{}")
        zipped.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    return data.getvalue()


def npz(**arrays):
    data = io.BytesIO()
    np.savez(data, allow_pickle=True, **arrays)
    return data.getvalue()


BITS = np.zeros(8, np.uint8)


PREDICTIONS = {
    "pickled": lambda payload: npz(ids=np.array(["a"]), shape=np.array([1, 8, 8]), bits=np.array([payload], object)),
    "bare pickle": pickle.dumps,
    "a Keras model with a Lambda": lambda payload: keras_file("gASVLgAAAAAAAACMCHBhdGhsaWI="),
    "HDF5": lambda _: b"\x89HDF\r\n\x1a\n" + bytes(99),
    "empty": lambda _: b"",
    "fewer bits than pixels": lambda _: npz(ids=np.array(["a"]), shape=np.array([1, 10**6, 10**6]), bits=BITS),
    "another case": lambda _: npz(ids=np.array(["b"]), shape=np.array([1, 8, 8]), bits=BITS),
}


@pytest.mark.fault("F101", "F102")
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_planted_checkpoint_is_an_error_that_names_it_and_runs_nothing(tmp_path, kind):
    path = Results(tmp_path).artifact(CELL, "predictions.npz")
    path.parent.mkdir(parents=True)
    path.write_bytes(PREDICTIONS[kind](Payload(tmp_path / "ran")))
    with pytest.raises(DataError, match=r"predictions\.npz: not the predictions of a cell"):
        gallery.load_prediction(Results(tmp_path), CELL, "a")
    assert not (tmp_path / "ran").exists()


METACHARACTERS = ["a; touch pwned", "`touch pwned`", "a && touch x", "a | tee x", "a'; touch x; '", "a > pwned", "*"]


@pytest.mark.fault("F104")
@pytest.mark.parametrize("value", [*METACHARACTERS, "!!python/object/apply:os.system ['touch pwned']", "../../x"])
@pytest.mark.parametrize("known", [suite, recipes.recipe])
def test_a_name_of_metacharacters_or_tags_is_a_usage_error_and_runs_nothing(tmp_path, monkeypatch, known, value):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="unknown"):
        known(value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("F104")
@pytest.mark.parametrize("value", METACHARACTERS)
def test_make_passes_a_value_on_as_one_word(tmp_path, value):
    """The Makefile's own quoting, in a Makefile that only prints the words it was given."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    quoting = re.findall(r"^(?:quote|option) .*$", text, flags=re.MULTILINE)
    assert len(quoting) == 2
    assert text.count("$(SUITE)") == text.count("$(call quote,$(SUITE))") > 0
    assert not re.search(r"\$\((?:SUITE|RESULTS|DATA|ARCH|SEEDS)\)(?!\))", text), "a value that is not quoted"
    recipe = ["all:", "\t@printf '<%s>' $(call option,--data,$(DATA))"]
    (tmp_path / "Makefile").write_text("\n".join([*quoting, *recipe, ""]))
    # under `make test` this would be a make within a make, which says so and inherits variables
    alone = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", f"DATA={value}"], cwd=tmp_path, env=alone, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"<--data><{value}>"
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
