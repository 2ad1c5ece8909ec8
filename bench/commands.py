"""The verbs of `python -m bench`: one function each, from parsed options to exit code."""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench import machine, suites
from bench.gate_cli import baseline as baseline
from bench.gate_cli import compare as compare
from bench.gate_cli import gate as gate
from bench.gate_cli import gate_speed as gate_speed
from bench.paths import near
from bench.records.results import Results
from bench.running.executor import EXECUTORS, Executor
from bench.running.suite_run import INTERRUPTED, PARTIAL, train
from bench.suites import Suite
from lungseg import runtime
from lungseg.errors import DataError, LungsegError, UsageError

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

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        suite = suites.called(suite, root)
        code, _ = train(suite, root, options.results, executor=executor)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        result = readable(options.results)
        report.write(options.results, figures=False, only=suite.name, result=result)  # now: what follows may fail
        print(report.terminal(result.records, _columns(), only=suite.name), flush=True)  # or takes long
        code = _tried(code, lambda: showcase.draw(suite, options.results, root))
        if not options.no_speed:
            code = _tried(code, lambda: _speed(suite, options.results, executor, anew=False))
        written = report.write(options.results, only=suite.name, result=result)
    pages = [path for path in written if path.suffix == ".md"]
    print("\n".join(f"written: {near(path)}" for path in pages))
    _warn(options.results, result.unreadable)
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

    with lock.held(options.results):
        root = data.resolve_root(suite, options.data, options.results)
        suite = suites.called(suite, root)
        code = ensemble.make(suite, root, options.results, options.seeds, _say, tta=options.tta, executor=executor)
        result = readable(options.results)
        written = report.write(options.results, only=suite.name, result=result)
    print(report.terminal(result.records, _columns(), only=suite.name))
    print("\n".join(f"written: {near(path)}" for path in written if path.suffix == ".md"))
    _warn(options.results, result.unreadable)
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
        code = command.measure(suite, root, options.results, options.seeds, _say, executor)
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
            written = repeated.measure(suite, root, options.results, options.times, _say, executor)
        except Interrupted as error:
            raise KeyboardInterrupt from error
    print("\n".join(f"written: {near(path)}" for path in written))
    return 0


def costs(options: argparse.Namespace) -> int:
    """Print how the time of a suite's cells divides into parts, from stored records; loads no backend."""
    from bench.markdown import table
    from bench.records import parts

    suite = suites.suite(options.suite)
    headers, rows = parts.rows(options.results.all(suite.name))
    if not rows:
        raise UsageError(
            f"{options.results.root}: no record of suite {suite.name} holds its times by part; "
            f"`python -m bench run {suite.name}` makes such records"
        )
    print(table(headers, rows, left=2, style="simple"))
    return 0


def makespan(options: argparse.Namespace) -> int:
    """How long a suite would take on other numbers of workers, beside what was measured; no backend."""
    from bench.markdown import table
    from bench.records import makespan as simulation

    if min(options.workers) < 1 or not options.wait >= 0:
        raise UsageError(f"--workers {options.workers}, --wait {options.wait}: at least 1 and 0 are needed")
    suite = suites.suite(options.suite)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ids = [cell.id for cell in suites.cells(suite)]
    rows = simulation.rows(options.results.all(suite.name), ids, options.workers, options.wait, files)
    if not rows:
        raise UsageError(
            f"{options.results.root}: no scored record of suite {suite.name}; `python -m bench run {suite.name}`"
        )
    print(table(simulation.HEADERS, rows, style="simple"))
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

            path, failures = peers.measure(suite, options.results, _say, budget_s, executor)
            print("\n".join([*failures, f"written: {near(path)}"]))
            return PARTIAL if failures else 0
        return _speed(suite, options.results, executor, budget_s, options.batches)


def report(options: argparse.Namespace) -> int:
    """Write pages and figures from records; loads no backend. 3 when a record cannot be read: the pages name it.

    Takes no lock, so that it can show what a run has finished so far.
    """
    from bench.pages import report as pages
    from bench.records.readable import readable

    if options.suite:
        suites.suite(options.suite)
    options.results.require()
    result = readable(options.results)
    for path in pages.write(options.results, figures=not options.no_figures, only=options.suite, result=result):
        print(f"written: {near(path)}")
    _warn(options.results, result.unreadable)
    return DataError.exit_code if result.unreadable else 0


def subgroups(options: argparse.Namespace) -> int:
    """Aggregate stored scores by sex and age, which the dataset's metadata tell; loads no backend."""
    from bench.running import data
    from bench.statistics import stats
    from bench.statistics import subgroups as groups

    suite = suites.suite(options.suite)
    leaderboards = stats.leaderboards(options.results.all(suite.name))
    if not any(leaderboard.rows for leaderboard in leaderboards):
        raise UsageError(
            f"{options.results.root}: no scored record of suite {suite.name}; run `make bench SUITE={suite.name}`"
        )
    cases = data.scored(suite, options.data, options.results)
    print(f"written: {near(groups.write(options.results, suite.name, leaderboards, cases))}")
    return 0


def history(options: argparse.Namespace) -> int:
    """Plot Dice and speed against the commits of a suite's records; loads no backend."""
    from bench.figures import history as over_commits

    suite = suites.suite(options.suite)
    path = options.results.figures / f"{suite.name}-history.png"
    written = over_commits.draw(options.results.all(suite.name), path)
    if written is None:
        raise UsageError(
            f"{options.results.root}: no record of suite {suite.name} comes from a known commit without "
            "uncommitted changes; commit them and run the suite again"
        )
    print(f"written: {near(written)}")
    return 0


def migrate(options: argparse.Namespace) -> int:
    """Rewrite records of schema 1 as schema 2. 3 when a record has neither schema: then nothing is rewritten."""
    from bench import migration
    from bench.running import lock

    with lock.held(options.results):
        if not migration.migrate(options.results, _say):
            print(f"{near(options.results.root)}: no records of schema 1; nothing was rewritten")
    return 0


def publish(options: argparse.Namespace) -> int:
    """Copy a validated suite into the committed results."""
    from bench import publish as publishing

    for path in publishing.publish(suites.suite(options.suite), options.results, options.to, options.partial):
        print(f"written: {near(path)}")
    return 0


def export_model(options: argparse.Namespace) -> int:
    """Write a model folder for each finished row. 4 when one of them could not be written."""
    from bench import export_model as exporting

    return exporting.run(options)


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


def list(options: argparse.Namespace) -> int:
    """Print suites, recipe variants, architectures and datasets."""
    from bench.pages import overview

    print(overview.overview())
    return 0


def _chosen(options: argparse.Namespace) -> Suite:
    chosen = suites.suite(options.suite)
    narrowing = {
        name: getattr(options, name, None) for name in ("seeds", "folds", "variants", "precision", "deterministic")
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

    measured = throughput.measure(suite, results, _say, budget_s, batches=batches, executor=executor, anew=anew)
    return PARTIAL if measured.failures else 0


def _executor(options: argparse.Namespace, workers: int) -> Executor:
    """What runs the command's processes; the machine that they run on is asked what it is. slots: processes at a
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


def _say(text: str) -> None:
    print(text, flush=True)


def _warn(results: Results, unreadable: Mapping[str, str]) -> None:
    for path, why in unreadable.items():
        print(f"warning: {near(results.root / path)}: {why}; delete it and run its suite again", file=sys.stderr)


def _columns() -> int:
    """Width of output: the terminal's, between 60 and 120 columns; 80 where standard output is no terminal."""
    return min(120, max(60, shutil.get_terminal_size((80, 0)).columns)) if sys.stdout.isatty() else 80
