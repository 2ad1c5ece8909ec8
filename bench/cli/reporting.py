"""Verbs that read stored records and start no training: report, list and the tables between them."""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench import suites
from bench.suites import Suite
from lungseg.errors import DataError, UsageError
from lungseg.terminal import near

if TYPE_CHECKING:
    from bench.statistics.rows import Leaderboard


def costs(options: argparse.Namespace) -> int:
    """Print how the time of a suite's cells divides into parts, from stored records; loads no backend."""
    from bench.markdown import table
    from bench.records import costs as measured

    suite = suites.suite(options.suite)
    headers, rows = measured.by_part(options.results.all(suite.name))
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
    from bench.records import makespan as simulated

    if not 0 <= options.wait < float("inf"):
        raise UsageError(f"--wait {options.wait}: expected seconds of at least 0")
    suite = suites.suite(options.suite)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ids = [cell.id for cell in suites.cells(suite)]
    rows = simulated.makespans(options.results.all(suite.name), ids, options.workers, options.wait, files)
    if not rows:
        raise UsageError(
            f"{options.results.root}: no scored record of suite {suite.name}; `python -m bench run {suite.name}`"
        )
    print(table(simulated.HEADERS, rows, style="simple"))
    return 0


def report(options: argparse.Namespace) -> int:
    """Write pages and figures from records; loads no backend. 3 when a record cannot be read: the pages name it.

    Takes no lock, so that it can show what a run has finished so far.
    """
    from bench.pages import report as pages
    from bench.records.readable import readable

    if options.suite:
        suites.suite(options.suite)
    options.results.require_measured()
    result = readable(options.results)
    if options.suite and not options.results.paths(options.suite):
        raise UsageError(
            f"{options.results.root}: no record of suite {options.suite}; `python -m bench run {options.suite}`"
        )
    written = pages.write(options.results, figures=not options.no_figures, only=options.suite, result=result)
    texts = [path for path in written if path.suffix in (".md", ".html")]
    for path in texts:
        print(f"written: {near(path)}")
    if others := len(written) - len(texts):
        print(f"and {others} figures and tables beside them")
    result.warn(options.results)
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
    there = {case.id for case in cases}
    where = options.data or "LUNGSEG_DATA"
    covered, others = [], [*leaderboards]
    for leaderboard in _of_folder(leaderboards, suite, options):
        scored = {image for row in leaderboard.rows for image in row.images}
        if scored & there and (lost := sorted(scored - there)):
            raise DataError(
                f"{where}: lacks {len(lost)} of the {len(scored)} images that the records score, such as {lost[0]}; "
                "give the whole set that the suite was run on"
            )
        if scored & there:
            covered.append(leaderboard)
            others = [other for other in others if other is not leaderboard]
    if not covered:
        raise DataError(f"{where}: holds none of the images that the records score; give the set of the suite's run")
    print(f"written: {near(groups.write(options.results, suite.name, covered, cases, others))}")
    return 0


def _of_folder(leaderboards: Sequence[Leaderboard], suite: Suite, options: argparse.Namespace) -> Sequence[Leaderboard]:
    """Those of this folder by its name, where it is a user's own: two may hold images of the same names. All where none
    is, as of a folder that was renamed."""
    from bench.running import data

    if suite.dataset != "folder":
        return leaderboards
    name = suites.called(suite, data.resolve_root(suite, options.data, options.results)).called
    return [one for one in leaderboards if one.conditions.test_set == name] or leaderboards


def history(options: argparse.Namespace) -> int:
    """Plot Dice and speed against the commits of a suite's records; loads no backend."""
    from bench.figures import history as over_commits

    suite = suites.suite(options.suite)
    path = options.results.figures / f"{suite.name}-history.png"
    records = options.results.all(suite.name)
    if not records:
        raise UsageError(f"{options.results.root}: no record of suite {suite.name}; `python -m bench run {suite.name}`")
    written = over_commits.draw(records, path)
    if written is None:
        raise UsageError(
            f"{options.results.root}: no record of suite {suite.name} comes from a known commit without "
            "uncommitted changes; commit them and run the suite again"
        )
    print(f"written: {near(written)}")
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


def list(options: argparse.Namespace) -> int:
    """Print suites, recipe variants, architectures and datasets."""
    from bench.pages import overview

    print(overview.overview())
    return 0
