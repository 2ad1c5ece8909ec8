"""What comes from outside and must change no number: Keras's settings, cards, another repository, saved files."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import lungseg
from bench import machine
from bench.running.child import Child
from bench.running.executor import Job
from lungseg import runtime
from lungseg.errors import DataError, EnvironmentFailure, UsageError

ROOT = Path(__file__).resolve().parent.parent

# -- Keras ----------------------------------------------------------------------------------------------------------

FOREIGN = {
    "floatx": ("float16", "float64"),
    "epsilon": (1e-3, 1e-8),
    "image_data_format": ("channels_first",),
    "max_epochs": (1, 3),
    "max_steps_per_epoch": (1, 2),
}
CASES = [(name, value) for name, values in FOREIGN.items() for value in values]


@pytest.fixture
def set_to():
    """Sets one of Keras's settings, and all of them back afterwards."""
    yield lambda name, value: getattr(keras.config, f"set_{name}")(value)
    for name, value in runtime.SETTINGS.items():
        getattr(keras.config, f"set_{name}")(value)
    keras.config.set_dtype_policy("float32")


@pytest.mark.fault("F112")
@pytest.mark.parametrize(("name", "value"), CASES)
def test_starting_sets_back_what_keras_read_from_outside(set_to, name, value):
    set_to(name, value)
    keras.config.set_dtype_policy("float16")
    runtime.start_keras("tensorflow")
    assert getattr(keras.config, name)() == runtime.SETTINGS[name]
    assert keras.config.dtype_policy().name == "float32"
    runtime.check_settings()


@pytest.mark.fault("F112")
@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_process_that_was_not_started_builds_and_trains_nothing_under_other_settings(set_to, name, value):
    set_to(name, value)
    for work in (runtime.check_settings, lambda: lungseg.build("unet", (32, 32, 1), 2)):
        with pytest.raises(UsageError, match=f"{name} is {value!r}, not {runtime.SETTINGS[name]!r}"):
            work()


KERAS = """
import importlib

names = []
for name in ("matplotlib", "pandas", "sklearn"):
    try:
        names.append(importlib.import_module(name).__name__)
    except ImportError:
        pass


class config:
    backend, is_nnx_enabled = staticmethod(lambda: "tensorflow"), staticmethod(lambda: False)
    set_floatx = set_epsilon = set_image_data_format = set_max_epochs = set_max_steps_per_epoch = set_dtype_policy = (
        staticmethod(lambda value: None)
    )
"""


