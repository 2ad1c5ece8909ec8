"""Who types a word of version 0.1 is told today's in one line."""

from __future__ import annotations

import pytest

from bench.__main__ import main
from bench.cli.options import RENAMED_OPTIONS, RENAMED_VERBS, parser, renamed
from lungseg.errors import UsageError
from lungseg.recipes import OLD_RECIPES, OLD_VARIANTS, recipe


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "quick", "--slots", "2"], "--slots is called --workers now"),
        (["tune", "quick", "--slots=2"], "--slots is called --workers now"),
        (["ensemble", "quick", "--views"], "--views is called --tta now"),
        (["strata", "quick"], "strata is called subgroups now"),
    ],
)
def test_an_old_word_of_the_command_line_names_the_new_one(arguments, hint, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(f"error: {hint}")


def test_every_new_word_of_the_command_line_exists():
    options = {"--workers": ["run", "quick", "--workers", "2"], "--tta": ["ensemble", "quick", "--tta"]}
    assert options.keys() == set(RENAMED_OPTIONS.values())
    for arguments in (*options.values(), *([verb, "quick"] for verb in RENAMED_VERBS.values())):
        parser().parse_args(arguments)
    assert renamed(["run", "quick", "--workers", "2"]) is None


@pytest.mark.parametrize(
    "old", [*OLD_RECIPES, *(f"strong:{variant}" for variant in OLD_VARIANTS), "strong:elastic+mirror"]
)
def test_an_old_recipe_names_the_new_one(old):
    part = old.rpartition("+")[2].rpartition(":")[2]
    with pytest.raises(UsageError, match=f"{part} is called {(OLD_RECIPES | OLD_VARIANTS)[part]} now"):
        recipe(old)
