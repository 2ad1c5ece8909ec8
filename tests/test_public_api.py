"""The public names, and what importing them may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lungseg
from lungseg import model_folder

ROOT = Path(lungseg.__file__).resolve().parent
BACKENDS = {"tensorflow", "jax", "torch"}
# Module -> the only files below lungseg/ that may import it.
DOORS = {
    "cv2": {"images.py", "datasets/same_patient.py"},
    "onnx": {"exporting.py"},
    "onnxruntime": {"engine.py"},
    "tf2onnx": {"exporting.py"},
    "ai_edge_litert": {"parity.py", "exporting.py"},
    "ai_edge_quantizer": {"exporting.py"},
    "pydicom": {"dicom.py", "dicom_seg.py"},
    "highdicom": {"dicom_seg.py"},
    "requests": {"download.py"},
    **{backend: {"runtime.py"} for backend in BACKENDS},
    "jax": {"runtime.py", "jax_loop.py"},  # an epoch as one dispatch; a batch on several devices
    "tensorflow": {"runtime.py", "exporting.py"},  # its converter to LiteRT
    **{module: set() for module in ("bench", "matplotlib", "seaborn", "sklearn", "tabulate", "rich", "pickle")},
}


def imports(path):
    """Top-level names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def test_public_names_are_there():
    assert set(lungseg.__all__) >= {"ARCHITECTURES", "DATASETS", "Case", "build", "load", "metrics"}
    assert all(getattr(lungseg, name) is not None for name in lungseg.__all__)
    assert lungseg.metrics.dice(np.ones((2, 2), bool), np.ones((2, 2), bool)) == 1
    with pytest.raises(AttributeError, match="'lungseg' has no attribute 'train'"):
        lungseg.train  # noqa: B018


def test_what_is_imported_at_its_first_use_is_completed_too():
    assert set(lungseg.__all__) <= set(dir(lungseg))
    code = "import lungseg, sys; assert {'fit', 'metrics'} <= set(dir(lungseg)); sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False).returncode == 0


def test_tables_hold_the_documented_names():
    assert {"unet", "resunet", "r2unet"} <= set(lungseg.ARCHITECTURES)
    assert {"montgomery", "shenzhen", "folder", "phantom"} <= set(lungseg.DATASETS)


def test_errors_carry_exit_codes():
    codes = {
        error.__name__: error.exit_code for error in (lungseg.LungsegError, *lungseg.LungsegError.__subclasses__())
    }
    assert codes["LungsegError"] == 70
    assert (codes["UsageError"], codes["DataError"], codes["EnvironmentFailure"]) == (2, 3, 6)


def test_a_network_in_the_place_of_its_folder_is_told_apart_in_one_sentence():
    network, image = lungseg.build("lwnet", (32, 32, 1), 2), np.zeros((32, 32))
    words = "^model: give the model folder, its path or a shipped model's name, not"
    with pytest.raises(lungseg.UsageError, match=f"{words} a Keras model$"):
        lungseg.evaluate(network, [])
    with pytest.raises(lungseg.UsageError, match=f"{words} a Keras model$"):
        lungseg.predict([image], network)
    with pytest.raises(lungseg.UsageError, match=f"{words} list$"):
        lungseg.predict([image], [image])
    with pytest.raises(lungseg.UsageError, match=f"{words} None$"):
        lungseg.predict([image], None)


@pytest.mark.parametrize(("value", "kind"), [(None, "None"), (3, "int"), (["my/model"], "list")])
def test_what_is_no_path_is_not_loaded_as_a_model(value, kind):
    words = "^path: give a model folder, its path or a .keras file's, not"
    with pytest.raises(lungseg.UsageError, match=f"{words} {kind}$"):
        lungseg.load_model(value)
    with pytest.raises(lungseg.UsageError, match=f"{words} a Keras model$"):
        lungseg.load_model(lungseg.build("lwnet", (32, 32, 1), 2))


def test_a_model_in_the_place_of_pictures_is_told_to_come_second():
    for model, kind in (
        (lungseg.build("lwnet", (32, 32, 1), 2), "a Keras model"),
        (model_folder.find(model_folder.DEFAULT), "ModelFolder"),
    ):
        words = f"^pictures: give a list of files or of grey images, and the model after it, not {kind}$"
        with pytest.raises(lungseg.UsageError, match=words):
            lungseg.predict(model, ["a.png"])


def test_data_error_lists_its_problems():
    error = lungseg.DataError(line for line in ("a: broken", "b: missing"))
    assert error.problems == ["a: broken", "b: missing"]
    assert str(error) == "a: broken\nb: missing"
    assert lungseg.DataError("a: broken").problems == ["a: broken"]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_library_has_one_door(path):
    name = path.relative_to(ROOT).as_posix()
    for module in imports(path):
        assert name in DOORS.get(module, {name}), f"{module} is imported outside {DOORS.get(module)}"


@pytest.mark.parametrize("path", sorted((ROOT / "architectures").glob("*.py")), ids=lambda path: path.name)
def test_architectures_import_keras_alone(path):
    allowed = {"keras", "lungseg", *sys.stdlib_module_names}
    assert set(imports(path)) <= allowed


def test_importing_lungseg_and_the_benchs_tables_loads_no_heavy_library():
    code = (
        "import sys, lungseg, bench.suites, bench.records.store, bench.running.training, lungseg.recipes, "
        "lungseg.splits;"
        "print(*{'keras', 'tensorflow', 'jax', 'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
