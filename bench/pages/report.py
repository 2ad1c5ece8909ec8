"""Records -> pages and the terminal's leaderboard. Loads no backend; the same records give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import markdown
from bench.markdown import filled, fitted, plain, ratio, table, with_interval
from bench.pages import answers, csv_tables, gaps, leading, pairs_file, robustness_page
from bench.pages.browser_page import browser_page
from bench.pages.leaderboard_page import leaderboard_page
from bench.pages.methods_page import methods_page
from bench.pages.speed_page import speed_page
from bench.pages.suite_page import CAPTIONS, own_questions, suite_page
from bench.paths import slug
from bench.records import reruns, store
from bench.records.readable import Readable, readable
from bench.records.record import Record
from bench.records.results import Results
from bench.speed import speeds
from bench.speed.speeds import Speeds
from bench.statistics import borders, stats, strata
from bench.statistics.rows import Section


def write(
    results: Results, *, figures: bool = True, only: str | None = None, found: Readable | None = None
) -> list[Path]:
    """Regenerate <results>/README.md, a page and a table of pairs for each suite, and their figures; return what was
    written.

    only: the suite whose page and figures to write, with pages that compare with it; the index always covers all.
    Without `figures` the pages link those that are already there. found: the records, where they were read already.
    Unreadable ones are named on the pages and hide no others. Raises LungsegError for contradictory records.
    """
    found = found or readable(results)
    by_suite: dict[str, list[Section]] = {}
    for section in stats.sections(found.records):
        by_suite.setdefault(section.setting.suite, []).append(section)
    for sections in by_suite.values():
        # the newest protocol comes first, and within it what is whole
        sections.sort(key=lambda section: (-section.setting.protocol, bool(gaps.missing(section))))
    for suite in found.suites:
        by_suite.setdefault(suite, [])  # nothing else is left of it
    measured = speeds.load(results)
    written = []
    for suite, sections in by_suite.items():
        leans = any(c.suite == only for s in sections for c in s.gains)
        if only not in (None, suite) and not leans:
            continue
        drawn: list[Mapping[str, str]] = []
        for section, stem in zip(sections, stems(sections), strict=True):
            if figures and only in (None, suite):
                from bench.figures import draw  # late: importing matplotlib takes a second

                written += draw(section, _fitting(section, measured), results.figures, stem)
            drawn.append(_drawn(results, stem))
        written += pairs_file.write(results, suite, sections)
        repeated = reruns.read(results, suite)
        groups = [strata.known(section, strata.read(results, section)) for section in sections]
        tables = csv_tables.lines(sections, groups)
        written += csv_tables.write(results, suite, tables)
        kinds = [*tables, *(["pairs"] if any(section.pairs for section in sections) else [])]
        written.append(results.root / page_name(suite))
        text = suite_page(
            suite, sections, measured, drawn, groups, found.of(suite), repeated, kinds
        )  # fmt: skip
        store.write_text(written[-1], text)
    written += robustness_page.write(results, only)
    return written + _of_all_suites(results, by_suite, measured, found)


def _of_all_suites(
    results: Results, by_suite: Mapping[str, Sequence[Section]], measured: Sequence[Speeds], found: Readable
) -> list[Path]:
    """Write the leaderboard, the methods, the speed tables and the page for a browser."""
    sections = [s for own in by_suite.values() for s in own]
    leader = leading.leader(sections)
    figure = None
    if leader is not None:
        own = by_suite[leader.setting.suite]
        figure = _drawn(results, stems(own)[list(own).index(leader)]).get("leaderboard")
    searches = sorted(path.name for path in results.tuning("").glob("*.md"))
    pages = {suite: page_name(suite) for suite in by_suite}
    texts = {
        "METHODS.md": methods_page(sections),
        "SPEED.md": speed_page(measured),
        "index.html": browser_page(sections, pages),
        "README.md": leaderboard_page(
            by_suite, measured, pages, figure, found.unreadable, searches, spoiled(results)
        ),
    }  # fmt: skip
    for name, text in texts.items():
        store.write_text(results.root / name, text)
    return [results.root / name for name in texts]


def stems(sections: Sequence[Section]) -> list[str]:
    """What the figures of each section are called: suite and machine, with the protocol where a newer one has that
    name, numbered where that is not enough."""
    plain = [slug(f"{s.setting.suite}-{s.setting.machine}") for s in sections]
    newest = {
        name: max(s.setting.protocol for s, n in zip(sections, plain, strict=True) if n == name) for name in plain
    }
    names = [
        name if s.setting.protocol == newest[name] else f"{name}-protocol-{s.setting.protocol}"
        for s, name in zip(sections, plain, strict=True)
    ]
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return result


def figure_path(results: Results, stem: str, kind: str) -> Path:
    """Where a figure lies; the gallery is drawn by whoever holds the images and is linked if it is there."""
    suffix = "png" if kind == "gallery" else "svg"
    return results.figures / f"{stem}-{kind}.{suffix}"


def page_name(suite: str) -> str:
    """The file of a suite's page."""
    name = slug(suite)
    return f"suite-{name}.md" if name.lower() in ("readme", "methods", "speed") else f"{name}.md"


