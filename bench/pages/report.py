"""Records -> pages and the terminal's leaderboard. Loads no backend; the same records give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from bench import markdown
from bench.markdown import NONE, code, escape, filled, fitted, paragraph, plain, ratio, table, with_interval
from bench.pages import answers, gaps, matrix, pairs_file, reruns_page, robustness_page
from bench.pages.definitions import DEEPDRAW, DEFINITIONS
from bench.pages.section_page import CAPTIONS, first_screen, own_questions, section_page
from bench.pages.speed_page import throughput
from bench.paths import slug
from bench.records import reruns, store
from bench.records.readable import Readable, readable
from bench.records.record import Record
from bench.records.reruns import Reruns
from bench.records.results import Results
from bench.speed import speeds
from bench.speed.speeds import Speeds
from bench.statistics import borders, stats, strata
from bench.statistics.rows import Section
from bench.statistics.strata import Strata
from bench.suites import SUITES
from lungseg.metrics import METRICS

GENERATED = "<!-- Written by `python -m bench report` from the records under runs/; edits are lost. -->"


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
        written.append(results.root / page_name(suite))
        repeated = reruns.read(results, suite)
        stored = [strata.read(results, section) for section in sections]
        text = suite_page(suite, sections, measured, drawn, stored, found.of(suite), repeated)
        store.write_text(written[-1], text)
    written += robustness_page.write(results, only)
    written.append(results.index)
    searches = sorted(path.name for path in results.tuning("").glob("*.md"))
    store.write_text(written[-1], index_page(by_suite, measured, found.unreadable, searches, spoiled(results)))
    return written


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
    return results.figures / f"{stem}-{kind}.png"


def page_name(suite: str) -> str:
    """The file of a suite's page."""
    name = slug(suite)
    return f"suite-{name}.md" if name.lower() == "readme" else f"{name}.md"


def _drawn(results: Results, stem: str) -> dict[str, str]:
    return {k: f"figures/{stem}-{k}.png" for k in CAPTIONS if figure_path(results, stem, k).exists()}


def _fitting(section: Section, measured: Sequence[Speeds]) -> list[Speeds]:
    key = section.setting
    same = (key.device_kind, key.backend, key.precision, key.size)
    return [s for s in measured if (s.device_kind, s.backend, s.precision, s.size) == same]


def suite_page(
    suite: str,
    sections: Sequence[Section],
    measured: Sequence[Speeds],
    figures: Sequence[Mapping[str, str]],
    stored: Sequence[Strata | None],
    unreadable: Mapping[str, str] = MappingProxyType({}),
    repeated: Sequence[Reruns] = (),
) -> str:
    """The Markdown of one suite.

    figures: of each section, kind -> path relative to the page. stored: of each section, its strata.
    unreadable: file -> why it is not in the tables. repeated: equal runs of its cells.
    """
    blocks = [GENERATED, f"# {escape(suite)}"]
    if suite in SUITES:
        title = SUITES[suite].title
        blocks.append(paragraph(f"{title[0].upper()}{title[1:]}."))
    if len(sections) > 1:
        blocks.append(paragraph(f"{len(sections)} sections; their numbers are not comparable with each other."))
    blocks += _unreadable(unreadable)
    for section, paths, groups in zip(sections, figures, stored, strict=True):
        blocks += [*section_page(section, paths, groups), *reruns_page.repeated(section, repeated)]
        edited = [c.name for c in section.cells if not c.sealed]
        if edited:
            cells = ", ".join(map(escape, edited))
            blocks.append(paragraph(f"**Unverified**: these records differ from their own hash: {cells}."))
        if section.mixed:
            mixed = escape("; ".join(section.mixed))
            blocks.append(paragraph(f"**Mixed**: not one comparison: {mixed}. Run the suite again."))
    sizes = {s.setting.size for s in sections}
    own = [m for m in measured if m.size in sizes]
    blocks += throughput(own)
    slow = [s.setting.machine for s in sections if own and not _fitting(s, measured)]
    if slow:
        blocks.append(
            paragraph(f"Not measured: {', '.join(map(escape, slow))} ({code(f'python -m bench speed {suite}')} there).")
        )
    lines = [
        *DEFINITIONS,
        *(metric.definition for metric in METRICS.values() if metric.definition),
        *([DEEPDRAW] if any(row.fixed_split for s in sections for row in s.rows) else []),
    ]
    blocks += ["## What the columns mean", "\n".join(paragraph(line, "- ") for line in lines)]
    return "\n\n".join(blocks) + "\n"


def _unreadable(files: Mapping[str, str]) -> list[str]:
    if not files:
        return []
    lines = [paragraph(f"{escape(path)}: {escape(why)}", "- ") for path, why in files.items()]
    text = "**Unreadable.** These files are in no table; delete them and run their suite again:"
    return ["\n\n".join([paragraph(text), "\n".join(lines)])]


