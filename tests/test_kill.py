"""Killed at any instant, the same job ends with the same bits (FAULTS: persistence; `python tests/kill.py` for all)."""

import subprocess
import sys
from pathlib import Path

import pytest

KILL = Path(__file__).with_name("kill.py")


def kills(*arguments):
    done = subprocess.run([sys.executable, KILL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


@pytest.mark.fault("F62", "F80")
def test_twenty_kills_at_random_instants_cost_no_bit():
    assert "at random instants: 20 of 20 resumed to the same bits" in kills("--times", "20", "--no-writes")


@pytest.mark.slow
@pytest.mark.fault("F62", "F80")
def test_kills_at_200_instants_and_at_each_write_cost_no_bit():
    assert "at random instants: 200 of 200 resumed to the same bits" in kills()