def _drawn(results: Results, stem: str) -> dict[str, str]:
    found = {kind: figure_path(results, stem, kind) for kind in CAPTIONS}
    return {kind: f"figures/{path.name}" for kind, path in found.items() if path.exists()}


def _fitting(section: Section, measured: Sequence[Speeds]) -> list[Speeds]:
    key = section.setting
    same = (key.device_kind, key.backend, key.precision, key.size)
    return [s for s in measured if (s.device_kind, s.backend, s.precision, s.size) == same]


def spoiled(results: Results) -> list[str]:
    """Files of the pages on corruptions, sorted."""
    return sorted(path.name for path in results.robustness("").parent.glob("*.md"))


def terminal(records: Sequence[Record], width: int = 80, only: str | None = None) -> str:
    """The leaderboard of each section, or of suite ``only``, as plain text for a terminal of `width` columns."""
    found = [s for s in stats.sections(records) if only in (None, s.setting.suite)]
    if not found:
        return "No records, so no leaderboard."
    return "\n\n".join(_terminal_section(s, width) for s in found)


def leaderboard(section: Section, width: int) -> str:
    """The table of one section for a terminal of `width` columns, under a line that says what it is of."""
    key = section.setting
    room = max(12, width - 62)
    names = [r.name for r in section.rows]
    if any(len(name) > room for name in names):
        names = markdown.short(names)
    rows = [
        [str(r.rank or markdown.NONE), fitted(plain(name), room), with_interval(r.dice), ratio(r.pooled["dice"]),
         markdown.distance((r.stored or r).boundary.hd95_median), markdown.duration(r.train_seconds)]
        for r, name in zip(section.rows, names, strict=True)
    ]  # fmt: skip
    hd95 = f"HD95 {borders.unit(section.rows)}"
    headers = ["Rank", "Architecture", "Dice [95 % interval]", "Pooled", hd95, "Training"]
    head = f"{key.suite}: {key.scored_on} at {key.size[0]} x {key.size[1]} px, {key.machine}, protocol {key.protocol}"
    return "\n".join([plain(head, width), table(headers, rows, left=2, style="simple")])


def _terminal_section(section: Section, width: int) -> str:
    lines = [f"{question} {text}" for question, text in own_questions(section, plain)]
    lines += [answers.best(section, plain), f"{answers.REAL} {answers.real(section, plain)}"]
    lacking = gaps.missing(section, plain)
    lines += [f"Incomplete: {'; '.join(lacking)}."] if lacking else []
    lines += [plain(f"Failed: {c.name} ({c.status}): {c.error[1]}") for c in section.failed]
    return "\n".join([leaderboard(section, width), *(filled(line, width) for line in lines)])
