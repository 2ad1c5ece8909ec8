"""Writes all pages from records, and the leaderboard on the terminal. Loads no backend; output is reproducible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from bench import markdown
from bench.markdown import filled, plain, ratio, table, truncated, with_interval
from bench.names import file_slug
from bench.pages import answers, completeness, csv_tables, leading, robustness_page
from bench.pages.browser_page import browser_page
from bench.pages.hard_cases import hardest_page
from bench.pages.leaderboard_page import leaderboard_page
from bench.pages.methods_page import methods_page
from bench.pages.speed_page import speed_page
from bench.pages.suite_page import CAPTIONS, own_questions, suite_page
from bench.records import store
from bench.records.readable import Readable, readable
from bench.records.results import Results
from bench.running import reruns
from bench.speed import throughput_table
from bench.speed.throughput_table import ThroughputTable
from bench.statistics import stats, subgroups
from bench.statistics.rows import Leaderboard
from bench.statistics.scores import common_unit


@threadpool_limits.wrap(limits=1, user_api="blas")  # as ``leaderboards``; idle threads of BLAS burn a processor
def write(
    results: Results, *, figures: bool = True, only: str | None = None, result: Readable | None = None,
    known: Sequence[Leaderboard] | None = None,
) -> list[Path]:  # fmt: skip
    """Regenerate <results>/README.md, a page and a table of pairs for each suite, and their figures; return what was
    written.

    only: the suite whose page and figures to write, with pages that compare with it; the index always covers all.
    Without `figures` the pages link those that are already there. result: the records, where they were read already.
    known: their leaderboards, where they were computed already. Unreadable ones are named on the pages and hide no
    others. Raises LungsegError for contradictory records.
    """
    result = result or readable(results)
    by_suite: dict[str, list[Leaderboard]] = {}
    for leaderboard in stats.leaderboards(result.records) if known is None else known:
        by_suite.setdefault(leaderboard.conditions.suite, []).append(leaderboard)
    for leaderboards in by_suite.values():
        # the newest protocol comes first, and within it what is whole
        leaderboards.sort(key=lambda s: (-s.conditions.protocol, bool(completeness.missing(s))))
    for suite in result.suites:
        by_suite.setdefault(suite, [])  # nothing else is left of it
    measured = throughput_table.load(results)
    written = []
    for suite, leaderboards in by_suite.items():
        leans = any(c.suite == only for s in leaderboards for c in s.extra_data_effects)
        if only not in (None, suite) and not leans:
            continue
        drawn: list[Mapping[str, str]] = []
        for leaderboard, stem in zip(leaderboards, stems(leaderboards), strict=True):
            if figures and only in (None, suite):
                from bench.figures import draw  # late: importing matplotlib takes a second

                fitting = [table for table in measured if table.is_of(leaderboard.conditions)]
                superseded = leaderboard.conditions.protocol < leaderboards[0].conditions.protocol
                written += draw(leaderboard, fitting, results.figures, stem, superseded)
            drawn.append(_drawn(results, stem))
        repeated = reruns.read(results, suite)
        groups = [subgroups.known(leaderboard, subgroups.read(results, leaderboard)) for leaderboard in leaderboards]
        tables = csv_tables.lines(leaderboards, groups)
        written += csv_tables.write(results, suite, tables)
        written.append(results.page(suite))
        text = suite_page(suite, leaderboards, measured, drawn, groups, result.of(suite), repeated, tables)
        store.write_text(written[-1], text)
    written += robustness_page.write(results, only)
    return written + _of_all_suites(results, by_suite, measured, result)


def _of_all_suites(
    results: Results,
    by_suite: Mapping[str, Sequence[Leaderboard]],
    measured: Sequence[ThroughputTable],
    result: Readable,
) -> list[Path]:
    """Write the leaderboard, the methods, the speed tables, the hardest images' gains and the page for a browser."""
    leaderboards = [s for local in by_suite.values() for s in local]
    leader = leading.leader(leaderboards)
    figure = None
    if leader is not None:
        local = by_suite[leader.conditions.suite]
        figure = _drawn(results, stems(local)[list(local).index(leader)]).get("leaderboard")
    searches = sorted(path.name for path in results.tuning("").glob("*.md"))
    corrupted = sorted(path.name for path in results.robustness("").parent.glob("*.md"))
    pages = {suite: results.page(suite).name for suite in by_suite}
    texts = {
        "METHODS.md": methods_page(leaderboards),
        "SPEED.md": speed_page(measured, throughput_table.load_peers(results)),
        "index.html": browser_page(leaderboards, pages),
        "README.md": leaderboard_page(
            by_suite, measured, pages, figure, result.unreadable, searches, corrupted
        ),
    }  # fmt: skip
    if (gains := hardest_page(leaderboards)) is not None:
        texts["HARDEST.md"] = gains
    else:
        (results.root / "HARDEST.md").unlink(missing_ok=True)
    for name, text in texts.items():
        store.write_text(results.root / name, text)
    return [results.root / name for name in texts]


