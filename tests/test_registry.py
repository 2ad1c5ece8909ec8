"""Names to functions that are imported only when asked for."""

import os.path
import sys

import pytest

from lungseg.architectures import FOLDER, Registry, is_outside
from lungseg.errors import UsageError

PATHS = Registry({"join": "os.path:join", "split": "os.path:split", "ghost": "no_such_module:f"})


def test_names_are_known_before_anything_is_imported():
    assert list(PATHS) == ["join", "split", "ghost"]
    assert len(PATHS) == 3
    assert "ghost" in PATHS
    assert "rm" not in PATHS
    assert PATHS["join"] is os.path.join
    with pytest.raises(ModuleNotFoundError):
        PATHS["ghost"]


def test_unknown_name_lists_the_known():
    with pytest.raises(UsageError, match="unknown architecture 'rm': known are join, split, ghost"):
        PATHS["rm"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("*", ["join", "split", "ghost"]),
        ("s*,j*", ["join", "split"]),
        ("join,join", ["join"]),
        (" split , ", ["split"]),
    ],
)
def test_patterns_match_in_table_order(patterns, names):
    assert PATHS.match(patterns) == names


@pytest.mark.parametrize("patterns", ["x*", "join,x*", "JOIN", "", " , "])
def test_pattern_that_fits_nothing_lists_the_known(patterns):
    with pytest.raises(UsageError, match="known are join, split, ghost"):
        PATHS.match(patterns)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of somebody else's modules, as the working directory."""
    package = tmp_path / "somebody_s"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "networks.py").write_text("def tiny():\n    return 'tiny'\n\nsize = 3\n")
    (package / "broken.py").write_text("import nowhere_to_be_found\n\n\ndef net(): ...\n")
    (tmp_path / "random.py").write_text("raise AssertionError('the standard module gave way')\n")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setenv(FOLDER, "")
    monkeypatch.delenv(FOLDER)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "somebody_s"]:
        del sys.modules[name]


def test_a_function_of_another_module_is_found_in_the_working_directory_and_takes_no_other_s_place(elsewhere):
    assert PATHS["somebody_s.networks:tiny"]() == "tiny"
    assert sys.path[-1] == os.environ[FOLDER] == str(elsewhere), "last, and told to processes that work elsewhere"
    assert PATHS.match("somebody_s.networks:tiny,s*") == ["split", "somebody_s.networks:tiny"]


def test_matching_imports_the_packages_around_a_module_alone(elsewhere):
    assert PATHS.match("somebody_s.broken:net") == ["somebody_s.broken:net"]
    assert "somebody_s.broken" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        PATHS["somebody_s.broken:net"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:f", "there is no module no_such_module; install it, or set LUNGSEG_MODULES"),
        ("somebody_s.absent:f", "there is no module somebody_s.absent"),
        ("os.path.absent:f", "there is no module os.path.absent"),
        ("__main__:f", "there is no module __main__"),
        ("somebody_s.networks:tyni", "module somebody_s.networks has no function 'tyni'"),
        ("somebody_s.networks:size", "has no function 'size'"),
        ("somebody_s/networks.py:tiny", "expected package.module:function"),
        ("a:b:c", "expected package.module:function"),
        (":f", "expected package.module:function"),
    ],
)
def test_a_function_that_is_not_there_is_told_with_its_module(elsewhere, name, words):
    with pytest.raises(UsageError, match=words):
        PATHS[name]
    if "no function" not in words:
        with pytest.raises(UsageError, match=words):
            PATHS.match(name)


@pytest.mark.parametrize(
    ("name", "outside"), [("a:b", True), ("a.b:c", True), ("unet", False), ("a.:c", False), ("a:b ", False)]
)
def test_which_names_are_of_other_modules(name, outside):
    assert is_outside(name) is outside
