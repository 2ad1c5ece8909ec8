"""Command line of the gate: `gate`, `compare`, `baseline` and `gate-speed`, from options to exit code."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import gate as guard
from bench import machine, markdown, suites
from bench.gate import Limits, Verdict, dry_run, replaced, reports, speed
from bench.records import store
from bench.records.results import Results
from bench.running import data, lock, suite_run
from bench.suites import Suite
from lungseg import runtime
from lungseg.architectures import ARCHITECTURES, is_outside
from lungseg.errors import PARTIAL, UsageError
from lungseg.terminal import near, silence


def gate(options: argparse.Namespace) -> int:
    """0 all is well, 1 regression, 4 not all could be judged, 5 not comparable, before training where known."""
    markdown.check_tabulate()
    began = time.monotonic()
    before = guard.load_baseline(options.baseline)
    suite = _subject(options, before)
    limits = _limits(options, suite, before["architectures"], whole=True)
    before = _asked(before, suite, options)
    note = replaced.note(options.baseline, before, options.against)
    now = _trained(suite, options, before)
    findings = guard.compare(before, now, limits)
    strictness = guard.explain(before, now, limits)
    about = {"suite": suite.name, **_about(), "seconds": time.monotonic() - began}
    code = guard.exit_code(findings)
    verdict = guard.Verdict(findings, strictness, code, [(before, now)], limits, about, note)
    return _tell(verdict, options.results.root / "gate", options.junit)


def compare(options: argparse.Namespace) -> int:
    """Any two sets of records of a suite, as after an expected change or with other seeds; codes as of the gate."""
    markdown.check_tabulate()
    suite = suites.select(suites.suite(options.suite), options.arch)
    before, now = (guard.summarise_results(folder, suite) for folder in (options.baseline, options.candidate))
    limits = _limits(options, suite, (name for of in (*before.values(), *now.values()) for name in of["architectures"]))
    shared = sorted(before.keys() & now.keys())
    if not shared:
        raise guard.NotComparable(
            f"the baseline's records were made on {', '.join(before)}, the candidate's on {', '.join(now)}; run both "
            "on one machine"
        )
    findings = [
        replace(result, subject=f"{result.subject} ({key})") if len(shared) > 1 else result
        for key in shared
        for result in guard.compare(before[key], now[key], limits, expected_change=True)
    ]
    strictness = guard.explain(before[shared[0]], now[shared[0]], limits, expected_change=True)
    others = [] if options.arch else guard.left_out(options.candidate, suite)
    more = f" Not compared: {', '.join(others)} (--arch '*' compares all)." if others else ""
    compared = [(before[key], now[key]) for key in shared]
    verdict = guard.Verdict(
        findings, strictness + more, guard.exit_code(findings), compared, limits, {"suite": suite.name, **_about()}
    )
    return _tell(verdict, options.results.root / f"compare-{suite.name}", options.junit)


def baseline(options: argparse.Namespace) -> int:
    """Write a new baseline; 4 when a cell failed or the run would not pass its own gate: nothing is written then."""
    suite = _subject(options, _replaced(options))
    limits = _limits(options, suite)
    now = _trained(suite, options)
    missing = set(suite.architectures) - set(now["architectures"]) - now.get("failed", {}).keys()
    wrong = [f"{name} failed" for name in sorted(missing)]
    wrong += [f"{f.subject}: {f.what} {f.now}" for f in guard.compare(now, now, limits) if not f.ok]
    if wrong:
        print(f"no baseline written: {'; '.join(wrong)}", file=sys.stderr)
        return PARTIAL
    store.write_text(options.baseline, store.layout(now))
    scores = ", ".join(f"{name} {of['dice']:.4f}" for name, of in now["architectures"].items())
    print(f"written: {near(options.baseline)} (suite {suite.name}; mean Dice {scores})")
    return 0


ATTEMPTS = 3  # of what seems slower: another process may have run beside it


def gate_speed(options: argparse.Namespace) -> int:
    """Times of kernels against a baseline's: codes as of the gate. What seems slower is measured again."""
    markdown.check_tabulate()
    began = time.monotonic()
    kind = guard.machine_kind(threads=1)
    before = {} if options.write else speed.load(options.baseline, kind)
    margin = speed.MARGIN if options.margin is None else options.margin
    if not margin > 0:
        raise UsageError(f"--margin {margin}: expected the largest slowdown that passes, above 0, such as 0.5")
    runtime.check_backend()
    now = speed.measured()
    for _ in range(1, ATTEMPTS):
        repeated = sorted(now) if options.write else speed.slower(before, now, margin)
        if repeated:
            print(f"measured again: {', '.join(repeated)}", file=sys.stderr, flush=True)
            result = speed.measured(repeated)
            now = {name: min(value, result.get(name, value)) for name, value in now.items()}
    if options.write:
        store.write_text(options.baseline, store.layout(speed.baseline(now, kind, _about())))
        print(f"written: {near(options.baseline)} ({len(now)} kernels)")
        return 0
    findings = speed.compare(before, now, margin)
    strictness = (
        f"Processor times are relative to a matrix product that the same run times. A slowdown of more than "
        f"{margin:.0%} fails. The best of {ATTEMPTS} measurements counts."
    )
    about = {**_about(), "seconds": time.monotonic() - began}
    verdict = guard.Verdict(findings, strictness, guard.exit_code(findings), about=about)
    return _tell(verdict, options.results.root / "gate-speed", options.junit)


