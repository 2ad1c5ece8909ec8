"""Verbs that start processes: run, ensemble, robustness, reruns, speed and tune."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench import machine, suites
from bench.cli.output import columns, say, warn
from bench.paths import near
from bench.records.results import Results
from bench.running.executor import EXECUTORS, Executor
from bench.running.suite_run import INTERRUPTED, PARTIAL, train
from bench.suites import Suite
from lungseg import runtime
from lungseg.errors import LungsegError, UsageError

BUDGET_S = 5.0  # seconds of one measurement of speed, about


def run(options: argparse.Namespace) -> int:
    """Train what is missing, report, measure throughput where this machine has not. 4 when a cell failed, 130 when
    interrupted.

    A record that cannot be read is trained again if the run has its cell; of any other the user is warned.
    """
    suite = _chosen(options)
    runtime.check_backend()
    executor = _executor(options, suite.workers)
    options.results.refuse_others_pages()
    from bench.pages import report, showcase
    from bench.records.readable import readable
    from bench.running import data, lock
    from bench.statistics import stats

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        suite = suites.called(suite, root)
        code, _ = train(suite, root, options.results, executor=executor)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        result = readable(options.results)
        known = stats.leaderboards(result.records)
        # now, as what follows may fail or take long
        report.write(options.results, figures=False, only=suite.name, result=result, known=known)
        print(report.terminal(known, columns(), only=suite.name), flush=True)
        code = _tried(code, lambda: showcase.draw(suite, options.results, root))
        if not options.no_speed:
            code = _tried(code, lambda: _speed(suite, options.results, executor, anew=False))
        written = report.write(options.results, only=suite.name, result=result, known=known)
    pages = [path for path in written if path.suffix == ".md"]
    print("\n".join(f"written: {near(path)}" for path in pages))
    warn(options.results, result.unreadable)
    return code


def ensemble(options: argparse.Namespace) -> int:
    """Score ensembles of trained networks, then report. 4 when some could not be scored."""
    suite = suites.select(
        suites.suite(options.suite), options.arch, folds=options.folds,
        precision=options.precision, deterministic=options.deterministic,
    )  # fmt: skip
    suite = suites.of_variant(suite, options.variant) if options.variant is not None else suite
    runtime.check_backend()
    executor = _executor(options, suite.workers)
    options.results.require()
    from bench.pages import report
    from bench.records.readable import readable
    from bench.running import data, ensemble, lock
    from bench.statistics import stats

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        suite = suites.called(suite, root)
        code = ensemble.make(suite, root, options.results, options.seeds, say, tta=options.tta, executor=executor)
        result = readable(options.results)
        known = stats.leaderboards(result.records)
        written = report.write(options.results, only=suite.name, result=result, known=known)
    print(report.terminal(known, columns(), only=suite.name))
    print("\n".join(f"written: {near(path)}" for path in written if path.suffix == ".md"))
    warn(options.results, result.unreadable)
    return code


def robustness(options: argparse.Namespace) -> int:
    """Measure the Dice that trained networks lose on corrupted images. 4 when a network could not be measured."""
    if options.seeds is not None and options.seeds < 1:
        raise UsageError(f"--seeds {options.seeds}: at least 1 is needed")
    suite = suites.select(
        suites.suite(options.suite), options.arch, precision=options.precision, deterministic=options.deterministic
    )
    suite = suites.of_variant(suite, options.variant) if options.variant is not None else suite
    runtime.check_backend()
    executor = _executor(options, suite.workers)
    from bench.markdown import plain
    from bench.pages import robustness_page
    from bench.robustness import command, measurement
    from bench.running import data, lock

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        code = command.measure(suite, root, options.results, options.seeds, say, executor)
        written = robustness_page.write(options.results, suite.name)
    key = suite.machine_key
    result = [network for network in measurement.load(options.results, suite.name) if network.machine_key == key]
    if result:
        print(robustness_page.losses(result, plain, "simple"))
    print("\n".join(f"written: {near(path)}" for path in [options.results.robustness(suite.name), *written]))
    return code


def reruns(options: argparse.Namespace) -> int:
    """Train a suite's cells several times from equal inputs; the results are stored apart from the records."""
    suite = _chosen(options)
    if options.times < 1:
        raise UsageError(f"--times {options.times}: at least 1 is needed")
    runtime.check_backend()
    executor = _executor(options, suite.workers)
    from bench.running import data, lock
    from bench.running import reruns as repeated
    from bench.running.executor import Interrupted

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        try:
            written = repeated.measure(suite, root, options.results, options.times, say, executor)
        except Interrupted as error:
            raise KeyboardInterrupt from error
    print("\n".join(f"written: {near(path)}" for path in written))
    return 0