def stems(leaderboards: Sequence[Leaderboard]) -> list[str]:
    """File name stems of each leaderboard's figures: suite and machine, with the protocol where a newer leaderboard has
    that name, numbered where that is not enough."""
    names = [file_slug(f"{s.conditions.suite}-{s.conditions.machine}") for s in leaderboards]
    protocols = [s.conditions.protocol for s in leaderboards]
    newest: dict[str, int] = {}
    for name, protocol in zip(names, protocols, strict=True):
        newest[name] = max(protocol, newest.get(name, 0))
    seen: Counter[str] = Counter()
    result = []
    for name, protocol in zip(names, protocols, strict=True):
        stem = name if protocol == newest[name] else f"{name}-protocol-{protocol}"
        seen[stem] += 1
        result.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return result


def _drawn(results: Results, stem: str) -> dict[str, str]:
    """The figures that there are; the gallery is drawn where the images are."""
    files = {kind: f"{stem}-{kind}.{'png' if kind == 'gallery' else 'svg'}" for kind in CAPTIONS}
    return {kind: f"figures/{file}" for kind, file in files.items() if (results.figures / file).exists()}


def terminal(leaderboards: Sequence[Leaderboard], width: int = 80, only: str | None = None) -> str:
    """All leaderboards, or those of suite ``only``, as plain text for a terminal of `width` columns."""
    result = [_terminal_text(s, width) for s in leaderboards if only in (None, s.conditions.suite)]
    return "\n\n".join(result) or "No records, so no leaderboard."


def terminal_leaderboard(leaderboard: Leaderboard, width: int) -> str:
    """The table of one leaderboard for a terminal of `width` columns, under a line that says what it is of."""
    key = leaderboard.conditions
    room = max(12, width - 62)
    names = [r.name for r in leaderboard.rows]
    if any(len(name) > room for name in names):
        names = markdown.short(names)
    rows = [
        [str(r.rank or markdown.NONE), truncated(plain(name), room), with_interval(r.dice), ratio(r.pooled["dice"]),
         markdown.distance((r.stored or r).boundary.hd95_median), markdown.duration(r.train_seconds)]
        for r, name in zip(leaderboard.rows, names, strict=True)
    ]  # fmt: skip
    hd95 = f"HD95 {common_unit(leaderboard.rows)}"
    headers = ["Rank", "Architecture", "Dice [95 % interval]", "Pooled", hd95, "Training"]
    head = f"{key.suite}: {key.test_set} at {key.size[0]} x {key.size[1]} px, {key.machine}, protocol {key.protocol}"
    return "\n".join([plain(head, width), table(headers, rows, left=2, style="simple")])


def _terminal_text(leaderboard: Leaderboard, width: int) -> str:
    lines = [f"{question} {text}" for question, text in own_questions(leaderboard, plain)]
    lines += [answers.best(leaderboard, plain), f"{answers.SIGNIFICANT} {answers.significance(leaderboard, plain)}"]
    lacking = completeness.missing(leaderboard, plain)
    lines += [f"Incomplete: {'; '.join(lacking)}."] if lacking else []
    lines += [plain(f"Failed: {c.name} ({c.status}): {c.error[1]}") for c in leaderboard.failed]
    return "\n".join([terminal_leaderboard(leaderboard, width), *(filled(line, width) for line in lines)])
