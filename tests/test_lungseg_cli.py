"""`python -m lungseg`: exit codes, plain messages, and nothing imported that a verb does not need."""

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lungseg import images, terminal
from lungseg.__main__ import main
from lungseg.datasets import fetch


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("img", "mask"):
        (tmp_path / name).mkdir()
    pixels = np.arange(30 * 30, dtype=np.uint16).reshape(30, 30)
    images.write_png(tmp_path / "img" / "a.png", pixels)
    images.write_png(tmp_path / "mask" / "a.png", (pixels % 30 < 10).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize(("verb", "remedy"), [
    (["train", "folder", ".", "m"], "the same command goes on"),
    (["predict", "a.png"], "the same command with --skip-existing goes on"),
    (["demo"], "no partial files are left"),
])  # fmt: skip
def test_who_interrupts_is_told_how_to_go_on(monkeypatch, capsys, verb, remedy):
    from lungseg import cli

    def interrupted(arguments):
        raise KeyboardInterrupt

    for module in cli.VERBS[1:]:  # `data` has a function for each of its own
        monkeypatch.setattr(module, "run", interrupted)
    code, out, err = run(capsys, *verb)
    assert (code, out) == (130, "")
    assert remedy in err


def test_a_score_without_an_interval_says_why(capsys):
    """Seven patients: the bounds are the mean, and [0.9783, 0.9783] would look like certainty."""
    from lungseg import evaluation
    from lungseg.cli.train import describe

    def line(values, patients):
        return describe({"set": "mine", "at": "stored", **evaluation.summary(values, patients)})

    assert line([0.9, 0.8], ["a", "a"]) == (
        "Dice 0.8500 (no interval: fewer than 8 patients), 2 images of 1 patient (mine), at the masks' stored size"
    )
    assert "(no interval: fewer than 8 patients)" in line([0.9, 0.8] * 4, [*"abcdefga"])
    assert "(no interval: all patients have the same value), 8 images" in line([0.5] * 8, [*"abcdefgh"])
    assert "0.8500 [0." in line([0.9, 0.8] * 4, [*"abcdefgh"])


def test_an_output_below_a_file_or_in_a_folders_place_says_which(root):
    from lungseg import atomic
    from lungseg.errors import EnvironmentFailure

    (root / "file").touch()
    with pytest.raises(EnvironmentFailure, match=r"because .*file is a file; choose another folder"):
        atomic.write_bytes(root / "file" / "lungs.csv", b"")
    with pytest.raises(EnvironmentFailure, match=r"img: is a folder; give the name of a file"):
        atomic.write_bytes(root / "img", b"")


def test_a_recipe_that_is_none_is_told_before_the_set_is_read(tmp_path, capsys):
    code, _, err = run(capsys, "train", "folder", tmp_path / "none", tmp_path / "model", "--recipe", "best")
    assert code == 2
    assert "unknown recipe 'best'" in err


@pytest.mark.parametrize(("place", "words"), [
    ("img", "is a folder; give the name of a file"), ("img/a.png/scores", "nothing can be written to"),
])  # fmt: skip
def test_a_file_that_cannot_be_written_at_the_end_is_told_before_the_work(root, capsys, place, words):
    from bench.__main__ import main as bench

    model = root / "model"  # there is none: whoever looked for it first would say so
    for command, given in (
        (main, ["evaluate", str(model), "folder", str(root), "--json"]),
        (main, ["data", "verify", "folder", "x", "--pairs"]),
        (bench, ["gate", "--junit"]), (bench, ["compare", "smoke", "--junit"]), (bench, ["gate-speed", "--junit"]),
        (bench, ["baseline", "--baseline"]),
    ):  # fmt: skip
        try:
            code = command([*given, str(root / place)])
        except SystemExit as done:
            code = done.code
        assert code == 2
        assert words in capsys.readouterr().err


def test_pairs_are_not_written_into_the_set_which_would_then_be_refused(root, capsys):
    code, out, err = run(capsys, "data", "verify", "folder", root, "--pairs", root / "pairs.csv")
    assert (code, out) == (2, "")
    assert "lies in the dataset" in err
    assert run(capsys, "data", "verify", "folder", root)[0] == 0
    aside = root / "notes" / "pairs.csv"
    aside.parent.mkdir()
    assert run(capsys, "data", "verify", "folder", root, "--pairs", aside)[0] == 0, "nothing is read there"
    assert run(capsys, "data", "verify", "folder", root)[0] == 0


@pytest.mark.parametrize("forms", ["all", "litert-float32,onnx"])
def test_a_package_that_an_export_lacks_is_told_before_any_work(tmp_path, capsys, monkeypatch, forms):
    import model_folders

    from lungseg import engine, exporting

    model, real = model_folders.make(tmp_path / "model"), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "tf2onnx" or None)
    monkeypatch.setattr(engine, "start", lambda *_: pytest.fail("began to work"))
    code, out, err = run(capsys, "export", model, tmp_path / "out", "--forms", forms)
    monkeypatch.setattr(importlib.util, "find_spec", real)
    assert (code, out) == (6, "")
    assert err == f"lungseg: tf2onnx not installed: {exporting.INSTALL}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("level", ["3", "2"])