def speed(options: argparse.Namespace) -> int:
    """Measure throughput; train no cell."""
    from bench.running import lock

    suite = _chosen(options)
    runtime.check_backend()
    executor = _executor(options, suite.workers)
    budget_s = None if options.whole else BUDGET_S
    with lock.held(options.results):
        if options.peers:
            from bench.speed import peers

            path, failures = peers.measure(suite, options.results, say, budget_s, executor, options.precision)
            print("\n".join([*failures, f"written: {near(path)}"]))
            return PARTIAL if failures else 0
        return _speed(suite, options.results, executor, budget_s, options.batches)


def tune(options: argparse.Namespace) -> int:
    """Search for a better recipe and measure its gain on held-out images. 4 when trials failed, 130 when
    interrupted."""
    from bench.tune.plan import plan

    for value, name in ((options.trials, "trials"), (options.workers, "workers"), (options.seeds, "seeds")):
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1 is needed")
    if options.hours is not None and not options.hours >= 0:
        raise UsageError(f"--hours {options.hours}: at least 0 is needed")
    executor = _executor(options, options.workers or suites.suite(options.suite).workers)
    study = plan(options.suite, options.arch, options.fold, options.inner, options.size, options.width, options.epochs)
    runtime.check_backend()
    from bench.tune import command  # late: what it imports takes a second
    from bench.tune.study import Budget

    budget = Budget(options.trials, options.hours, options.workers or study.suite.workers)
    code, written = command.tune(
        study, budget, range(options.seeds), options.data, options.results, options.publish_to, executor
    )
    for path in written:
        print(f"written: {near(path)}")
    return code


def _chosen(options: argparse.Namespace) -> Suite:
    chosen = suites.suite(options.suite)
    narrowing = {
        name: getattr(options, name, None)
        for name in ("seeds", "folds", "variants", "precision", "deterministic", "devices")
    }
    chosen = suites.select(chosen, options.arch, **narrowing)
    workers = getattr(options, "workers", None)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least 1 is needed")
    return replace(chosen, workers=workers) if workers else chosen


def _speed(
    suite: Suite, results: Results, executor: Executor, budget_s: float | None = BUDGET_S, batches: Sequence[int] = (),
    anew: bool = True,
) -> int:  # fmt: skip
    from bench.speed import throughput

    measured = throughput.measure(suite, results, say, budget_s, batches=batches, executor=executor, anew=anew)
    return PARTIAL if measured.failures else 0


def _executor(options: argparse.Namespace, workers: int) -> Executor:
    """What runs the command's processes; the machine that they run on is asked what it is. workers: processes at a
    time."""
    name, address = options.executor
    if name != "local":
        return EXECUTORS[name](address, workers)
    if options.launch:
        machine.ask(options.launch)
    return EXECUTORS["local"](options.launch)


def _tried(code: int, extra: Callable[[], object]) -> int:
    """Run a step whose failure must not prevent the report: warn, and return ``code``, or PARTIAL where that was 0."""
    try:
        extra()
    except LungsegError as error:
        print(f"warning: {error}", file=sys.stderr)
        return code or PARTIAL
    return code
