"""Two processes, one seed, the same bits, for every registered architecture: what every comparison rests on."""

import json
import subprocess
import sys
from pathlib import Path

from lungseg import ARCHITECTURES

PROGRAM = Path(__file__).with_name("determinism.py")


def test_two_processes_with_one_seed_end_with_the_same_bits():
    runs = [
        subprocess.Popen([sys.executable, PROGRAM, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    first, again = (json.loads(out) for out, _ in said)
    assert first == again
    assert list(first)[:-1] == list(ARCHITECTURES)