def test_notices_of_tensorflow_are_held_back_and_nothing_else(monkeypatch, capfd, level):
    """As TensorFlow 2.21 writes them, past Python; a command says no word of WARNING where nothing is wrong."""
    from lungseg import stderr_filter

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    notices = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795819179.356912    3055 port.cc:153] oneDNN custom operations are on.\n"
    )
    errors = "E0000 00:00:1795818550.755568   31649 cuda_platform.cc:52] failed call to cuInit\nImportWarning: odd\n"

    def imported():
        with stderr_filter.without_notices():
            os.write(2, (notices + errors).encode())
            raise ImportError

    with pytest.raises(ImportError):
        imported()
    os.write(2, b"after\n")
    shown = capfd.readouterr().err
    assert shown == ("" if level == "3" else notices) + errors + "after\n"


@pytest.mark.parametrize(
    ("does", "code", "reason"),
    [
        ("raise ImportError('libnccl.so.2: cannot open shared object file')", 6, "(libnccl.so.2: cannot open "),
        ("raise RuntimeError('compiled for NumPy 1')", 6, "(RuntimeError: compiled for NumPy 1); install it anew"),
        ("raise ValueError('numpy.dtype size changed')", 6, "(ValueError: numpy.dtype size changed); install it anew"),
        ("import os; os.write(2, b'F0000 needs AVX2'); os.abort()", -6, "F0000 needs AVX2"),
    ],
)
def test_why_a_backend_cannot_be_imported_is_told_in_its_own_words(tmp_path, does, code, reason):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(does)
    command = [sys.executable, "-m", "lungseg", "train", "montgomery", str(tmp_path / "set"), "m", "--size", "32"]
    assert main(["data", "phantom", str(tmp_path / "set"), "--n", "6", "--size", "64"]) == 0
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr


def test_where_no_process_can_hold_notices_back_they_are_shown(monkeypatch, capfd):
    from lungseg import stderr_filter

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = len(os.listdir("/proc/self/fd"))
    with stderr_filter.without_notices():
        os.write(2, b"I0000 00:00:00.0 1 x] a notice\n")
    assert len(os.listdir("/proc/self/fd")) == before
    assert capfd.readouterr().err == "I0000 00:00:00.0 1 x] a notice\n"


def test_without_standard_error_notices_are_of_no_concern(monkeypatch):
    from lungseg import stderr_filter

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr(sys, "stderr", None)
    with stderr_filter.without_notices():
        pass


class Unread(io.StringIO):
    """Standard output of which nobody reads a line."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def run_unread(monkeypatch, *arguments):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Unread())
        patch.setattr(terminal, "silence", lambda: None)
        return main([str(argument) for argument in arguments])


def test_files_and_card_are_written_whoever_reads_the_output(root, monkeypatch):
    """`evaluate ... | head -0` after an hour of evaluation, or standard output on a full disk."""
    import model_folders

    from lungseg import engine, model_folder

    class Half:
        name = "keras"

        def __call__(self, images):
            return np.full(images.shape, 0.6, np.float32)

    monkeypatch.setattr(engine, "start", lambda *_: Half())
    model = model_folders.make(root / "model")
    given = ["evaluate", model, "folder", root, "--to-card", "mine", "--json", root / "scores.json"]
    assert run_unread(monkeypatch, *given) == 6
    assert [score["set"] for score in model_folder.open_folder(model).card.scores] == ["mine"] * 2
    assert (root / "scores.json").exists()


def test_a_name_that_no_card_may_hold_is_told_before_the_evaluation(root, monkeypatch, capsys):
    import model_folders

    from lungseg import engine

    monkeypatch.setattr(engine, "start", lambda *_: pytest.fail("went on to evaluate"))
    model = model_folders.make(root / "model")
    code, _, err = run(capsys, "evaluate", model, "folder", root, "--to-card", "./mine")
    assert (code, err) == (
        2,
        "lungseg: --to-card ./mine: holds the path './mine'; a card must not name files of a machine\n",
    )


def test_pairs_are_written_whoever_reads_the_output(root, monkeypatch, tmp_path_factory):
    pairs = tmp_path_factory.mktemp("aside") / "pairs.csv"
    assert run_unread(monkeypatch, "data", "verify", "folder", root, "--pairs", pairs) == 6
    assert pairs.exists()


def test_the_cards_of_shipped_models_are_not_written_to(root, capsys):
    """In site-packages, where whoever uses the model next would find another's scores in it."""
    from lungseg import model_folder

    before = (model_folder.SHIPPED / "lwnet-128" / "card.json").read_bytes()
    code, out, err = run(capsys, "evaluate", "lwnet-128", "folder", root, "--to-card", "mine")
    assert (code, out) == (2, "")
    assert err.startswith("lungseg: lwnet-128: is the package's own; copy ")
    assert (model_folder.SHIPPED / "lwnet-128" / "card.json").read_bytes() == before


