"""A refactoring must not move a score, and a change that does must raise the protocol's version."""

import golden
import pytest

from bench.running.inputs import PROTOCOL


def test_the_golden_run_is_of_this_protocol():
    kept = golden.stored()
    assert kept["protocol"] == PROTOCOL, "PROTOCOL rose: `python tests/golden.py` writes the new golden run"
    assert set(kept["curves"]) == set(golden.RUNS), "`python tests/golden.py` adds a run"


@pytest.mark.fault("F76")
@pytest.mark.parametrize("name", golden.RUNS)
def test_the_same_inputs_still_give_the_same_curves(name, tmp_path):
    found, kept = golden.run(name, tmp_path), golden.stored()["curves"][name]
    for curve, values in kept.items():
        assert found[curve] == pytest.approx(values, abs=golden.ROUNDING, rel=0), (
            f"{curve} of {name} moved: if this is meant, raise PROTOCOL in bench/running/inputs.py (old records no"
            " longer fit) and write tests/golden.json anew; if not, it is not the refactoring that it was meant to be"
        )
