"""The verbs that judge: `gate`, `compare` and `baseline`, from options to exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import suites
from bench.paths import near
from bench.records.results import Results
from bench.running.suite_run import INTERRUPTED, PARTIAL, train
from lungseg import runtime
from lungseg.errors import EnvironmentFailure
from lungseg.terminal import silence

if TYPE_CHECKING:
    from bench.gate import Finding


def gate(options: argparse.Namespace) -> int:
    """0 all is well, 1 regression, 4 not all could be judged, 5 not comparable."""
    from bench import gate as guard

    before = guard.load_baseline(options.baseline)
    now = _smoke(options.results)
    findings = guard.compare(before, now)
    return _verdict(findings, guard.explain(before, now), options.results.root / "gate")


def compare(options: argparse.Namespace) -> int:
    """Any two sets of records of a suite, as after a meant change or with other seeds; codes as of the gate."""
    from bench import gate as guard

    suite = suites.narrowed(suites.suite(options.suite), options.arch)
    before, now = (guard.summarise_results(folder, suite) for folder in (options.baseline, options.candidate))
    shared = sorted(before.keys() & now.keys())
    if not shared:
        raise guard.NotComparable(
            f"records made on {', '.join(before)} against records made on {', '.join(now)}; run both on one machine"
        )
    findings = [
        replace(found, subject=f"{found.subject} ({key})") if len(shared) > 1 else found
        for key in shared
        for found in guard.compare(before[key], now[key], meant=True)
    ]
    strictness = guard.explain(before[shared[0]], now[shared[0]], meant=True)
    others = [] if options.arch else guard.left_out(options.candidate, suite)
    more = f" Not compared: {', '.join(others)} (--arch '*' compares all)." if others else ""
    return _verdict(findings, strictness + more, options.results.root / f"compare-{suite.name}")


def baseline(options: argparse.Namespace) -> int:
    """Write a new baseline; 4 when a cell failed or the run would not pass its own gate: nothing is written then."""
    from bench import gate as guard
    from bench.records import store

    now = _smoke(options.results)
    missing = set(suites.SUITES["smoke"].architectures) - set(now["architectures"]) - now.get("failed", {}).keys()
    wrong = [f"{name} failed" for name in sorted(missing)]
    wrong += [f"{f.subject}: {f.what} {f.now}" for f in guard.compare(now, now) if not f.ok]
    if wrong:
        print(f"no baseline written: {'; '.join(wrong)}", file=sys.stderr)
        return PARTIAL
    store.write_text(options.baseline, store.layout(now))
    print(f"written: {near(options.baseline)}")
    return 0


def _smoke(results: Results) -> dict[str, Any]:
    """Suite smoke trained from nothing: the fingerprint does not cover the code, which is what is on trial.

    Only what smoke itself left is removed, and the cache: the folder may hold other suites' hours.
    """
    from bench import gate as guard
    from bench.gate import dry_run
    from bench.running import data, lock

    runtime.require()  # before anything is removed
    smoke = suites.SUITES["smoke"]
    with lock.held(results):
        for folder in results.forget(smoke.name):
            if folder.exists():  # a symbolic link, say; old records would pass for what this code yields
                raise EnvironmentFailure(f"{folder}: cannot be removed; remove it by hand or choose another --results")
        root = data.locate(smoke, None, results)
        code, material = train(smoke, root, results, take_over=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        scripted = dry_run.facts(smoke, root, results)
        return guard.summarise(smoke, material, results.all(smoke.name), scripted)


def _verdict(findings: Sequence[Finding], strictness: str, path: Path) -> int:
    """Print the table, write it as Markdown and JSON, add it to a job's summary. Returns the exit code."""
    from bench import gate as guard
    from bench.gate import terminal
    from bench.records import store

    code = guard.exit_code(findings)
    text = terminal.findings(findings, strictness, code)
    store.write_text(path.with_suffix(".md"), text + "\n")
    about = {"exit": code, "strictness": strictness, "findings": guard.as_json(findings)}
    store.write_text(path.with_suffix(".json"), store.layout(about))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:  # the verdict is what this was run for
            print(f"warning: GITHUB_STEP_SUMMARY={summary}: {error.strerror}; not written there", file=sys.stderr)
    try:
        print(text, flush=True)  # last: whoever reads it may have gone
    except BrokenPipeError:
        raise
    except OSError as error:
        silence()
        print(f"warning: standard output: {error.strerror}; {near(path.with_suffix('.md'))} has it", file=sys.stderr)
    return code
