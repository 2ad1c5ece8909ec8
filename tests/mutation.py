"""Mutation testing: change the code in one place, run the area's quick tests, see whether one fails. And again.

    python tests/mutation.py                  # all areas of tests/mutation.toml: hours
    python tests/mutation.py records --sample 40    # a sample of one area, always the same, minutes
    python tests/mutation.py splits --again   # one area, and only its survivors: after a test was added

Mutants are cosmic-ray's. They are made in copies of the checkout, never in the checkout. What is done is kept in
``results/local/mutation``, so that a run that was stopped goes on. A survivor is a gap in the tests or, if
tests/mutation.toml says why, the same program. ``tests/MUTATION.md`` is written once all areas have results; exit 1
where a survivor is not explained.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome
from mutant_trial import start, tried
from mutants import AREAS, CONFIG, ROOT, SESSIONS, Area, chance, changed, prepared

TABLE = ROOT / "tests/MUTATION.md"


def run(area: Area, pool: Any, again: bool, sample: int | None) -> None:
    """Try the mutants that have no result, at most so many in all; or again those that survived, by more examples."""
    tests = (f"--hypothesis-profile={'fast' if again else 'mutation'}", *area.tests)
    _, as_it_is, took = pool.apply(tried, ((None, tests, 600),))
    if as_it_is.is_killed:
        raise SystemExit(f"{area.name}: its tests fail without a mutant:\n{as_it_is.output}")
    allowed = int(2 * took) + 4
    with use_db(str(area.session)) as db:
        prepared(area, db)
        if again:
            survived = {job for job, result in db.results if result.test_outcome is TestOutcome.SURVIVED}
            todo = [item for item in db.work_items if item.job_id in survived]
        else:
            done = sum(result.worker_outcome is WorkerOutcome.NORMAL for _, result in db.results)
            todo = sorted(db.pending_work_items, key=chance)
            todo = todo if sample is None else todo[: max(0, sample - done)]
        print(f"{area.name}: {len(todo)} mutants to try; its tests take {took:.1f} s", flush=True)
        tasks = [(item, tests, allowed) for item in todo]
        for n, (item, result, _) in enumerate(pool.imap_unordered(tried, tasks), 1):
            db.set_result(item.job_id, result)
            if n % 25 == 0:
                print(f"  {n} of {len(todo)}", flush=True)
            if not result.is_killed:
                was, now = changed(item.mutations[0])
                print(f"  survived, {n} of {len(todo)}: {item.mutations[0].module_path}: {was} -> {now}", flush=True)


# -- the table ---------------------------------------------------------------------------------------------------


def survivors(db: WorkDB) -> Iterator[tuple[str, str, str]]:
    """Module, the line it had, the line it has, of each mutant that no test noticed."""
    killed = {job: result.is_killed for job, result in db.results if result.worker_outcome is WorkerOutcome.NORMAL}
    for item in db.work_items:
        if not killed.get(item.job_id, True):
            yield str(item.mutations[0].module_path), *changed(item.mutations[0])


def reason(module: str, was: str, now: str) -> str | None:
    """What tests/mutation.toml says of a survivor."""
    for entry in CONFIG["equivalent"]:
        if module == entry["module"] and was == entry["line"] and now in entry.get("becomes", [now]):
            return str(entry["why"])
    return None


def code(text: str) -> str:
    """Inline code in a Markdown table."""
    return f"`` {text} ``".replace("|", "\\|")


def page() -> tuple[str, int]:
    """The page, and how many survivors are not explained."""
    rows, lists, unexplained = [], [], 0
    for area in AREAS.values():
        if not area.session.exists():
            rows.append(f"| {area.name} | not run | | | | | |")
            unexplained += 1
            continue
        with use_db(str(area.session)) as db:
            results = [result for _, result in db.results if result.worker_outcome is WorkerOutcome.NORMAL]
            left = sum(1 for _ in db.pending_work_items)
            skipped = sum(result.worker_outcome is WorkerOutcome.SKIPPED for _, result in db.results)
            alive = sorted(survivors(db))
        killed = sum(result.is_killed for result in results)
        by_reason = defaultdict(list)
        for survivor in alive:
            by_reason[reason(*survivor)].append(survivor)
        gaps = len(by_reason[None])
        unexplained += gaps
        share = f"{100 * killed / len(results):.1f} %" if results else "-"
        same = len(alive) - gaps
        rows.append(f"| {area.name} | {len(results) + left} | {len(results)} | {killed} | {share} | {same} | {gaps} |")
        lists.append(f"\n## {area.name}\n")
        lists.append(f"Modules: {', '.join(map(str, area.files))}. Tests: {' '.join(area.tests)}. "
                     f"Left out: {skipped} mutants.\n")  # fmt: skip
        for why, which in sorted(by_reason.items(), key=lambda entry: (entry[0] is not None, entry[0] or "")):
            if which:
                lists.append(f"- {why or '**not explained**'}")
                lists += [f"  - {module}: {code(was)} → {code(now)}" for module, was, now in which]
    head = CONFIG["head"].strip()
    table = "| area | mutants | tried | killed | share | survivors, equivalent | survivors, gaps |\n"
    table += "|---|--:|--:|--:|--:|--:|--:|\n"
    return f"{head}\n\n{table}" + "\n".join([*rows, *lists]) + "\n", unexplained


def main() -> int:
    """0 where every mutant is killed or explained, else 1."""
    parser = argparse.ArgumentParser(description="Change the code in one place and see whether a test fails.")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"{', '.join(AREAS)}; all unless named")
    parser.add_argument("--again", action="store_true", help="try survivors again, after tests were added")
    parser.add_argument("--sample", type=int, metavar="N", help="of each area's mutants try N, always the same")
    parser.add_argument("--jobs", type=int, default=max(1, min(8, os.cpu_count() or 1)), help="at once")
    parser.add_argument("--table", action="store_true", help="only write the table, from the results so far")
    options = parser.parse_args()
    if unknown := set(options.areas) - set(AREAS):
        parser.error(f"no area {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    SESSIONS.mkdir(parents=True, exist_ok=True)
    if not options.table:
        context = multiprocessing.get_context("spawn")
        with tempfile.TemporaryDirectory(prefix="mutation-") as folder, context.Pool(
            options.jobs, start, (folder, tuple(options.areas or AREAS))
        ) as pool:  # fmt: skip
            for name in options.areas or AREAS:
                run(AREAS[name], pool, options.again, options.sample)
    text, unexplained = page()
    never = [area.name for area in AREAS.values() if not area.session.exists()]
    if never and not options.table:
        print(f"{TABLE} is left as it is: never run here: {', '.join(never)}; --table writes it all the same")
    else:
        TABLE.write_text(text, encoding="utf-8")
    print(f"{unexplained} survivors or areas are not explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
