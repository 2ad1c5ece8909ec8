"""Names to functions that are imported only when asked for."""

import os.path

import pytest

from lungseg.errors import UsageError
from lungseg.registry import Registry

PATHS = Registry("path", {"join": "os.path:join", "split": "os.path:split", "ghost": "no_such_module:f"})


def test_names_are_known_before_anything_is_imported():
    assert list(PATHS) == ["join", "split", "ghost"]
    assert len(PATHS) == 3
    assert "ghost" in PATHS
    assert "rm" not in PATHS
    assert PATHS["join"] is os.path.join
    with pytest.raises(ModuleNotFoundError):
        PATHS["ghost"]


def test_unknown_name_lists_the_known():
    with pytest.raises(UsageError, match="unknown path 'rm': known are join, split, ghost"):
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
