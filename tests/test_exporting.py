"""Each exported form runs in its own runtime and predicts what Keras does; what does not is told and not kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from test_backends import ROOT, interpreter

import lungseg
from lungseg import engine, exporting, fitting, model_folder, parity, recipes
from lungseg.__main__ import main
from lungseg.datasets import phantom
from lungseg.errors import DataError

PACKAGES = ("onnxruntime", "onnx", "tf2onnx", "ai_edge_litert", "ai_edge_quantizer")
for _package in PACKAGES:
    pytest.importorskip(_package, reason="pip install 'lungseg[export]'")
pytestmark = [
    pytest.mark.usefixtures("own_environment"),
    pytest.mark.filterwarnings("ignore"),  # of the converters' own libraries
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A little W-Net of a few epochs on phantoms: untrained ones saturate, so that any export would agree."""
    folder = tmp_path_factory.mktemp("trained")
    phantom.write(folder / "set", 12, (64, 64), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "swift", replace(recipes.SMOKE, name="swift", epochs=8))
        fitting.fit(
            lungseg.load("montgomery", folder / "set"), folder / "model", width=16, size=32, recipe="swift",
            hold_out=False, threads=1,
        )  # fmt: skip
    return folder / "model"


@pytest.fixture(scope="module")
def pictures():
    return np.stack([np.asarray(phantom.thorax(k, (32, 32)).image, np.float32) for k in range(40, 48)])


@pytest.fixture(scope="module")
def expected(trained, pictures):
    return engine.start(model_folder.open_folder(trained), "keras")(pictures)


def compared(form, files, expected, pictures):
    masks = np.stack([(lambda t: t.left | t.right)(phantom.thorax(k, (32, 32))) for k in range(40, 48)])
    return parity.compare(form, files, expected, pictures, 0.5, masks, [str(k) for k in range(8)])


@pytest.mark.parametrize("form", ["onnx", "litert-float32", "saved-model"])
def test_float32_forms_flip_no_pixel(trained, pictures, expected, form):
    model = lungseg.load_model(trained)
    row = compared(form, exporting.FORMS[form](model, pictures), expected, pictures)
    assert row.broken == []
    assert (row.flipped, row.pixels) == (0, 8 * 32 * 32)
    assert row.probability <= 1e-4
    assert expected.std() > 0.01  # the network tells pixels apart, so that agreement means something


def test_reduced_forms_are_smaller_or_differ_and_are_measured(trained, pictures, expected):
    model = lungseg.load_model(trained)
    for form in ("litert-float16", "litert-weights-int8", "litert-int8"):
        row = compared(form, exporting.FORMS[form](model, pictures), expected, pictures)
        assert 0 < row.probability < 1
        assert row.dice["images"] == 8


def test_another_networks_file_is_told(trained, pictures, expected):
    other = lungseg.build("lwnet", (32, 32, 1), 16)
    row = compared("onnx", {"model.onnx": exporting.onnx_bytes(other)}, expected, pictures)
    assert len(row.broken) == 2
    assert "probability differs by" in row.broken[0]
    assert "flipped pixels are" in row.broken[1]


@pytest.mark.parametrize("form", ["onnx", "litert-float32", "saved-model"])
def test_a_file_that_cannot_run_is_told(pictures, expected, form):
    with pytest.raises(parity.ParityError, match=f"{form}: was written, but cannot run"):
        compared(form, {"saved_model/saved_model.pb": b"no network" * 20}, expected, pictures)


@pytest.mark.parametrize("place", ["other.bin", "/etc/hostname", "../other.bin"])
def test_a_graph_that_would_read_another_file_is_refused(trained, tmp_path, place):
    from onnx import TensorProto, helper

    (tmp_path / "other.bin").write_bytes(bytes(4))
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value=place)
    shape = ["batch", 32, 32, 1]
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "out"))
    graph = helper.make_graph([helper.make_node("Add", ["image", "w"], ["out"])], "g", [image], [out], [outside])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()
    model_folder.save(tmp_path / "model", model_folder.open_folder(trained).card, None, data)
    with pytest.raises(DataError, match="ONNX Runtime cannot load it"):
        engine.start(model_folder.open_folder(tmp_path / "model"))


@pytest.mark.slow  # SegFormer takes half a minute to trace and convert
def test_gelu_reaches_onnx(pictures):
    """SegFormer's GELU becomes Erfc, which ONNX does not have."""
    model = lungseg.build("segformer_b0", (32, 32, 1), 16)
    _, session = engine.session(exporting.onnx_bytes(model), 1)
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["image", "probability"]
    result = session.run(["probability"], {"image": pictures[..., None]})[0]
    np.testing.assert_allclose(result, model.predict_on_batch(pictures[..., None]), atol=1e-4)