def test_a_sound_set_is_0_with_its_table_on_stdout(root, capsys):
    code, out, err = run(capsys, "data", "verify", "folder", root)
    assert (code, err) == (0, "")
    assert "30 x 30 (1)" in out


@pytest.mark.fault("F02", "F03")
def test_broken_data_is_3_with_every_offender_on_stderr(root, capsys):
    (root / "img" / "a.png").write_bytes(b"")
    (root / "mask" / "a.png").write_text("no")
    code, out, err = run(capsys, "data", "verify", "folder", root)
    assert code == 3
    assert "0 usable" in out
    assert "img/a.png: empty file" in err
    assert "mask/a.png: not a PNG" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["data"],
        ["data", "nosuch"],
        ["data", "fetch", "nosuch"],
        ["data", "fetch", "shenzhen"],
        ["data", "fetch", "montgomery", "x", "--url", "ftp://example.org/x.zip"],
        ["data", "fetch", "montgomery", "."],
        ["data", "verify", "nosuch", "."],
        ["data", "phantom", "x", "--n", "0"],
        ["data", "phantom", "x", "--size", "12y"],
        ["data", "phantom", "x", "--seed", "4294967296"],
        ["data", "phantom", "x", "--seed", "-1"],
    ],
    ids=" ".join,
)
def test_a_mistaken_command_is_2_and_touches_nothing(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "x.png"), 6, "x.png: No space left on device"),
        (ZeroDivisionError("division by zero"), 70, "internal error (ZeroDivisionError: division by zero)"),
    ],
)
def test_whatever_happens_has_its_exit_code(failure, code, message, monkeypatch, capsys):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(fetch, "fetch", fail)
    result, _, err = run(capsys, "data", "fetch", "montgomery")
    assert result == code
    assert message in err
    assert "Traceback" not in err


@pytest.mark.fault("F18")
def test_a_file_name_cannot_write_escape_codes_to_the_terminal(root, capsys):
    (root / "img" / "b\x1b[31m\n.png").write_bytes(b"")
    code, _, err = run(capsys, "data", "verify", "folder", root)
    assert code == 3
    assert "\x1b" not in err
    assert "b\\x1b[31m\\n.png: has no mask" in err


def test_a_phantom_set_is_written_and_verified(tmp_path, capsys):
    arguments = ("data", "phantom", tmp_path / "set", "--n", "2", "--size", "64x48", "--seed", "3")
    assert run(capsys, *arguments)[0] == 0
    code, out, _ = run(capsys, "data", "verify", "phantom", tmp_path / "set")
    assert code == 0
    assert "64 x 48 (2)" in out
    assert run(capsys, *arguments)[0] == 0  # there already
    assert run(capsys, *arguments[:-1], "4")[0] == 2  # another set's place


@pytest.mark.fault("F17")
def test_a_file_without_read_permission_is_3_and_named(root, capsys, monkeypatch):
    locked = root / "img" / "a.png"
    locked.chmod(0)
    if os.geteuid() == 0:  # root may read everything, so the refusal is acted
        whole = Path.open

        def refuse(path, *arguments, **options):
            if path == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return whole(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", refuse)
    code, _, err = run(capsys, "data", "verify", "folder", root)
    assert code == 3
    assert "img/a.png: cannot be read (Permission denied)" in err


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)


BACKENDS = {"jax", "keras", "tensorflow", "torch"}
HEAVY = BACKENDS | {"cv2", "numpy", "requests", "scipy"}


@pytest.mark.fault("F35")
@pytest.mark.parametrize(
    ("arguments", "code", "unwanted"),
    [
        (["--help"], 0, HEAVY),
        (["data", "fetch", "--help"], 0, HEAVY),
        (["data", "fetch", "nosuch"], 2, HEAVY),
        (["data", "verify", "folder", "."], 3, BACKENDS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_needs_no_pixels_answers_at_once(arguments, code, unwanted, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
    monkeypatch.chdir(tmp_path)
    before = os.times().children_user
    done = python("-X", "importtime", "-m", "lungseg", *arguments)
    seconds = os.times().children_user - before  # of the processor, which others may be using too
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert done.returncode == code
    assert "argparse" in imported
    assert not imported & unwanted
    assert seconds < 1  # 0.1 to 0.3 s where this was written


def test_a_network_of_another_package_is_sent_to_where_it_can_be_trained(tmp_path, capsys):
    assert main(["train", "folder", str(tmp_path), str(tmp_path / "model"), "--arch", "json.tool:main"]) == 2
    assert "--arch: json.tool:main: a model folder runs no code" in capsys.readouterr().err
