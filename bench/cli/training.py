"""Verbs that start processes: run, ensemble, robustness, reruns, speed and tune."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import machine, suites
from bench.records.results import Results
from bench.running.executor import EXECUTORS, Executor
from bench.suites import Suite
from lungseg import runtime
from lungseg.errors import PARTIAL, LungsegError, UsageError
from lungseg.terminal import near

BUDGET_S = 5.0  # seconds of one measurement of speed, about
say = partial(print, flush=True)  # at once, also into a pipe


def run(options: argparse.Namespace) -> int:
    """Train what is missing, report, measure throughput where this machine has not. 4 when a cell failed, 130 when
    interrupted.

    A record that cannot be read is trained again if the run has its cell; of any other the user is warned.
    """
    suite = _chosen(options, "seeds", "folds", "variants", "precision", "deterministic", "devices")
    options.results.refuse_others_pages(suite.name)
    with _at_work(options, suite) as (suite, root, executor):
        from bench.running import suite_run

        def pictures() -> Path | None:
            from bench.figures import gallery  # late: importing matplotlib takes a second

            return gallery.draw(suite, options.results, root)

        code, _ = suite_run.train(suite, root, options.results, executor=executor)
        steps: list[Callable[[], object]] = [pictures]
        if not options.no_speed:
            steps.append(lambda: _speed(suite, options.results, executor, anew=False))
        return _report(options.results, suite, code, steps)


def ensemble(options: argparse.Namespace) -> int:
    """Score ensembles of trained networks, then report. 4 when some could not be scored."""
    suite = _chosen(options, "folds", "precision", "deterministic")
    options.results.require()
    with _at_work(options, suite) as (suite, root, executor):
        from bench.running import ensemble

        code = ensemble.make(
            suite, root, options.results, options.seeds, say, tta=options.tta, postprocess=options.postprocess,
            executor=executor,
        )  # fmt: skip
        return _report(options.results, suite, code)


def robustness(options: argparse.Namespace) -> int:
    """Measure the Dice that trained networks lose on corrupted images. 4 when a network could not be measured."""
    suite = _chosen(options, "precision", "deterministic")
    with _at_work(options, suite) as (suite, root, executor):
        from bench.markdown import plain
        from bench.pages import robustness_page
        from bench.robustness import measurement, probe

        code = probe.measure(suite, root, options.results, options.seeds, say, executor)
        written = robustness_page.write(options.results, suite.name)
    key = suite.machine_key
    result = [network for network in measurement.load(options.results, suite.name) if network.machine_key == key]
    if result:
        print(robustness_page.losses(result, plain, "simple"))
    _tell([options.results.robustness(suite.name), *written])
    return code


def reruns(options: argparse.Namespace) -> int:
    """Train a suite's cells several times from equal inputs; the results are stored apart from the records."""
    suite = _chosen(options, "seeds", "folds", "precision", "deterministic")
    with _at_work(options, suite) as (suite, root, executor):
        from bench.running import reruns as repeated

        _tell(repeated.measure(suite, root, options.results, options.times, say, executor))
    return 0


def speed(options: argparse.Namespace) -> int:
    """Measure throughput; train no cell."""
    from bench.running import lock

    suite = _chosen(options, "precision")
    if options.size:
        suite = replace(suite, size=(options.size, options.size))
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

    if options.hours is not None and not options.hours >= 0:
        raise UsageError(f"--hours {options.hours}: at least 0 is needed")
    if options.publish_to is not None and options.publish_to.root.is_file():
        raise UsageError(f"--publish-to {options.publish_to.root}: is a file; give a results folder")
    executor = _executor(options, options.workers or suites.suite(options.suite).workers)
    study = plan(options.suite, options.arch, options.fold, options.inner, options.size, options.width, options.epochs)
    runtime.check_backend()
    from bench.tune import command  # late: what it imports takes a second
    from bench.tune.study import Budget

    budget = Budget(options.trials, options.hours, options.workers or study.suite.workers)
    code, written = command.tune(
        study, budget, range(options.seeds), options.data, options.results, options.publish_to, executor
    )
    _tell(written)
    return code


def _chosen(options: argparse.Namespace, *narrowing: str) -> Suite:
    """The suite that the options name, of the variant that they name, as far as these of them narrow it. Raises
    UsageError for what is not known, EnvironmentFailure where the backend is not installed."""
    chosen = suites.select(
        suites.suite(options.suite), options.arch, **{name: getattr(options, name) for name in narrowing}
    )
    if getattr(options, "variant", None) is not None:
        chosen = suites.of_variant(chosen, options.variant)
    workers = getattr(options, "workers", None)
    runtime.check_backend()
    return replace(chosen, workers=workers) if workers else chosen


@contextmanager
def _at_work(options: argparse.Namespace, suite: Suite) -> Iterator[tuple[Suite, Path, Executor]]:
    """Hold the results folder while the block runs; the suite with its data called by their name, where they lie, and
    what runs its processes."""
    executor = _executor(options, suite.workers)
    from bench.running import data, lock

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        yield suites.called(suite, root), root, executor


def _report(results: Results, suite: Suite, code: int, steps: Sequence[Callable[[], object]] = ()) -> int:
    """Print the suite's leaderboard, take the steps that may fail or take long, write its pages; the exit code, PARTIAL
    where only a step failed."""
    from bench.pages import report
    from bench.records.readable import readable
    from bench.statistics import stats

    result = readable(results)
    known = stats.leaderboards(result.records)
    if steps:  # now, as they may fail
        report.write(results, figures=False, only=suite.name, result=result, known=known)
    say(report.terminal(known, columns(), only=suite.name))
    for step in steps:
        try:
            step()
        except LungsegError as error:
            print(f"warning: {error}", file=sys.stderr)
            code = code or PARTIAL
    written = report.write(results, only=suite.name, result=result, known=known)
    _tell([path for path in written if path.suffix == ".md"])
    result.warn(results)
    return code


def columns() -> int:
    """Width of output: the terminal's, between 60 and 120 columns; 80 where standard output is no terminal."""
    return min(120, max(60, shutil.get_terminal_size((80, 0)).columns)) if sys.stdout.isatty() else 80


def _tell(written: Sequence[Path]) -> None:
    for path in written:
        print(f"written: {near(path)}")


def _speed(
    suite: Suite, results: Results, executor: Executor, budget_s: float | None = BUDGET_S, batches: Sequence[int] = (),
    anew: bool = True,
) -> int:  # fmt: skip
    from bench.speed import throughput

    # after a run the rates alone: what deterministic operations cost doubles the wait, and `bench speed` tells it
    measured = throughput.measure(
        suite, results, say, budget_s, batches=batches, executor=executor, anew=anew, determinism=anew
    )
    return PARTIAL if measured.failures else 0


def _executor(options: argparse.Namespace, workers: int) -> Executor:
    """What runs the command's processes; the machine that they run on is asked what it is. workers: processes at a
    time."""
    name, address = options.executor
    if name != "local":
        return EXECUTORS[name](address, workers)
    if options.launch:
        machine.learn(machine.requested(options.launch))
    return EXECUTORS["local"](options.launch)
