"""What each verb of `python -m bench` does, from options to exit code."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import suites
from bench.suite_run import INTERRUPTED, PARTIAL, train
from bench.suites import Suite
from lungseg.errors import DataError, EnvironmentFailure, LungsegError, UsageError

if TYPE_CHECKING:
    from bench.gate import Finding


def run(options: argparse.Namespace) -> int:
    """Train what is missing, measure throughput, report. 4 when a cell failed, 130 when interrupted.

    A record that cannot be read is trained again if the run has its cell; of any other the user is warned.
    """
    suite = _chosen(options)
    from bench import data, lock, report, showcase
    from bench.vetting import vetted

    with lock.held(options.results):
        root = data.locate(suite, options.data, options.results)
        code, _ = train(suite, root, options.results)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        found = vetted(options.results)
        report.write(options.results, figures=False, only=suite.name, found=found)  # now: what follows may fail
        code = _tried(code, lambda: showcase.draw(suite, options.results, root))
        if not options.no_speed:
            code = _tried(code, lambda: _speed(suite, options.results))
        written = report.write(options.results, only=suite.name, found=found)
    print(report.terminal([record for record in found.records if record["cell"]["suite"] == suite.name]))
    pages = [path for path in written if path.suffix == ".md"]
    print("\n".join(f"written: {_near(path)}" for path in pages))
    _warn(options.results, found.unreadable)
    return code


def ensemble(options: argparse.Namespace) -> int:
    """Entries made of what is trained already, then the report. 4 when some could not be made."""
    suite = suites.narrowed(suites.suite(options.suite), options.arch, folds=options.folds)
    from bench import data, ensemble, lock, report
    from bench.vetting import vetted

    with lock.held(options.results):
        root = data.locate(suite, options.data, options.results)
        code = ensemble.make(suite, root, options.results, options.seeds, _say, views=options.views)
        found = vetted(options.results)
        written = report.write(options.results, only=suite.name, found=found)
    print(report.terminal([record for record in found.records if record["cell"]["suite"] == suite.name]))
    print("\n".join(f"written: {_near(path)}" for path in written if path.suffix == ".md"))
    _warn(options.results, found.unreadable)
    return code


def speed(options: argparse.Namespace) -> int:
    """Measure throughput only."""
    from bench import lock

    with lock.held(options.results):
        return _speed(_chosen(options), options.results)


def report(options: argparse.Namespace) -> int:
    """Pages and figures from records; no backend. 3 when a record cannot be read: the pages name it.

    Takes no lock, so that it can show what a run has finished so far.
    """
    from bench import report as pages
    from bench.vetting import vetted

    if options.suite:
        suites.suite(options.suite)
    found = vetted(options.results)
    for path in pages.write(options.results, figures=not options.no_figures, only=options.suite, found=found):
        print(f"written: {_near(path)}")
    _warn(options.results, found.unreadable)
    return DataError.exit_code if found.unreadable else 0


def strata(options: argparse.Namespace) -> int:
    """Aggregates by sex and age, from stored scores and the data set's own metadata; no backend."""
    import lungseg
    from bench import data, stats, store
    from bench import strata as groups

    suite = suites.suite(options.suite)
    sections = stats.sections(store.load_records(options.results, suite.name))
    if not any(section.rows for section in sections):
        raise UsageError(f"{options.results}: no scored record of suite {suite.name}; `make bench SUITE={suite.name}`")
    cases = lungseg.load(suite.dataset, data.locate(suite, options.data, options.results))
    print(f"written: {_near(groups.write(options.results, suite.name, sections, cases))}")
    return 0


def publish(options: argparse.Namespace) -> int:
    """Copy a validated suite into the committed results."""
    from bench import publish as publishing

    for path in publishing.publish(suites.suite(options.suite), options.results, options.to, options.partial):
        print(f"written: {_near(path)}")
    return 0


def tune(options: argparse.Namespace) -> int:
    """Search for a better recipe and say what it bought on held-out images. 4 when trials failed, 130 when
    interrupted."""
    from bench.tune.plan import plan

    for value, name in ((options.trials, "trials"), (options.slots, "slots"), (options.seeds, "seeds")):
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1 is needed")
    if options.hours is not None and not options.hours >= 0:
        raise UsageError(f"--hours {options.hours}: at least 0 is needed")
    study = plan(options.suite, options.arch, options.fold, options.inner, options.size, options.width, options.epochs)
    from bench.tune import command  # late: what it imports takes a second
    from bench.tune.study import Budget

    budget = Budget(options.trials, options.hours, options.slots or study.suite.slots)
    code, written = command.tune(study, budget, range(options.seeds), options.data, options.results, options.publish_to)
    for path in written:
        print(f"written: {_near(path)}")
    return code


