"""``results/README.md``: which network is best, is the difference significant, what does it cost; links to the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench import names, verdict_words
from bench.markdown import NONE, escape, generated, paragraph, shown, table
from bench.names import file_slug
from bench.pages import completeness, leading, other_measures, tables
from bench.pages.headlines import SOURCE, best, convergence, cost, dice_of, founding, full_size, higher, significance
from bench.pages.leading import networks
from bench.pages.provenance import patients
from bench.pages.suite_page import unread
from bench.speed.throughput_table import ThroughputTable
from bench.statistics.rows import Conditions, Leaderboard

QUESTION = "Which network finds the lungs on a chest radiograph best, is its lead significant, and what does it cost?"


def leaderboard_page(
    by_suite: Mapping[str, Sequence[Leaderboard]],
    measured: Sequence[ThroughputTable],
    page_name: Mapping[str, str],
    figure: str | None = None,
    unreadable: Mapping[str, str] = MappingProxyType({}),
    searches: Sequence[str] = (),
    corrupted: Sequence[str] = (),
) -> str:
    """The Markdown. page_name: suite -> file of its page. figure: the leading leaderboard's, relative to this page."""
    blocks = [generated(), "# Lung segmentation on chest radiographs: leaderboard"]
    if not by_suite:
        blocks.append("No suite has been run yet: `make bench` runs `quick`, `python -m bench list` shows all.")
    blocks += unread(unreadable)
    leaderboards = [s for result in by_suite.values() for s in result]
    first, other = leading.leader(leaderboards), leading.beside(leaderboards)
    if first is not None:
        blocks += _answer(first, other, leaderboards, measured)
        blocks += _leaderboard(leading.of_networks(first), measured, page_name, figure)
    elif leaderboards:
        blocks.append("No suite compares networks on held-out folds of real radiographs yet; all suites are below.")
    if first is not None and other is not None:
        blocks += _beside(first, leading.of_networks(other), measured, page_name)
    if by_suite:
        blocks += ["## More", _links(by_suite, page_name, searches, corrupted), *_all(by_suite, page_name)]
    return "\n\n".join(blocks) + "\n"


def _answer(
    leaderboard: Leaderboard,
    other: Leaderboard | None,
    leaderboards: Sequence[Leaderboard],
    measured: Sequence[ThroughputTable],
) -> list[str]:
    lines = [
        ("Best", f"{best(leaderboard)}{higher(leaderboard, other, leaderboards)}"),
        ("Significance", significance(leaderboard)),
        ("Cost", cost(leaderboard, measured)),
    ]
    if result := convergence(leaderboard):
        lines.append(("Convergence", result))
    if result := founding(leaderboards):
        lines.append((other_measures.QUESTION, result))
    if result := full_size(leaderboards):
        lines.append(("The source protocol itself", result))
    text = "\n".join(paragraph(f"**{head}**: {said}", "- ") for head, said in lines)
    return [paragraph(f"**{QUESTION}**"), text]


def _leaderboard(
    leaderboard: Leaderboard, measured: Sequence[ThroughputTable], page_name: Mapping[str, str], figure: str | None
) -> list[str]:
    rows, key = networks(leaderboard), leaderboard.conditions
    split = f" ({patients(key)}; each seed has its own split into folds)" * (key.protocol > 1)
    head = (
        f"{names.data(key.test_set)} at {key.size[0]} px, recipe {escape(names.recipe(key.recipe))}, protocol"
        f" {key.protocol}{split}, {names.machine(key.backend, key.device_kind)},"
        f" suite {_link(key.suite, page_name)}. Shown first by rule: {leading.RULE}."
    )
    picture = [
        f"![{verdict_words.title(leaderboard)}: mean Dice with 95 % intervals, and differences to the best]({figure})"
    ]
    return [
        *(picture if figure else []),
        tables.accuracy(leaderboard, rows),
        tables.costs(leaderboard, rows, measured),
        paragraph(f"{head} {tables.notes(leaderboard, rows)}"),
    ]


