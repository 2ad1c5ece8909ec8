"""Soak: suite smoke again and again in one results folder, by two runs at once that are killed at random instants.

    python tests/soak.py --times 10 --seed 0 --results results/local/soak

A round starts two runs a moment apart; one gets the folder, the other must exit 6. The process group of either may be
killed (SIGKILL) at a random instant, and runs are started until one has finished the suite. Then every record must be
sealed and fit its inputs, two reports must have the same bytes, no unfinished file may be left, and the lock be free.
The records of all rounds must agree in what a training decides (counts, weights), since nothing but kills differed.
Each round but the first begins with the records removed, as every other one would find nothing to train.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import publish, suites  # noqa: E402
from bench.records.readable import readable  # noqa: E402
from bench.records.results import Results  # noqa: E402
from bench.running import lock  # noqa: E402
from lungseg import atomic  # noqa: E402

SUITE = suites.suite("smoke")
ALLOWED = {0, 6, -signal.SIGKILL}  # finished, folder in use, killed
MOST_STARTS = 60  # of a round; more means that a run never gets through


def start(results: Path, log: Any) -> subprocess.Popen[bytes]:
    """A run in a process group of its own."""
    command = [sys.executable, "-m", "bench", "run", SUITE.name, "--no-speed", "--results", str(results)]
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process group, as the kernel or an operator would."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def ended(processes: list[subprocess.Popen[bytes]], seconds: float) -> bool:
    """Wait until one ends or the time is up; whether one did."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            return True
        time.sleep(0.05)
    return False


def round_of(results: Path, chance: random.Random, longest: float, log: Any) -> tuple[int, int, int]:
    """Two runs at a time until one has finished; (runs, kills, refusals)."""
    runs = kills = refusals = 0
    while runs < MOST_STARTS:
        pair = [start(results, log)]
        time.sleep(chance.uniform(0, 1.5))
        pair.append(start(results, log))
        runs += 2
        # Later instants grow likelier, or a slow machine would never finish; a round's last runs are left alone.
        limit = chance.uniform(0, longest * (1 + runs / 4)) if runs < MOST_STARTS - 2 else 3600.0
        until = time.monotonic() + limit
        while (alive := [p for p in pair if p.poll() is None]) and time.monotonic() < until:
            ended(alive, min(1.0, max(0.0, until - time.monotonic())))
        for process in chance.sample(alive, len(alive)):
            kill(process)
            kills += 1
        codes = [process.wait() for process in pair]
        if wrong := set(codes) - ALLOWED:
            raise SystemExit(f"soak: a run ended with {sorted(wrong)}, see the log")
        if codes.count(0) > 1:
            raise SystemExit("soak: two runs worked in one folder at once")
        refusals += codes.count(6)
        if 0 in codes:
            return runs, kills, refusals
    raise SystemExit(f"soak: no run of {runs} finished; is --longest {longest:.0f} s too short for this machine?")


def problems(results: Path) -> list[str]:
    """Everything that is not as a run without kills would have left it."""
    result = readable(Results(results))
    wrong = [f"{path}: {why}" for path, why in result.unreadable.items()]
    wrong += publish.validate(result.records, partial=True)  # sealed, fits its inputs, each image once, identities
    expected = {cell.id for cell in suites.cells(SUITE)}
    have = {record.name for record in result.records}
    wrong += [f"cells {sorted(expected ^ have)} are missing or too many"] if expected != have else []
    for start_of_name in (atomic.FILE, atomic.FOLDER):  # before the lock is taken, which removes what it finds
        wrong += [f"{path}: unfinished" for path in results.rglob(f"{start_of_name}*")]
    with lock.held(Results(results)):  # raises if it is not free
        pass
    if report(results) != report(results):
        wrong.append("two reports differ")
    return wrong


def report(results: Path) -> dict[str, bytes]:
    """Make the report, return the bytes of its pages and figures."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "report", "--results", str(results)], cwd=ROOT, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"soak: report ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    places = [*results.glob("*.md"), *(results / "figures").glob("*.png")]
    return {path.name: path.read_bytes() for path in sorted(places)}


def decided(results: Path) -> dict[str, tuple[Any, ...]]:
    """What a training decides, by cell: weights and counts."""
    return {
        r.name: (r.weights_sha256, tuple((c.id, c.tp, c.fp, c.fn) for c in r.cases))
        for r in Results(results).all(SUITE.name)
    }


def main() -> int:
    """0 when every round left what an undisturbed run leaves, else 1."""
    parser = argparse.ArgumentParser(description="Kill runs at random, again and again, and check what is left.")
    parser.add_argument("--times", type=int, default=10, help="rounds (10)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (0)")
    parser.add_argument("--longest", type=float, default=60.0, help="seconds before a kill, at first (60)")
    parser.add_argument("--results", type=Path, default=ROOT / "results/local/soak", help="a folder of its own")
    options = parser.parse_args()
    results, chance = options.results, random.Random(options.seed)
    if results.exists() and not (results / "soak.log").exists():
        parser.error(f"{results}: exists and is not a soak's; name a folder of its own")
    results.mkdir(parents=True, exist_ok=True)
    first: dict[str, tuple[Any, ...]] = {}
    with (results / "soak.log").open("ab") as log:
        for number in range(1, options.times + 1):
            for name in ("runs", "cells"):
                shutil.rmtree(results / name, ignore_errors=True)
            began = time.monotonic()
            runs, kills, refusals = round_of(results, chance, options.longest, log)
            wrong = problems(results)
            first = first or decided(results)
            if decided(results) != first:
                wrong.append("weights or counts differ from the first round's")
            took = f"{time.monotonic() - began:.0f} s"
            print(f"round {number}: {runs} runs, {kills} killed, {refusals} refused, {took}", flush=True)
            if wrong:
                print("\n".join(["soak: failed", *wrong]), file=sys.stderr)
                return 1
    print(f"soak: {options.times} rounds left what undisturbed runs leave")
    return 0


if __name__ == "__main__":
    sys.exit(main())
