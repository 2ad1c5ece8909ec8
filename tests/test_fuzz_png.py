"""Mutated PNGs through the decoder: an array or a DataError, at once, in little memory, never a crash."""

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from png_mutations import mutated

from lungseg import images
from lungseg.errors import DataError

MAX_SECONDS, MAX_EXTRA_BYTES = 2.0, 256 << 20


def outcome(read, path: Path) -> str:
    """What became of one file: ``array``, or the kind of error that refused it. Anything else is raised."""
    try:
        pixels = read(path)
    except DataError as error:
        if not str(error).startswith(f"{path}: "):
            raise AssertionError(f"{error} does not name its file") from error
        return re.sub(r"[^a-z ]+", "", str(error).removeprefix(f"{path}: ").split(";")[0].split("(")[0]).strip()
    assert pixels.ndim == 2
    assert pixels.size
    if read is images.read_image:
        assert pixels.dtype == np.float32
        assert pixels.min() >= 0
        assert pixels.max() <= 1
    else:
        assert pixels.dtype == bool
    return "array"


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(folder: Path, count: int) -> dict[str, object]:
    """Read each mutation as image and as mask; what came of them, the slowest read and the extra memory."""
    path, outcomes = folder / "x.png", Counter()
    slowest, slowest_number = 0.0, -1
    mutated(0)
    before = peak_bytes()
    for number in range(count):
        path.write_bytes(mutated(number))
        for read in (images.read_image, images.read_mask):
            began = time.process_time()  # of this process: others may be busy
            try:
                outcomes[outcome(read, path)] += 1
            except BaseException as error:
                error.add_note(f"mutation {number}, {read.__name__}")
                raise
            seconds = time.process_time() - began
            if seconds > slowest:
                slowest, slowest_number = seconds, number
    return {
        "outcomes": dict(outcomes.most_common()),
        "slowest_seconds": round(slowest, 4),
        "slowest_mutation": slowest_number,
        "extra_megabytes": round((peak_bytes() - before) / 2**20, 1),
    }


def in_a_child(folder: Path, count: int) -> dict[str, object]:
    """As ``fuzz``, in a process of its own: a crash of the decoder must fail the test, not end the run.

    A decoder that never returns is ended by the limit of processor time, which other processes do not use up.
    """

    def limit():
        seconds = 30 + count // 50
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    command = [sys.executable, __file__, str(folder), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(images.__file__).parent.parent)}  # the code under test
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-3000:]}"
    result = json.loads(done.stdout)
    print(json.dumps(result, indent=1))
    return result


@pytest.mark.fault("F01", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F15")
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutated_png_is_an_array_or_a_data_error_at_once_and_in_little_memory(tmp_path, count):
    result = in_a_child(tmp_path, count)
    outcomes = result["outcomes"]
    assert sum(outcomes.values()) == 2 * count
    assert outcomes["array"] > count / 50, "nearly everything is refused: the mutations no longer reach the pixels"
    assert len(outcomes) > 8, "few kinds of refusal: the mutations have become alike"
    assert result["slowest_seconds"] < MAX_SECONDS
    assert result["extra_megabytes"] < MAX_EXTRA_BYTES / 2**20


if __name__ == "__main__":
    print(json.dumps(fuzz(Path(sys.argv[1]), int(sys.argv[2]))))