def _beside(
    first: Leaderboard, other: Leaderboard, measured: Sequence[ThroughputTable], page_name: Mapping[str, str]
) -> list[str]:
    """The leaderboard of another recipe, in brief."""
    rows, key = networks(other), other.conditions
    head = (
        f"{verdict_words.title(other)}: {names.data(key.test_set)} at {key.size[0]} px, recipe"
        f" {escape(names.recipe(key.recipe))}, {names.machine(key.backend, key.device_kind)}, suite"
        f" {_link(key.suite, page_name)}."
    )
    if key.protocol < first.conditions.protocol:
        head += (
            f" Protocol {key.protocol}: some test images had another image of the patient in training, so these numbers"
            " are not comparable with those above."
        )
    return [
        f"## Recipe {escape(key.recipe)}",
        paragraph(head),
        tables.accuracy(other, rows),
        paragraph(" ".join([f"Cost: {cost(other, measured)}", *tables.footnotes(other, rows)])),
    ]


KINDS = (  # what a reader looks for, and whether a leaderboard answers it
    ("Source protocol", lambda s: leading.eligible(s) and s.conditions.recipe == SOURCE),
    ("Strong recipe", lambda s: leading.eligible(s) and s.conditions.recipe != SOURCE),
    ("Cross-dataset", lambda s: s.conditions.cross_dataset),
    ("More training images", lambda s: bool(s.conditions.extra_train)),
    ("Ablation", lambda s: any(r.variant for r in s.rows)),
    ("Phantom", lambda s: s.conditions.test_set == "phantom"),
)


def _links(
    by_suite: Mapping[str, Sequence[Leaderboard]],
    page_name: Mapping[str, str],
    searches: Sequence[str],
    corrupted: Sequence[str],
) -> str:
    lines = []
    for kind, answers_it in KINDS:
        local = [suite for suite, leaderboards in by_suite.items() if any(answers_it(s) for s in leaderboards)]
        if local:
            lines.append(f"{kind}: {', '.join(_link(suite, page_name) for suite in local)}")
    pages = [f"[{escape(name.removesuffix('.md'))}](robustness/{file_slug(name)})" for name in corrupted]
    lines += [f"Robustness to corruptions: {', '.join(pages)}"] if pages else []
    result = [f"[{escape(name.removesuffix('.md'))}](tuning/{file_slug(name)})" for name in searches]
    lines += [f"Searches for a better recipe: {', '.join(result)}"] if result else []
    if any(leaderboard.hardest_gains for local in by_suite.values() for leaderboard in local):
        lines.append(
            "Hardest images: [HARDEST.md](HARDEST.md), what they gain from each change of training or prediction"
        )
    lines += [
        "Speed: [SPEED.md](SPEED.md), images per second of each network, beside PyTorch",
        "Methods: [METHODS.md](METHODS.md), definitions, statistics, limits, published numbers, glossary",
        "Every row, sortable, with Dice image by image: [index.html](index.html) (open it in a browser)",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _all(by_suite: Mapping[str, Sequence[Leaderboard]], page_name: Mapping[str, str]) -> list[str]:
    """Every leaderboard with its best row, folded."""
    rows, lacking = [], []
    for suite, leaderboards in by_suite.items():
        for s in leaderboards:
            key, top = s.conditions, next(iter(s.ranked), None)
            part = "" if not top or top.complete else f"\u00a0({len(top.images)}/{top.coverage[1]})"
            rows.append([
                _link(suite, page_name), f"{escape(names.data(key.test_set))}, {key.size[0]}&nbsp;px",
                escape(_device(key)), str(key.protocol), shown(top.name) if top else "not ranked",
                f"{dice_of(top)}{part}" if top else NONE,
            ])  # fmt: skip
            if missing := completeness.missing(s):
                lacking.append(f"{escape(suite)} on {escape(names.device(key.device_kind))}, {len(missing)} rows")
        if not leaderboards:
            rows.append([_link(suite, page_name), *["-"] * 3, "unreadable", NONE])
    headers = ["Suite", "Data", "Device", "Protocol", "Highest mean", "Dice [95 %]"]
    incomplete = [paragraph(f"Incomplete: {'; '.join(lacking)}.")] if lacking else []
    partial = any(not s.ranked[0].complete for local in by_suite.values() for s in local if s.ranked)
    note = paragraph(
        "Rows of different suites, data, devices or protocols are not comparable."
        + " In brackets: images so far, of all." * partial
    )
    return ["<details><summary>All suites</summary>", table(headers, rows, left=5), note, *incomplete, "</details>"]


def _device(key: Conditions) -> str:
    """``CPU``, or ``CPU, mixed_bfloat16`` where the precision is not the usual one."""
    return ", ".join([names.device(key.device_kind), *([key.precision] if key.precision != "float32" else [])])


def _link(suite: str, page_name: Mapping[str, str]) -> str:
    return f"[{escape(suite)}]({page_name[suite]})"
