"""Any value in any place of a record, sealed again: the report names it or shows it, and every other suite's page."""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import cell_name, ensembles, grid, record, sealed

from bench.__main__ import main
from bench.pages.suite_page import leaderboard_blocks
from bench.records import parse, store
from bench.statistics import stats

SMALL = {"folds": 2, "n": 8, "epochs": 5, "size": 16}
ODD = [
    None, True, False, 0, -1, 1, 2, 10**6, 10**18, 10**400, 0.5, -0.0, 1e-320, 1e308, -1e308, "", "ok", "px", "mm",
    "unet", "other", "../up", "a\nb", "\ud800", "x" * 300, [], [None], {}, {"a": []}, [[]] * 3, "one_empty",
    "2026-11-23T10:00:00", "0001-01-01T00:00:00", "crashed", "phantom+other", "reference:no-geometric", "strong",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
)


def kinds():
    """A training, an entry made of several, and a failed cell, with all that protocol 2 adds."""
    whole = grid(("unet",), seeds=(0, 1), suite="fake", **SMALL)
    for r in whole:
        recipe = {"name": "strong", "epochs": 5, "batch_size": 8}
        r |= {"inputs": {"protocol": 2, "graph": "g", "recipe": recipe}, "warnings": ["poor"], "reused_from": "another"}
        r["calibration"] = {"bins": [[10, 5.0, 5]] * 15, "brier": 0.1}
        for case in r["cases"]:
            keys = ("tp", "fp", "fn", "tn", "distance_unit", "hd95_mm", "hd95_state", "assd_mm", "nsd_2mm")
            case["at_stored"] = {"size": [16, 16], **{key: case[key] for key in keys}}
    failed = record("resunet", 0, suite="fake", status="oom", message="no memory", **SMALL)
    return json.loads(json.dumps([sealed(r) for r in [*whole, *ensembles(whole, "unet"), failed]]))


RECORDS = kinds()
OTHER = json.loads(json.dumps(grid(("unet", "resunet"), suite="other", **SMALL)))


def places(value, path=()):
    """Every place in a JSON value, of lists the first two."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*path, key)
        yield from places(below, (*path, key))


def changed(result, path, value, lost):
    made = deepcopy(result)
    at = made
    for key in path[:-1]:
        at = at[key]
    if lost:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made


def seal(result):
    """As `store.sealed`, of what no record may hold: another program's hash, by Python's own JSON."""
    try:
        return store.sealed(result)
    except (ValueError, RecursionError):
        return result


@st.composite
def mutants(draw):
    """Number of the record and the record with one to three places changed."""
    which = draw(st.integers(0, len(RECORDS) - 1))
    made = RECORDS[which]
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(made))))
        if path != ("record_sha256",):
            made = changed(made, path, draw(VALUES), draw(st.booleans()))
        if not made:
            break
    return which, made


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder of two suites, whose files are named as the store names them."""
    folder = tmp_path_factory.mktemp("fuzz")
    for r in [*RECORDS, *OTHER]:
        path = place(folder, r)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(r))
    return folder


def place(folder, result):
    suite, machine = result["cell"]["suite"], "tensorflow-cpu-float32"
    return folder / "runs" / suite / machine / f"{cell_name(result)}.json"


def report(results, *more):
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["report", "--no-figures", "--results", str(results), *more])
    return code, err.getvalue()


@pytest.mark.fault("F123")
@settings(max_examples=60)
@given(mutants())
def test_a_report_outlives_every_record_and_writes_every_other_page(results, mutant):
    which, made = mutant
    path, page = place(results, RECORDS[which]), results / "other.md"
    page.unlink(missing_ok=True)
    try:
        path.write_text(json.dumps(seal(made)))
        code, details = report(results)
    finally:
        path.write_text(json.dumps(RECORDS[which]))
    assert code in (0, 3), details
    assert (code == 3) == (path.name in details)
    text = page.read_text(encoding="utf-8")
    assert "## TensorFlow on CPU, float32" in text
    assert "Unreadable" not in text
    assert (results / "README.md").read_text(encoding="utf-8").count("](other.md)") >= 1


@settings(max_examples=150)
@given(mutants())
def test_what_was_edited_and_still_parses_makes_a_table(mutant):
    """Parsing is the only place that can reject a record: no page need be tried to know that it can be shown."""
    _, made = mutant
    try:
        result = store.read(Path("edited.json"), json.dumps(made), parse.record)
    except store.UnreadableRecord:
        return
    (leaderboard,) = stats.leaderboards([result])
    assert leaderboard_blocks(leaderboard, {})[0].startswith("## ")