def gate(options: argparse.Namespace) -> int:
    """0 all is well, 1 regression, 5 not comparable."""
    from bench import gate as guard

    before = guard.load_baseline(options.baseline)
    now = _smoke(options.results)
    findings = guard.compare(before, now)
    return _verdict(findings, guard.explain(before, now), options.results / "gate")


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
    return _verdict(findings, strictness, options.results / f"compare-{suite.name}")


def baseline(options: argparse.Namespace) -> int:
    """Write a new baseline; 4 when a cell failed or the run would not pass its own gate: nothing is written then."""
    from bench import gate as guard
    from bench import store

    now = _smoke(options.results)
    missing = set(suites.SUITES["smoke"].architectures) - set(now["architectures"])
    wrong = [f"{name} failed" for name in sorted(missing)]
    wrong += [f"{f.subject}: {f.what} {f.now}" for f in guard.compare(now, now) if not f.ok]
    if wrong:
        print(f"no baseline written: {'; '.join(wrong)}", file=sys.stderr)
        return PARTIAL
    store.write_text(options.baseline, store.layout(now))
    print(f"written: {_near(options.baseline)}")
    return 0


def list(options: argparse.Namespace) -> int:
    """Suites, architectures, datasets."""
    from bench import overview

    print(overview.overview())
    return 0


def _smoke(results: Path) -> dict[str, Any]:
    """Suite smoke trained from nothing: the fingerprint does not cover the code, which is what is on trial.

    Only what smoke itself left is removed, and the cache: the folder may hold other suites' hours.
    """
    from bench import data, lock, store
    from bench import gate as guard

    smoke = suites.SUITES["smoke"]
    with lock.held(results):
        for folder in (results / "runs" / smoke.name, results / "cells" / smoke.name, results / "cache"):
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():  # a symbolic link, say; old records would pass for what this code yields
                raise EnvironmentFailure(f"{folder}: cannot be removed; remove it by hand or choose another --results")
        code, material = train(smoke, data.locate(smoke, None, results), results)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return guard.summarise(smoke, material, store.load_records(results, smoke.name))


def _verdict(findings: Sequence[Finding], strictness: str, path: Path) -> int:
    """Print the table, write it as Markdown and JSON, add it to a job's summary. Returns the exit code."""
    from bench import gate as guard
    from bench import store, terminal

    code = guard.exit_code(findings)
    text = terminal.findings(findings, strictness, code)
    store.write_text(path.with_suffix(".md"), text + "\n")
    about = {"exit": code, "strictness": strictness, "findings": guard.as_json(findings)}
    store.write_text(path.with_suffix(".json"), store.layout(about))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    print(text)  # last: whoever reads it may have gone
    return code


def _chosen(options: argparse.Namespace) -> Suite:
    chosen = suites.suite(options.suite)
    chosen = suites.narrowed(chosen, options.arch, getattr(options, "seeds", None), getattr(options, "folds", None))
    slots = getattr(options, "slots", None)
    if slots is not None and slots < 1:
        raise UsageError(f"{slots} slots: at least 1 is needed")
    return replace(chosen, slots=slots) if slots else chosen


def _speed(suite: Suite, results: Path) -> int:
    from bench import throughput

    measured = throughput.measure(suite, results, _say)
    return PARTIAL if measured.failures else 0


def _tried(code: int, extra: Callable[[], object]) -> int:
    """Do what must not cost the report of hours of training; the exit code so far, or that something failed."""
    try:
        extra()
    except LungsegError as error:
        print(f"warning: {error}", file=sys.stderr)
        return code or PARTIAL
    return code


def _say(text: str) -> None:
    print(text, flush=True)


def _warn(results: Path, unreadable: Mapping[str, str]) -> None:
    for path, why in unreadable.items():
        print(f"warning: {_near(results / path)}: {why}; delete it and run its suite again", file=sys.stderr)


def _near(path: Path) -> str:
    """A path as the user would type it from here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near