def index_page(
    by_suite: Mapping[str, Sequence[Section]],
    measured: Sequence[Speeds],
    unreadable: Mapping[str, str] = MappingProxyType({}),
    searches: Sequence[str] = (),
    corrupted: Sequence[str] = (),
) -> str:
    """The Markdown of the index: every suite with its answer, the pages of searches and of corruptions, and where speed
    was measured."""
    blocks = [GENERATED, "# Results"]
    if not by_suite:
        blocks.append("No suite has been run yet: `make bench` runs `quick`, `python -m bench list` shows all.")
    blocks += _unreadable(unreadable)
    rows, texts = [], []
    for suite, sections in by_suite.items():
        link = f"[{escape(suite)}]({page_name(suite)})"
        for s in sections:
            top = next((r for r in s.rows if r.rank), None)
            key = s.setting
            trainings = {(c.architecture, c.width, c.recipe, c.seed) for c in s.cells}
            data = f"{escape(key.scored_on)} at {key.size[0]} x {key.size[1]}"
            done = len(s.cells) - len(s.failed)
            part = "" if not top or top.complete else f" ({len(top.images)} of {top.coverage[1]} images)"
            rows.append([
                link, data, escape(key.machine), str(key.protocol),
                f"{done} of {len(trainings) * key.folds}", escape(top.name) if top else "not ranked",
                f"{with_interval(top.dice, digits=3)}{part}" if top else NONE,
            ])  # fmt: skip
            texts += [
                f"## {link}: {data} px, {escape(key.machine)}, protocol {key.protocol}",
                *(paragraph(f"**{q}** {text}") for q, text in first_screen(s) if q not in answers.ON_THE_PAGE_ALONE),
            ]
            if lacking := gaps.missing(s):
                texts.append(paragraph(f"**Incomplete**: {'; '.join(lacking)}."))
    if rows:
        headers = ["Suite", "Data, px", "Machine", "Protocol", "Cells", "Highest mean", "Dice [95 % interval]"]
        blocks.append(table(headers, rows, left=6))
        blocks.append("Rows of different suites, data, machines or protocols are not comparable with each other.")
        blocks += matrix.matrix(s for sections in by_suite.values() for s in sections)
    blocks += texts
    if searches:
        files = "\n".join(f"- [{escape(name.removesuffix('.md'))}](tuning/{slug(name)})" for name in searches)
        blocks += ["## Searches for a better recipe", f"What each bought on images that it never saw:\n\n{files}"]
    if corrupted:
        files = "\n".join(f"- [{escape(name.removesuffix('.md'))}](robustness/{slug(name)})" for name in corrupted)
        blocks += ["## Corruptions", f"Dice lost when held-out images are spoiled in stated ways:\n\n{files}"]
    if measured:
        files = "\n".join(f"- [{escape(m.file)}](throughput/{slug(m.file)})" for m in measured)
        blocks += ["## Throughput", f"One file a device, backend, precision and size:\n\n{files}"]
    return "\n\n".join(blocks) + "\n"


def spoiled(results: Results) -> list[str]:
    """Files of the pages on corruptions, sorted."""
    return sorted(path.name for path in results.robustness("").parent.glob("*.md"))


def terminal(records: Sequence[Record], width: int = 80, only: str | None = None) -> str:
    """The leaderboard of each section, or of suite ``only``, as plain text for a terminal of `width` columns."""
    found = [s for s in stats.sections(records) if only in (None, s.setting.suite)]
    if not found:
        return "No records, so no leaderboard."
    return "\n\n".join(_terminal_section(s, width) for s in found)


def _terminal_section(section: Section, width: int) -> str:
    key = section.setting
    room = max(12, width - 62)
    names = [r.name for r in section.rows]
    if any(len(name) > room for name in names):
        names = markdown.short(names)
    rows = [
        [str(r.rank or NONE), fitted(plain(name), room), with_interval(r.dice), ratio(r.pooled["dice"]),
         markdown.distance((r.stored or r).boundary.hd95_median), markdown.duration(r.train_seconds)]
        for r, name in zip(section.rows, names, strict=True)
    ]  # fmt: skip
    hd95 = f"HD95 {borders.unit(section.rows)}"
    headers = ["Rank", "Architecture", "Dice [95 % interval]", "Pooled", hd95, "Training"]
    head = f"{key.suite}: {key.scored_on} at {key.size[0]} x {key.size[1]} px, {key.machine}, protocol {key.protocol}"
    parts = [plain(head, width), table(headers, rows, left=2, style="simple")]
    lines = [f"{question} {text}" for question, text in own_questions(section, plain)]
    lines += [answers.best(section, plain), f"{answers.REAL} {answers.real(section, plain)}"]
    lacking = gaps.missing(section, plain)
    lines += [f"Incomplete: {'; '.join(lacking)}."] if lacking else []
    lines += [plain(f"Failed: {c.name} ({c.status}): {c.error[1]}") for c in section.failed]
    return "\n".join([*parts, *(filled(line, width) for line in lines)])