@pytest.mark.parametrize(("lean", "imported"), [("False", "matplotlib,pandas,sklearn"), ("True", "pandas")])
def test_a_process_of_ours_spares_keras_what_it_would_import_for_figures_and_tables(tmp_path, lean, imported):
    """Where one of them was imported before, it stays; afterwards, a network of another package may import them all."""
    for package, text in {
        "keras": KERAS,
        **dict.fromkeys(("tensorflow", "matplotlib", "pandas", "sklearn"), ""),
    }.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text)
    program = (
        f"import pandas; from lungseg import runtime; print(*runtime.start_keras('tensorflow', lean={lean}).names, "
        "sep=','); import matplotlib, sklearn"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    shown = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (shown.stdout.strip(), shown.returncode) == (imported, 0), shown.stderr


@pytest.mark.fault("F112")
@pytest.mark.parametrize("name", runtime.FOREIGN)
def test_a_cells_process_gets_none_of_the_variables_that_change_a_training(monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UNCONCERNED", "1")
    given = {}

    def refused(*_, env, **__):
        given.update(env)
        raise OSError(11, "no process")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises(EnvironmentFailure):
        Child(Job("bench.running.worker", {}, 1, tmp_path / "log", 1.0)).start()
    assert name not in given
    assert (given["UNCONCERNED"], given["KERAS_BACKEND"]) == ("1", "tensorflow")


@pytest.mark.fault("F112", "F113")
@pytest.mark.parametrize("module", ["keras", "tensorflow", "numpy"])
def test_an_environment_comes_too_late_once_keras_or_its_backend_is_imported(monkeypatch, module):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(modules={module: None}))
    assert runtime.started() is (module != "numpy")


def test_a_keras_of_another_backend_is_refused_by_name():
    with pytest.raises(UsageError, match="Keras runs on tensorflow already, not on jax"):
        runtime.start_keras("jax")


@pytest.mark.fault("F112")
@pytest.mark.parametrize("about", [{"floatx": "half"}, {"epsilon": "small"}, {"image_data_format": "HWC"}])
def test_a_keras_json_that_keras_refuses_is_named(monkeypatch, about):
    """As Keras's own import raises it, without a process of its own for each."""

    def refuses(name, *rest, real=__import__, **options):
        if name == "keras":
            raise ValueError(f"Invalid `{next(iter(about))}` configuration.")
        return real(name, *rest, **options)

    monkeypatch.setattr("builtins.__import__", refuses)
    with pytest.raises(UsageError, match=rf"keras\.json.*{next(iter(about))}"):
        runtime.start_keras("tensorflow")


@pytest.mark.fault("F113")
@pytest.mark.parametrize("value", ["", None])
def test_an_empty_backend_is_an_unset_one(monkeypatch, value):
    monkeypatch.delenv("KERAS_BACKEND") if value is None else monkeypatch.setenv("KERAS_BACKEND", value)
    assert runtime.backend_name() == "tensorflow"
    assert runtime.environment(1)["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.fault("F113")
@pytest.mark.parametrize("value", [" ", "TensorFlow", "tensorflow ", "theano"])
def test_a_backend_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("KERAS_BACKEND", value)
    with pytest.raises(UsageError, match="known are tensorflow, jax, torch"):
        runtime.backend_name()


# -- cards ----------------------------------------------------------------------------------------------------------

CARDS = ["0, GPU-aaaa-1, NVIDIA A100", "1, GPU-aabb-2, Tesla T4", "2, GPU-cccc-3, NVIDIA A100"]
LISTED = [
    "GPU 0: NVIDIA A100 (UUID: GPU-aaaa-1)",
    "  MIG 3g.20gb     Device  0: (UUID: MIG-1111)",
    "  MIG 1g.5gb      Device  1: (UUID: MIG-2222)",
    "GPU 1: Tesla T4 (UUID: GPU-aabb-2)",
]


@pytest.mark.fault("F113")
@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        (None, "NVIDIA A100"),
        ("0", "NVIDIA A100"),
        ("1", "Tesla T4"),
        (" 1 ", "Tesla T4"),
        ("1,0", "Tesla T4"),
        ("2", "NVIDIA A100"),
        ("GPU-aabb-2", "Tesla T4"),
        ("GPU-aab", "Tesla T4"),
        ("GPU-aa", None),  # of two cards
        ("GPU-dddd", None),
        ("MIG-2222", "NVIDIA A100 MIG 1g.5gb"),
        ("MIG-9999", None),
        ("", None),
        ("-1", None),
        ("-1,0", None),
        ("3", None),
        ("NoDevFiles", None),
        ("none", None),
    ],
)
def test_the_card_that_a_process_will_see_gives_its_kind(monkeypatch, chosen, name):
    monkeypatch.setattr(machine, "_nvidia_smi", lambda *requested: LISTED if "-L" in requested else CARDS)
    assert machine.visible_card(chosen) == name


@pytest.mark.fault("F113")
def test_an_order_of_cuda_own_is_refused_where_cards_differ_and_only_there(monkeypatch):
    monkeypatch.setattr(machine, "_nvidia_smi", lambda *_: CARDS)
    with pytest.raises(UsageError, match="CUDA_DEVICE_ORDER=FASTEST_FIRST"):
        machine.visible_card("1", "FASTEST_FIRST")
    assert machine.visible_card("GPU-aabb", "FASTEST_FIRST") == "Tesla T4"
    monkeypatch.setattr(machine, "_nvidia_smi", lambda *_: [CARDS[0], CARDS[2].replace("2,", "1,")])
    assert machine.visible_card("1", "FASTEST_FIRST") == "NVIDIA A100"
    assert runtime.environment(1)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ("0", "2")),  # the second is of another kind
        ("1,0", ("1",)),
        (" 2 , 0", ("2", "0")),
        ("0,9,2", ("0",)),
        ("GPU-cccc,0", ("GPU-cccc", "0")),
        ("MIG-2222,MIG-1111", ("MIG-2222",)),
        ("", ()),
        ("-1", ()),
    ],
)
def test_jobs_are_spread_over_the_cards_of_the_firsts_kind(monkeypatch, chosen, expected):
    monkeypatch.setattr(machine, "_nvidia_smi", lambda *requested: LISTED if "-L" in requested else CARDS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    machine.own_device_kind.cache_clear()
    try:
        assert machine.cards() == expected
    finally:
        machine.own_device_kind.cache_clear()


# -- another repository ----------------------------------------------------------------------------------------------


def git(folder, *words):
    name = ["-c", "user.name=somebody", "-c", "user.email=s@example.org"]
    done = subprocess.run(["git", *name, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder):
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", f"a commit of {folder.name}")
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.fault("F120")
def test_a_copy_inside_another_repository_has_no_commit(monkeypatch, tmp_path):
    repository(tmp_path / "theirs")
    inner = tmp_path / "theirs" / "vendor" / "lungseg"
    inner.mkdir(parents=True)
    monkeypatch.setattr(machine, "ROOT", inner)
    assert (machine.source()["commit"], machine.source()["dirty"]) == (None, None)


@pytest.mark.fault("F120")
def test_a_checkout_has_its_own_commit_also_within_another_repository_or_its_hook(monkeypatch, tmp_path):
    other = repository(tmp_path / "theirs")
    ours = repository(tmp_path / "theirs" / "lungseg")
    monkeypatch.setattr(machine, "ROOT", tmp_path / "theirs" / "lungseg")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "theirs"))
    assert machine.source()["commit"] == ours != other


