"""The table of faults tells the worst of what happened, and reads marks from sources as pytest does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from fault_table import FaultTable, Shown, marked, table
from faults import FAULTS, NOT_APPLICABLE, PARTS


def shown(**outcomes):
    result = Shown()
    result.outcomes.update(outcomes)
    return result


def line(key, text):
    return next(line for line in text.splitlines() if line.startswith(f"| {key} |"))


def test_each_fault_has_a_number_of_its_own():
    numbers = [int(key.removeprefix("F")) for part in PARTS.values() for key in part]
    assert len(set(numbers)) == len(numbers)
    assert set(range(1, 106)) <= set(numbers)
    assert all(fault and expected for fault, expected in FAULTS.values())


def test_several_processes_are_refused_since_each_would_see_its_own_tests_only(tmp_path):
    one = f"{__file__}::test_each_fault_has_a_number_of_its_own"  # not this one: without the refusal it would never end
    requested = [sys.executable, "-m", "pytest", "-n", "2", "--fault-table", str(tmp_path / "t.md"), one]
    run = subprocess.run(requested, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--fault-table sees the tests of one process only: add WORKERS=0" in run.stderr
    assert not (tmp_path / "t.md").exists()


def test_the_worst_outcome_is_told_and_a_skip_with_its_reason():
    lost = shown(skipped=1)
    lost.reasons.add("no tmpfs |\nhere")
    text = table({
        "F70": {"tests/test_a.py::one": shown(passed=3), "tests/test_a.py::two": shown(passed=1, failed=1)},
        "F71": {"tests/test_a.py::three": shown(passed=2), "tests/test_a.py::four": lost},
        "F72": {"tests/test_a.py::four": lost},
        "F73": {"tests/test_a.py::five": Shown(defaultdict(int, passed=1), slow=True)},
    })  # fmt: skip
    assert "`test_a.py::one` (3)<br>`test_a.py::two` (2) | **failed** |" in line("F70", text)
    assert line("F71", text).endswith("| passed, some skipped; no tmpfs \\| here |")
    assert line("F72", text).endswith("| skipped; no tmpfs \\| here |")
    assert "`test_a.py::five` (slow) | passed |" in line("F73", text)
    assert line("F74", text).endswith("| - | **not shown** |")
    assert "cannot happen: no YAML" in line("F103", text)
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in text.splitlines() if row.startswith("| F")}) == 1


def test_marks_are_read_from_sources(tmp_path):
    (tmp_path / "test_x.py").write_text(
        'import pytest\npytestmark = pytest.mark.fault("F01")\n'
        '@pytest.mark.fault("F02", "F03")\ndef test_a(): "F09"\n'
        'CASES = [pytest.param(1, marks=pytest.mark.fault("F04"))]\n# pytest.mark.fault("F05")\n'
    )
    assert set(marked(tmp_path)) == {"F01", "F02", "F03", "F04"}


def test_an_unknown_fault_stops_the_collection():
    class Item:
        nodeid = "tests/test_x.py::test_a"

        @staticmethod
        def iter_markers(name):
            unknown = "F999"  # no literal, or the scan of the sources would find it
            return [pytest.mark.fault(unknown).mark]

    with pytest.raises(pytest.UsageError, match=r"no such fault .*F999"):
        FaultTable(None).pytest_collection_modifyitems([Item()])


def test_every_fault_has_a_test_or_a_reason_why_it_cannot_happen():
    result = marked(Path(__file__).parent)
    assert sorted(set(result) - set(FAULTS)) == [], "marks of faults that tests/faults.py does not list"
    assert [key for key in FAULTS if key not in result and key not in NOT_APPLICABLE] == []
    assert [key for key in NOT_APPLICABLE if key in result] == [], "can it happen, or can it not?"
