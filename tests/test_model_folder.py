"""A model folder is used only if it is whole: each way to tamper with one is refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import model_folders
import numpy as np
import pytest

import lungseg
from lungseg import card, model_folder
from lungseg.errors import DataError, UsageError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return model_folders.make(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def hashed_anew(folder):
    """As somebody would who tampers with care."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def refused(folder, match):
    with pytest.raises(DataError, match=match) as caught:
        lungseg.load_model(folder)
    assert len(caught.value.problems) == 1
    assert "\n" not in str(caught.value)


def test_what_was_saved_is_loaded_bit_for_bit(folder):
    model = lungseg.load_model(folder)
    for mine, saved in zip(model.get_weights(), model_folders.weights(), strict=True):
        np.testing.assert_array_equal(mine, saved)
    assert model_folder.open_folder(folder).card == model_folders.card(model_folders.weights())


def test_sha256sum_itself_agrees(folder):
    subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["card.json", "weights.npz", "SHA256SUMS"])
def test_a_changed_byte_is_refused(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    refused(folder, r"is not the file that SHA256SUMS was made of")


@pytest.mark.parametrize("name", ["card.json", "SHA256SUMS"])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    refused(folder, f"has no {name}")


def test_missing_weights_are_refused(folder):
    (folder / "weights.npz").unlink()
    refused(folder, "has no weights.npz, which SHA256SUMS lists")
    hashed_anew(folder)
    refused(folder, "has neither weights.npz nor model.onnx")


@pytest.mark.parametrize("name", ["model.pkl", "model.keras", "weights.npy", "__init__.py", "sub"])
def test_a_foreign_file_is_refused_even_with_its_hash(folder, name):
    (folder / name).write_bytes(pickle.dumps(print))
    hashed_anew(folder)
    refused(folder, f"holds '{name}', which no model folder has")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (folder / "weights.npz").rename(tmp_path / "elsewhere.npz")
    (folder / "weights.npz").symlink_to(tmp_path / "elsewhere.npz")
    refused(folder, "is not a regular file")


def npz(path, arrays, allow_pickle=False):
    with path.open("wb") as file:
        np.savez(file, allow_pickle=allow_pickle, **arrays)


class Bomb:
    """Unpickling it is what must not happen."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


def test_a_pickle_among_the_weights_is_not_run(folder):
    arrays = {f"w{k:04d}": w for k, w in enumerate(model_folders.weights())}
    npz(folder / "weights.npz", {**arrays, "w0003": np.array([Bomb()], dtype=object)}, allow_pickle=True)
    hashed_anew(folder)
    refused(folder, "cannot be read as arrays of numbers")


def test_other_weights_are_refused(folder):
    path, local = folder / "weights.npz", model_folders.weights()
    cases = [
        ({f"w{k:04d}": w for k, w in enumerate(local[:-1])}, "arrays, this network has"),
        ({f"w{k:04d}": w for k, w in enumerate([local[0].T.copy(), *local[1:]])}, "array 0 is"),
        ({f"w{k:04d}": w.astype(np.float64) if k == 1 else w for k, w in enumerate(local)}, "array 1 is float64"),
        ({f"w{k:04d}": w * np.nan if k == 2 else w for k, w in enumerate(local)}, "expected finite"),
        ({f"w{k:04d}": w + 1 for k, w in enumerate(local)}, "does not hold the weights that the card names"),
    ]  # fmt: skip
    for arrays, match in cases:
        npz(path, arrays)
        hashed_anew(folder)
        refused(folder, match)


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(folder):
    with zipfile.ZipFile(folder / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w0000.npy", bytes(1 << 26))
    hashed_anew(folder)
    refused(folder, "is larger than this network's weights")


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("architecture", "unet_of_mine", "architecture is 'unet_of_mine'; expected one of"),
        ("architecture", ["unet"], "architecture is"),
        ("size", [32, 40], "size is"),
        ("size", [1 << 20, 1 << 20], "size is"),
        ("width", True, "width is"),
        ("width", 10**9, "width is"),
        ("threshold", 1.5, "threshold is"),
        ("threshold", "0.5", "threshold is"),
        ("weights_sha256", "x", "weights_sha256 is"),
        ("scores", [1], "scores is"),
        ("schema", 99, "not a card of schema 1"),
        ("colour", "blue", "'colour' is unknown"),
        ("name", "/home/somebody/models", "holds the path"),
        ("name", "../../etc/passwd", "holds the path"),
        ("sources", ["see ~/notes.txt"], "holds the path"),
        ("data", {"set": "C:\\Users\\somebody"}, "holds the path"),
        ("data", {"/etc": 1}, "holds the path"),
        ("licence", "file:///etc/passwd", "holds the path"),
        ("limits", ["as in \\\\server\\share"], "holds the path"),
    ],
)
def test_a_card_that_no_model_has_is_refused(folder, key, value, match):
    result = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**result, key: value}))
    hashed_anew(folder)
    refused(folder, match)


def test_a_card_may_name_a_page_of_the_web_and_use_a_slash():
    local = [np.zeros(1, np.float32)]
    sources = ("https://lhncbc.nlm.nih.gov/page", "mean and/or median", "128 / 2 px", "QIMS 4(6)/2014")
    written = model_folders.card(local, sources=sources)
    assert card.parse(written.text().encode(), "card").sources == sources


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"schema": NaN}', b"[" * 100_000, b" " * (2 << 20)])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(DataError, match=r"^here: "):
        card.parse(text, "here")


def test_a_folder_is_not_written_over_and_none_is_written_without_a_network(folder, tmp_path):
    local = model_folders.weights()
    with pytest.raises(UsageError, match="exists"):
        model_folder.save(folder, model_folders.card(local), local)
    with pytest.raises(UsageError, match="weights or an ONNX graph"):
        model_folder.save(tmp_path / "new", model_folders.card(local), None)
    with pytest.raises(DataError, match="holds the path"):
        model_folder.save(tmp_path / "new", model_folders.card(local, name="/root"), local)
    assert not (tmp_path / "new").exists()


def test_a_path_that_holds_no_model_is_refused(tmp_path):
    refused(tmp_path / "none", "no such")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"expected a file that model.save"):
        lungseg.load_model(tmp_path / "file")
    with pytest.raises(DataError, match="a file, not a model folder"):
        model_folder.open_folder(tmp_path / "file")
    refused(tmp_path, "holds 'file'")


def test_a_card_can_be_replaced(folder):
    local = model_folders.weights()
    model = model_folder.open_folder(folder)
    updated = model_folder.update(model, card=lambda _: model_folders.card(local, name="other"))
    assert updated.card.name == model_folder.open_folder(folder).card.name == "other"
    lungseg.load_model(folder)


def test_an_update_keeps_what_another_process_has_written_since_the_folder_was_read(folder):
    model = model_folder.open_folder(folder)
    score = {"metric": "dice", "value": 0.9}

    def score_on(name):
        return lambda now: replace(now, scores=(*now.scores, {"set": name, **score}))

    model_folder.update(model, card=score_on("first"))
    model_folder.update(model, onnx=model_folders.GREY)
    updated = model_folder.update(model, card=score_on("second"))
    assert [one["set"] for one in updated.card.scores] == ["first", "second"]
    assert updated.onnx == model_folders.GREY


def test_updates_at_once_wait_for_each_other(folder):
    model, n = model_folder.open_folder(folder), 8

    def add(k):
        model_folder.update(model, card=lambda now: replace(now, scores=(*now.scores, {"set": str(k)})))

    with ThreadPoolExecutor(n) as pool:
        list(pool.map(add, range(n)))
    assert sorted(one["set"] for one in model_folder.open_folder(folder).card.scores) == [str(k) for k in range(n)]


def test_a_folder_that_holds_another_model_by_now_is_not_updated(folder):
    model = model_folder.open_folder(folder)
    shutil.rmtree(folder)
    other = model_folders.weights(seed=1)
    model_folder.save(folder, model_folders.card(other), other)
    with pytest.raises(DataError, match="was replaced by another model meanwhile"):
        model_folder.update(model, card=lambda now: replace(now, scores=({"set": "mine"},)))
    assert model_folder.open_folder(folder).card.scores == ()


def test_opening_a_folder_imports_no_backend(folder):
    code = (
        "import sys; from lungseg import model_folder; model_folder.open_folder(sys.argv[1]);"
        "print(*{'keras', 'tensorflow', 'scipy', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_random_bytes_in_place_of_weights_are_refused(folder):
    generator = np.random.default_rng(0)
    for n in (0, 3, 500, 70_000):
        (folder / "weights.npz").write_bytes(generator.bytes(n))
        hashed_anew(folder)
        refused(folder, "cannot be read as arrays of numbers")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3), allow_pickle=False)
    (folder / "weights.npz").write_bytes(buffer.getvalue())
    hashed_anew(folder)
    refused(folder, "cannot be read as arrays of numbers")


@pytest.mark.parametrize("shipped", [True, False])
def test_a_graph_is_added_to_a_folder_of_ones_own_and_not_to_the_package(tmp_path, monkeypatch, shipped):
    from lungseg import exporting, parity
    from lungseg.__main__ import main

    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path / "models")
    folder = model_folders.make(tmp_path / "models" / "mine")
    row = parity.Parity("onnx", "stub", 5, 0.0, 0, 1, None, None, 1.0, 1.0)
    monkeypatch.setattr(exporting, "require", lambda *_: None)
    monkeypatch.setitem(exporting.FORMS, "onnx", lambda *_: {"model.onnx": model_folders.GREY})
    monkeypatch.setattr(parity, "compare", lambda *_: row)
    model = "mine" if shipped else str(folder)
    assert main(["export", model, str(tmp_path / "out"), "--forms", "onnx", "--images", "1"]) == 0
    assert (tmp_path / "out" / "model.onnx").read_bytes() == model_folders.GREY
    assert (folder / "model.onnx").exists() is not shipped


def test_what_cannot_be_exported_is_told_before_anything_is_loaded(tmp_path, capsys):
    """Here, not with the other tests of export: these need none of what export needs."""
    from lungseg.__main__ import main

    bare = tmp_path / "bare"
    model_folder.save(bare, model_folders.card(model_folders.weights()), None, model_folders.GREY)
    assert main(["export", str(bare), str(tmp_path / "out")]) == 2
    assert "has no weights, only model.onnx, which runs as it is" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), str(tmp_path / "out"), "--forms", "onnx,onyx"]) == 2
    assert "'onyx': known are onnx, litert-float32" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), str(tmp_path / "out")]) == 3
    assert "none: no such model folder" in capsys.readouterr().err