@pytest.mark.fault("F120")
def test_code_that_is_in_no_repository_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert machine.source()["commit"] is None


# -- saved models ----------------------------------------------------------------------------------------------------

LOAD = """
import sys, lungseg
assert not {"keras", "tensorflow"} & set(sys.modules)
for path in sys.argv[1:]:
    print(lungseg.load_model(path).output_shape)
"""


@pytest.mark.fault("F119")
@pytest.mark.parametrize("name", ["unet", "attention_unet"])
def test_a_saved_network_is_the_same_once_loaded(tmp_path, name):
    model = lungseg.build(name, (32, 32, 1), 2)
    model.save(tmp_path / "m.keras")
    loaded = lungseg.load_model(str(tmp_path / "m.keras"))
    assert all((one == other).all() for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True))
    assert loaded.output_shape == model.output_shape


@pytest.mark.fault("F119")
def test_loading_imports_every_module_that_registers_a_layer():
    """Else a file loads in the process that built it and in no other, which the test above would not see."""
    needed = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "lungseg").rglob("*.py")
        if "@keras.saving.register_keras_serializable" in path.read_text(encoding="utf-8")
    }
    waiting = {"lungseg.losses", *(function.__module__ for function in lungseg.ARCHITECTURES.values())}
    imported = set()
    while waiting:
        module = waiting.pop()
        imported.add(module)
        text = Path(sys.modules[module].__file__).read_text(encoding="utf-8")
        waiting |= set(re.findall(r"^from (lungseg\.architectures\.\w+) import", text, re.MULTILINE)) - imported
    assert needed <= imported
    assert len(needed) > 5


@pytest.mark.slow
@pytest.mark.fault("F119")
def test_saved_networks_load_in_another_process_with_their_own_layers(tmp_path):
    for name, width in (("unet", 2), ("swin_unet", 8)):
        lungseg.build(name, (32, 32, 1), width).save(tmp_path / f"{name}.keras")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *map(str, sorted(tmp_path.iterdir()))],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["(None, 32, 32, 1)"] * 2, done.stderr[-500:]


@pytest.mark.fault("F119", "F101")
def test_a_model_with_a_function_in_it_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)]).save(tmp_path / "m.keras")
    for allowed in (True, False):  # somebody's whole process may allow it; this reader still does not
        scope = keras.src.saving.serialization_lib.SafeModeScope(not allowed)
        with scope, pytest.raises(DataError, match=r"m\.keras: holds a layer of a function \(Lambda\)"):
            lungseg.load_model(tmp_path / "m.keras")


@pytest.mark.fault("F119")
@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("m.h5", b"x", UsageError),
        ("m.weights.h5", b"x", UsageError),
        ("m.keras", b"", DataError),
        ("m.keras", b"text", DataError),
        ("m.keras", None, DataError),
    ],
)
def test_what_is_no_saved_model_is_named(tmp_path, name, content, error):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=name):
        lungseg.load_model(tmp_path / name)


@pytest.mark.fault("F119")
def test_an_archive_of_something_else_and_unknown_layers_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(DataError, match=r"other\.keras: cannot be loaded"):
        lungseg.load_model(tmp_path / "other.keras")
    lungseg.build("unet", (32, 32, 1), 2).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = parts["config.json"].decode().replace("lungseg>MaxPooling2D", "theirs>MaxPooling2D")
    assert "theirs>" in text
    assert json.loads(text)
    parts["config.json"] = text.encode()
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    with pytest.raises(DataError, match=r"n\.keras: cannot be loaded"):
        lungseg.load_model(tmp_path / "n.keras")