def _replaced(options: argparse.Namespace) -> Mapping[str, Any] | None:
    """The baseline that is to be replaced, which says what was trained. None where none can be read, or where it was
    made of phantoms and a folder is given, so that the new one is another suite's."""
    try:
        before = guard.load_baseline(options.baseline)
    except guard.NotComparable:
        return None
    known = suites.SUITES.get(before["suite"])
    return None if options.data and known and known.dataset == "phantom" else before


def _subject(options: argparse.Namespace, before: Mapping[str, Any] | None) -> Suite:
    """The suite to train: what the options say, else what the baseline was made from."""
    name = options.suite or (before or {}).get("suite") or ("own-smoke" if options.data else "smoke")
    known = list((before or {}).get("architectures", {}))
    other = ",".join(known) if any(map(is_outside, known)) else None  # of another project, which no suite names
    return suites.select(suites.suite(name), options.arch or other)


def _limits(options: argparse.Namespace, suite: Suite, held: Iterable[str] = (), *, whole: bool = False) -> Limits:
    """The limits that the options ask for. Raises UsageError for a margin of a name that no architecture has, of ours,
    the suite's or ``held``: it would be in force for none. One that `--arch` leaves out may have a margin; of another
    project's that cannot be told from a mistake unless ``held`` are all of them (``whole``)."""
    result = guard.chosen(suite.name, options.limits, options.margin)
    known = {*ARCHITECTURES, *suite.architectures, *held}

    def left_out(name: str) -> bool:
        base = name.partition(" (")[0]  # of a width or variant of it
        return base not in suite.architectures and (base in ARCHITECTURES or (is_outside(base) and not whole))

    if unknown := [name for name, _ in result.margins if name not in known and not left_out(name)]:
        raise UsageError(
            f"{options.limits}: margins: no architecture is called {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    return result


def _asked(before: Mapping[str, Any], suite: Suite, options: argparse.Namespace) -> dict[str, Any]:
    """The baseline, without the architectures that `--arch` leaves out. Raises NotComparable where none is left, or
    where it is of another suite."""
    if before["suite"] != suite.name:
        raise guard.NotComparable(
            f"{options.baseline}: holds suite {before['suite']}, not {suite.name}; leave out --suite, or name another "
            f"file: `lungseg-bench baseline --suite {suite.name} --baseline FILE` on a trusted commit writes one"
        )
    held = before["architectures"]
    wanted = {
        name: of for name, of in held.items() if not options.arch or name.partition(" (")[0] in suite.architectures
    }
    if not wanted:
        raise guard.NotComparable(
            f"{options.baseline}: holds {', '.join(held)}, not {', '.join(suite.architectures)}; `lungseg-bench "
            "baseline` with the same options on a trusted commit writes one"
        )
    return {**before, "architectures": wanted}


def _about() -> dict[str, Any]:
    """Commit of the working directory's repository, processor and time: whose change it is that was judged."""
    commit, dirty = machine.working_commit()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"commit": commit, "dirty": dirty, "time": now, "cpu": machine.cpu_name()}


def _trained(suite: Suite, options: argparse.Namespace, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The suite trained from nothing: the fingerprint does not cover the code, which is what is on trial.

    before: a baseline that the images, folds and machine must fit, or NotComparable is raised before the training.
    Only what a gate left is removed, of this suite and the cache, and only once the data were read: the folder may hold
    other suites' hours, and a run that cannot begin must cost no records.
    """
    runtime.check_backend()
    results: Results = options.results
    with lock.held(results):
        results.claim(suite.name)
        results.forget_cache()  # first: an older generator's phantoms in it would be refused
        root = data.resolve_root(suite, options.data, results)
        suite = suites.called(suite, root)
        read = data.load_suite_data(suite, root, results)
        if before is not None:
            guard.same_subject(before, guard.summarise(suite, read, ()), expected_change=False)
        results.forget(suite.name)
        _, suite_data = suite_run.train(suite, root, results, reuse_others=False)
        scripted = dry_run.metadata(suite, root, results)
        return guard.summarise(suite, suite_data, results.all(suite.name), scripted)


def _tell(verdict: Verdict, path: Path, junit: Path | None = None) -> int:
    """Print the table, write it as Markdown, JSON and JUnit XML, add it to a job's summary. Returns the exit code."""
    summary_text = reports.markdown(verdict)
    store.write_text(path.with_suffix(".md"), summary_text + "\n")
    store.write_text(path.with_suffix(".json"), store.layout(reports.numbers(verdict)))
    if junit is not None:
        store.write_text(junit, reports.junit(verdict))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(summary_text + "\n")
        except OSError as error:  # the verdict is what this was run for
            print(
                f"warning: GITHUB_STEP_SUMMARY={summary}: {error.strerror}; the job summary was not written",
                file=sys.stderr,
            )
    files = [path.with_suffix(".md"), path.with_suffix(".json"), *([junit] if junit else [])]
    print(f"written: {', '.join(str(near(file)) for file in files)}", file=sys.stderr)
    text = reports.findings(verdict)
    try:
        print("\n\n".join(filter(None, (text, verdict.note))), flush=True)  # last: whoever reads it may have gone
    except BrokenPipeError:
        raise
    except OSError as error:
        silence()
        print(f"warning: standard output: {error.strerror}; {near(path.with_suffix('.md'))} has it", file=sys.stderr)
    return verdict.code
