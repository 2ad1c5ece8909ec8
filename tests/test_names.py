"""No word of the project's old vocabulary remains: the field's own are used in code, help texts, records and pages."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from bench.cli.options import parser
from bench.records import store
from bench.records.results import Results
from lungseg.recipes import JOINED, RECIPES, VARIANT_NAMES

ROOT = Path(__file__).resolve().parents[1]

# old word -> the field's, as identifiers: names of functions, classes, arguments, attributes and variables
IDENTIFIERS = dict(
    pair.split()
    for pair in """
    average_share ema_decay|AverageWeights WeightEMA|truth target|guess prediction|guesses predictions
    superiority probability_of_improvement|of_methods generalises_over_seeds|first_ahead probability_of_improvement
    enlarged with_extra_train|scored_on test_set|trained_on train_set|limit_s timeout_s|Slots Workers
    Material SuiteData|material suite_data|gather load_suite_data|locate resolve_root|surroundings provenance
    Fitted TrainedModel|put_back restore|resolved recipe_settings|likeness consistency|still_rising not_converged
    doubts warnings|doubtful flagged|levelled converged|Vetted Validated|vetted validated|vetting validation
    Setting Conditions|Section Leaderboard|Place RankStats|Counterpart MatchedRow|PHYSICIANS INTER_OBSERVER
    meant expected_change|settled steady_state|busy contended|speed_probe worker|Speeds ThroughputTable
    speed_table throughput_table|Keeper CheckpointCallback|Watcher OnEpoch|bought held_out_gain|promised inner_score
    Style LayerFactory|forever repeat|varied augmented|bent elastic_map|suspicions warnings|census summary
    inspection checks|brushes drawing|cheap fast|dear slow|by_heart overfits|over_views with_tta|rim tolerance
    rim_dice tolerance_dice|narrowed select|only_folds fold_subset|taken_over reused|taken_from reused_from
    take_over reuse_record|refuse_seen check_leakage|refuse_changes check_unchanged|strata subgroups|Strata Subgroups
    told describe|found result|asked requested|theirs other|besides extra_train|only_folds fold_subset
    share_of_limit fraction_of_peak|others_cpu_share background_load|DOCUMENT REFERENCE|BRIEF SMOKE
    """.replace("\n", "|").split("|")
    if pair.strip()
)
# the same as words of texts that users read
PHRASES = {
    r"told apart": "significantly different",
    r"doubtful trainings?": "training warnings",
    r"levelled off": "converged",
    r"(?<!ground )(?<!ground\n)\btruth\b": "ground truth",
    r"\bstrata\b": "subgroups",
    r"--slots\b": "--workers",
    r"--views\b": "--tta",
    r"\+views\b": "+tta",
    r"share of limit": "fraction of peak",
    r"small-batches": "batch-4",
    r"twice-epochs": "epochs-300",
    r"weight-average": "ema",
    r"\bthorough\b": "long",
    r"no-pose\b": "no-geometric",
    r"no-exposure\b": "no-intensity",
    r"recipe document\b": "recipe reference",
    r"those of earlier commands counted": "including resumed ones",
    r"no part of a result\b": "does not affect results",
}
KEYS = {
    "scored_on", "trained_on", "average_share", "mirror", "rim", "truth_pixels", "truth_components", "truth_holes",
    "taken_from", "doubts", "views",
}  # fmt: skip
# Where an old word is meant: what tells of it, and what it means elsewhere.
ALLOWED_FILES = {"tests/test_names.py"}
ALLOWED = {("lungseg/datasets/phantom", "rim"), ("lungseg/datasets", "mirror"), ("tests/test_phantom.py", "rim"),
           ("lungseg/datasets", "guess"), ("lungseg/datasets", "truth")}  # fmt: skip


def sources():
    files = [path for folder in ("lungseg", "bench", "tests") for path in (ROOT / folder).rglob("*.py")]
    return [path for path in sorted(files) if path.relative_to(ROOT).as_posix() not in ALLOWED_FILES]


@cache
def identifiers(path):
    """Every name that a file binds or uses."""
    result = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                result.update(value.split("."))
        if isinstance(node, ast.ImportFrom):
            result.update((node.module or "").split("."))
    return result


def allowed(path, word):
    name = path.relative_to(ROOT).as_posix()
    return any(name.startswith(where) and word == allowed_word for where, allowed_word in ALLOWED)


def test_no_old_word_names_anything_in_the_code():
    wrong = [
        f"{path.relative_to(ROOT)}: {word} (say {IDENTIFIERS[word]})"
        for path in sources()
        for word in sorted(identifiers(path) & IDENTIFIERS.keys())
        if not allowed(path, word)
    ]
    assert not wrong, "\n".join(wrong)


def texts():
    """What users read: help texts, pages that are generated, and the guides."""
    yield "--help", parser().format_help()
    for verb, sub in next(a for a in parser()._actions if hasattr(a, "choices") and a.choices).choices.items():
        yield f"{verb} --help", sub.format_help()
    for path in (*sorted((ROOT / "results").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_old_word_is_shown_to_users():
    wrong = [
        f"{name}: {result[0]} (say {new})"
        for name, text in texts()
        for old, new in PHRASES.items()
        if (result := re.search(old, text, re.IGNORECASE))
    ]
    assert not wrong, "\n".join(wrong)


def test_an_address_without_an_owner_says_that_it_must_be_replaced():
    """There is no public address yet: who copies the line as it stands gets an error of pip or GitHub."""
    files = [ROOT / "action.yml", ROOT / "CITATION.cff", ROOT / "pyproject.toml", *(ROOT / "docs").glob("*.md")]
    every = [*texts(), *((path.name, path.read_text(encoding="utf-8")) for path in files)]
    lacking = [
        f"{name}: {part}" for name, text in every for part in text.split("\n\n")
        if "OWNER/" in part and "replace OWNER" not in part
    ]  # fmt: skip
    assert lacking == []


def test_recipes_and_their_variants_have_the_fields_names():
    assert {"reference", "smoke", "quick", "strong"} <= RECIPES.keys()
    assert not {"document", "brief", "short"} & RECIPES.keys()
    assert not {"small-batches", "twice-epochs", "weight-average", "mirror", "no-pose"} & set(VARIANT_NAMES)
    assert "thorough" not in JOINED


def keys(value):
    if isinstance(value, dict):
        return set(value).union(*(keys(held) for held in value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_no_committed_record_has_an_old_key_or_name():
    for path in Results(ROOT / "results").paths():
        record = store.strict_json(path.read_text(encoding="utf-8"))
        assert not keys(record) & KEYS, path
        assert not any(re.search(old, path.stem) for old in PHRASES), path


MODULES = {"cell", "pooling", "confusion"}
CLASSES = {"Job", "Pace", "Journal", "Finding", "Limits", "Row"}
FUNCTIONS = {"duration", "slug", "busy_seconds"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_two_modules_have_one_name(name):
    assert sum(path.stem == name for path in sources() if path.relative_to(ROOT).parts[0] != "tests") <= 1


@pytest.mark.parametrize("name", sorted(CLASSES | FUNCTIONS))
def test_no_two_things_have_one_name(name):
    pattern = re.compile(rf"^(class|def) {name}\b|^{name} = ", re.M)
    result = [p for p in sources() if p.relative_to(ROOT).parts[0] != "tests" and pattern.search(p.read_text())]
    assert len(result) <= 1, result
