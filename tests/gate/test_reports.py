"""What a verdict is written as: a page, numbers, JUnit XML."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from xml.etree import ElementTree

from bench.gate import Finding, Limits, Verdict, as_json
from bench.gate.reports import junit, markdown, numbers
from bench.records import store

GOOD = Finding("data", "cases whose ground truth changed", "0", "0", True)
WORSE = Finding("my.nets:a|b", "mean Dice", "0.9500", "0.9000", False, numbers={"now": 0.9, "margin": 0.01})
CHANGE = Finding(
    "my.nets:a|b", "Dice by image, change (lower bound)", "> -0.0100", "-0.0500 (-0.0600), p = 1.000", False,
    numbers={"change": -0.05, "bound": -0.06, "p": 1.0, "margin": 0.01},
)  # fmt: skip
SLOW = Finding("r2unet", "trained and scored", "yes", "no: timeout, \x1b[31mlong\x00", False, judged=False)


def summary(dice: float) -> dict[str, Any]:
    scores = {"dice": dice, "f1": dice, "validation_loss": 1 - dice, "counts": {}}
    return {"suite": "smoke", "machine": {"cpu": "one"}, "architectures": {"my.nets:a|b": scores}}


def verdict(*findings: Finding, code: int, **more: Any) -> Verdict:
    about = {"commit": "c" * 40, "dirty": False, "time": "2026-01-01T00:00:00+00:00", "seconds": 12.25}
    compared = [(summary(0.95), summary(0.9))]
    return Verdict(findings, "How strict.", code, compared, Limits(0.01, 0.5), about, **more)


def test_a_page_shows_scores_and_what_failed_before_all_checks_folded() -> None:
    page = re.sub(" +", " ", markdown(verdict(GOOD, WORSE, CHANGE, code=1, note="The baseline changed, too.")))
    score = r"| my.nets:a\|b | 0.9500 | 0.9000 | -0.0500 (not below -0.0600) | 0.01 | **FAIL** |"
    parts = [
        "gate: failed",
        score,
        "| FAIL | my.nets",
        "failed: 2 of 3",
        "baseline changed",
        "All 3 checks",
        "| ok | data",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert "| ok | data" not in page[: page.index("<details>")]
    assert markdown(verdict(GOOD, code=0)).count("| ok |") == 1


def test_numbers_are_numbers_with_commit_machines_time_and_limits() -> None:
    nothing = Finding("x", "mean Dice", "0.9", "nan", False, numbers={"now": math.nan})
    result = store.strict_json(json.dumps(numbers(verdict(GOOD, WORSE, CHANGE, nothing, code=1))))
    assert (result["exit"], result["verdict"], result["commit"], result["seconds"]) == (1, "failed", "c" * 40, 12.25)
    (run,) = result["runs"]
    scores = run["architectures"]["my.nets:a|b"]
    assert (scores["baseline"]["dice"], scores["now"]["dice"], run["machine"]) == (0.95, 0.9, {"cpu": "one"})
    assert result["limits"]["margin"] == 0.01
    assert result["findings"][2]["numbers"]["bound"] == -0.06
    assert as_json([nothing])[0]["numbers"] == {"now": None}, "strict JSON has no NaN"


def test_a_check_that_could_not_be_made_is_an_error_and_no_failure() -> None:
    text = junit(verdict(GOOD, WORSE, SLOW, code=1))
    (suite,) = ElementTree.fromstring(text)
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "time")} == {
        "tests": "3", "failures": "1", "errors": "1", "time": "12.2",
    }  # fmt: skip
    cases = {case.get("classname"): [child.tag for child in case] for case in suite}
    assert cases == {"data": [], "my.nets:a|b": ["failure"], "r2unet": ["error"]}
    assert "?[31mlong?" in text, "XML holds no control characters"