OF_ANOTHER_BACKEND = """
import sys, numpy as np
from lungseg import engine, model_folder
folder = model_folder.open_folder("model")
np.save("there.npy", engine.start(folder, "keras")(np.load("pictures.npy")))
print(folder.card.training["backend"], "tensorflow" in sys.modules)
"""


@pytest.mark.slow  # JAX compiles for half a minute
def test_what_jax_trained_reaches_onnx_and_litert_and_predicts_as_on_jax(tmp_path, pictures, capsys):
    python = interpreter("jax")
    if python is None:
        pytest.skip("jax is not installed; name an interpreter that has it and keras by LUNGSEG_PYTHON_JAX")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    phantom.write(tmp_path / "set", 16, (64, 64), 0)
    np.save(tmp_path / "pictures.npy", pictures)
    train = ["-m", "lungseg", "train", "montgomery", "set", "model", "--width", "16", "--size", "32", "--all"]
    train += ["--recipe", "quick", "--threads", "1"]
    for command in (train, ["-c", OF_ANOTHER_BACKEND]):
        done = subprocess.run(
            [python, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["jax", "False"]
    forms = "onnx,litert-float32,saved-model"
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "out"), "--forms", forms, "--threads", "1"]) == 0
    there = np.load(tmp_path / "there.npy")
    assert there.std() > 0.01
    _, session = engine.session((tmp_path / "out" / "model.onnx").read_bytes(), 1)
    result = session.run(["probability"], {"image": pictures[..., None]})[0][..., 0]
    np.testing.assert_allclose(result, there, atol=1e-4)
    assert ((result >= 0.5) == (there >= 0.5)).all()
    assert json.loads((tmp_path / "out" / "parity.json").read_text())["training_backend"] == "jax"


def test_the_command_writes_what_agrees_and_runs_on_it(trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "model")
    done = main(["export", str(folder), str(tmp_path / "out"), "--forms", "onnx,litert-float32", "--threads", "1"])
    shown = capsys.readouterr()
    assert done == 0, shown.err
    assert "onnx" in shown.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.onnx", "model.float32.tflite", "parity.json"}
    record = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert [(row["form"], row["flipped"]) for row in record["forms"]] == [("onnx", 0), ("litert-float32", 0)]
    assert record["failures"] == []
    model = model_folder.open_folder(folder)
    assert model.onnx == (tmp_path / "out" / "model.onnx").read_bytes()
    assert engine.start(model).name == "onnx"


@pytest.mark.slow
@pytest.mark.parametrize("form", exporting.FORMS)
def test_what_a_form_imports_is_what_it_is_said_to_need(trained, pictures, form):
    """In a process of its own, where nothing else has imported it."""
    code = (
        "import sys, numpy as np; from lungseg import exporting, model_folder, parity;"
        f"model = model_folder.build(model_folder.open_folder({str(trained)!r}));"
        f"images = np.random.default_rng(0).random((4, 32, 32), np.float32); form = {form!r};"
        "parity.started(form, exporting.FORMS[form](model, images));"
        f"print(*set({PACKAGES}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) == set(exporting.NEEDS[form])


def test_the_command_fails_beyond_a_limit_and_keeps_nothing(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(parity.LIMITS, "onnx", parity.Limit(probability=0.0))
    before = model_folder.open_folder(trained)
    assert main(["export", str(trained), str(tmp_path / "out"), "--forms", "onnx", "--threads", "1"]) == 1
    assert "probability differs by" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"parity.json"}
    assert model_folder.open_folder(trained) == before


def test_a_saved_model_is_a_folder_that_tensorflow_loads_without_keras(trained, tmp_path, pictures, expected):
    out = tmp_path / "out"
    assert main(["export", str(trained), str(out), "--forms", "saved-model", "--threads", "1"]) == 0
    np.save(tmp_path / "pictures.npy", pictures[..., None])
    code = (
        "import sys, numpy as np, tensorflow as tf; loaded = tf.saved_model.load('out/saved_model');"
        "np.save('found.npy', loaded.serve(tf.constant(np.load('pictures.npy')))); assert 'lungseg' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "found.npy")[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize("change", [1.04e-4, -1.04e-4])
def test_a_form_is_judged_by_its_distance_as_measured_a_gain_as_a_loss(change):
    def row(value):
        dice = {"value": value, "low": value - 1e-3, "high": value + 1e-3}
        return parity.Parity("litert-float16", "LiteRT", 1, 0.01, 1, 9, dice, 0.0, 1.0, 1.0)

    (details,) = row(change).broken
    assert details == f"litert-float16: mean Dice {'rises' if change > 0 else 'falls'} by 0.000104, 0.0001 is accepted"
    assert row(change / 1.04).broken == []
