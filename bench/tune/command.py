"""The verb `tune`: prepare, search, evaluate once on the held-out fold, report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.records.results import Results
from bench.running import data, lock, progress
from bench.running.executor import Executor, Local
from bench.running.progress import Display
from bench.tune import journal, page, result
from bench.tune.plan import Plan
from bench.tune.study import Budget, Failed, Study
from lungseg.errors import PARTIAL


def tune(
    plan: Plan,
    budget: Budget,
    seeds: Sequence[int],
    given: Path | None,
    results: Results,
    publish_to: Results | None = None,
    executor: Executor | None = None,
) -> tuple[int, list[Path]]:
    """Search, judge, write; exit code and what was written. 4 where three trials in a row or a judging failed.

    Several commands may work on one study at once; the one that ends last judges. given: ``--data``.
    Raises KeyboardInterrupt when interrupted, and what ends a run.
    """
    journal.library()  # before minutes of preparing
    with lock.turn(results.study("prepare.lock")):  # prepared images are made by one command at a time
        root = data.resolve_root(plan.suite, given, results)
        suite_data = data.load_suite_data(plan.suite, root, results)
    study = Study(plan, suite_data, root, results, Display((), budget.workers), executor or Local())
    with study.journal.working():
        done = study.search(budget)
        if not any(trial.status == journal.OK for trial in study.journal.trials()):
            print(f"no trial was scored; last failure: {(study.failed_in_a_row or ['none'])[-1]}", file=sys.stderr)
            return PARTIAL, []
        if not done:
            print(f"{len(study.failed_in_a_row)} trials in a row failed; the search stops", file=sys.stderr)
            return PARTIAL, result.write(study, result.record(study, budget.trials, None))
        if study.journal.others_run():
            study.display.say(
                "other commands are still searching in this study; the last one to end runs the held-out evaluation"
            )
            return 0, []
        return _judge(study, budget, seeds, publish_to)


def _judge(study: Study, budget: Budget, seeds: Sequence[int], publish_to: Results | None) -> tuple[int, list[Path]]:
    result.write(study, result.record(study, budget.trials, None))  # now: what follows may fail
    try:
        with lock.owned(study.folder / "judging.lock"):
            judged = study.judged(result.recipes(study), seeds, budget.workers)
            record = result.record(study, budget.trials, judged)
            written = result.write(study, record, publish_to)
    except lock.InUse:
        study.display.say("another command is running the held-out evaluation of this study")
        return 0, []
    except Failed as failure:
        study.display.say(f"held-out fold {study.plan.fold}: {failure.status}\n{progress.failure(failure.error)}")
        return PARTIAL, []
    study.display.say(page.held_out_gain(record))
    return 0, written
