"""``results/README.md``: which network is best, is the difference significant, what does it cost; links to the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench import findings, names
from bench.markdown import NONE, code, counted, duration, escape, listed, millions, paragraph, table
from bench.names import file_slug
from bench.pages import completeness, leading, other_measures, tables
from bench.pages.leading import ranked
from bench.pages.suite_page import GENERATED, shown, unread
from bench.speed.throughput_table import ThroughputTable
from bench.statistics.rows import MIN_SEEDS, Conditions, Leaderboard, Row
from bench.statistics.verdicts import BETTER, EQUIVALENT, MARGIN, UNKNOWN
from bench.suites import THREE

SOURCE = "reference"  # the recipe of the source protocol
FULL_SIZE = "montgomery"  # the suite with its size and width, too
_MEANT = {2: " (patients linked across images by their anatomy, each seed with its own split into folds)"}
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
    blocks = [GENERATED, "# Lung segmentation on chest radiographs: leaderboard"]
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
        ("Best", f"{best(leaderboard)}{higher(leaderboard, other)}"),
        ("Significance", significance(leaderboard)),
        ("Cost", cost(leaderboard, measured)),
    ]
    if result := convergence(leaderboard):
        lines.append(("Convergence", result))
    if result := founding(leaderboards):
        lines.append(("The three original networks", result))
    text = "\n".join(paragraph(f"**{head}**: {said}", "- ") for head, said in lines)
    return [paragraph(f"**{QUESTION}**"), text]


def best(leaderboard: Leaderboard) -> str:
    """The row of the highest mean, over what, by which recipe, and whether it speaks of a method."""
    row, key = ranked(leaderboard)[0], leaderboard.conditions
    over = f"over {counted(len(row.images), 'image')} of {counted(row.n_patients, 'patient')}"
    few = f" ({counted(len(row.seeds), 'seed')})" if len(row.seeds) < MIN_SEEDS else ""
    by = f"by recipe {escape(key.recipe)} at {key.size[0]} px"
    return f"{shown(row.name)}{few}, mean Dice {_value(row)} {over}, {by}."


def higher(leaderboard: Leaderboard, other: Leaderboard | None) -> str:
    """The best row of the leaderboard of another recipe, where its mean is higher; else empty."""
    if other is None or (row := ranked(other)[0]).dice.value <= ranked(leaderboard)[0].dice.value:
        return ""
    seeds = counted(len(row.seeds), "seed")
    recipe = escape(other.conditions.recipe)
    return f" Higher, in the table of recipe {recipe} below: {shown(row.name)} ({seeds}), {_value(row)}."


def significance(leaderboard: Leaderboard) -> str:
    """The test results of the best row; also of the best row with enough seeds, where the best has too few."""
    rows = ranked(leaderboard)
    said = [_against(leaderboard, rows)]
    if len(rows[0].seeds) < MIN_SEEDS:
        said[0] += f" With {counted(len(rows[0].seeds), 'seed')} this is about these trained weights, not the method."
        methods = [r for r in rows if len(r.seeds) >= MIN_SEEDS]
        if len(methods) > 1:
            said.append(f"Of networks with at least {MIN_SEEDS} seeds: {_against(leaderboard, methods)}")
    return " ".join(said)


def convergence(leaderboard: Leaderboard) -> str | None:
    """How many trainings more epochs might have helped; None where a tenth or less."""
    cells = [c for row in ranked(leaderboard) for c in leaderboard.cells_of(row) if c.trained]
    rising = sum(c.rising for c in cells)
    if rising <= len(cells) / 10:
        return None
    epochs = sorted({c.epochs for c in cells})
    ran = f"{epochs[0]}" if len(epochs) == 1 else f"at most {epochs[-1]}"
    return (
        f"the validation Dice was still rising in {rising} of {len(cells)} trainings when their epochs ran out: the"
        f" table ranks what {ran} epochs reach."
    )


def _against(leaderboard: Leaderboard, rows: Sequence[Row]) -> str:
    """``A is better than B; equivalent to C``, of the first row."""
    first, by_word = rows[0], dict[str, list[str]]()
    for other in rows[1:]:
        pair = leaderboard.pair(first.name, other.name)
        word = pair.verdict if pair else UNKNOWN
        by_word.setdefault(word, []).append(shown(other.name))
    parts = [
        f"{words} {listed(by_word[verdict])}"
        + (f" ({_least_lead(leaderboard, first, rows[1:])})" if verdict == BETTER else "")
        for verdict, words in (
            (BETTER, "better than"),
            (EQUIVALENT, f"equivalent (within {MARGIN}) to"),
            (UNKNOWN, "neither shown to be better than nor equivalent to"),
        )
        if verdict in by_word
    ]
    return f"{shown(first.name)} is {'; '.join(parts)}."


def _least_lead(leaderboard: Leaderboard, first: Row, others: Sequence[Row]) -> str:
    """The smallest difference to the rows that the first is better than, with its interval over the same patients."""
    pairs = [leaderboard.pair(first.name, other.name) for other in others]
    led = [pair.difference for pair in pairs if pair and pair.verdict == BETTER]
    low = min(led, key=lambda difference: difference.value)
    value = tables.unbroken(f"{low.value:.4f} [{low.low:.4f}, {low.high:.4f}]")
    return f"{'by' if len(led) == 1 else 'the smallest difference is'} {value}"


def cost(leaderboard: Leaderboard, measured: Sequence[ThroughputTable]) -> str:
    """The costs of the best row and of the row with the fewest multiply-adds within the margin of it."""
    rows = ranked(leaderboard)
    near = [row for row in rows if rows[0].dice.value - row.dice.value <= MARGIN]
    result = min(near, key=lambda row: (row.gmacs, row.parameters))
    if result is rows[0]:
        return (
            f"no network with fewer multiply-adds is within {MARGIN} of {shown(result.name)}'s mean Dice."
            f" {shown(result.name)} takes {_costs(leaderboard, result, measured)}. {_next(leaderboard, rows, measured)}"
        )
    return (
        f"of the networks within {MARGIN} of the best mean {shown(result.name)}, {_value(result)}, has the fewest"
        f" multiply-adds: {_costs(leaderboard, result, measured)};"
        f" {shown(rows[0].name)}: {_costs(leaderboard, rows[0], measured)}."
    )


def _next(leaderboard: Leaderboard, rows: Sequence[Row], measured: Sequence[ThroughputTable]) -> str:
    """Cost and loss of Dice of the network with the fewest multiplications."""
    light = min(rows, key=lambda r: (r.gmacs, r.parameters))
    away = rows[0].dice.value - light.dice.value
    return f"{shown(light.name)}, which computes least, scores {away:.3f} less: {_costs(leaderboard, light, measured)}."


def _costs(leaderboard: Leaderboard, row: Row, measured: Sequence[ThroughputTable]) -> str:
    what = "fold" if leaderboard.conditions.folds > 1 else "seed"
    speed = tables.rate(leaderboard, row, measured)
    rate = f", {speed} images/s" if speed != NONE else ""
    spent = "processor time" if leaderboard.processor_time else "training"
    return (
        f"{millions(row.parameters)} parameters, {row.gmacs:.2f} billion multiply-adds an image,"
        f" {duration(row.train_seconds)} of {spent} a {what}{rate}"
    )


def founding(leaderboards: Sequence[Leaderboard]) -> str | None:
    """Scores of U-Net, ResUNet and R2U-Net under the source protocol, from the leaderboard with the newest protocol and
    highest resolution that ranks all three; None where none does."""
    result = [
        s for s in leaderboards
        if s.conditions.recipe == SOURCE and leading.eligible(s) and set(THREE) <= {r.name for r in ranked(s)}
    ]  # fmt: skip
    if not result:
        return None
    leaderboard = max(result, key=lambda s: (s.conditions.protocol, _seeds(s), s.conditions.size))
    local = [r for r in ranked(leaderboard) if r.name in THREE]
    each = listed([f"{shown(r.name)} {_value(r)}" for r in local])
    key = leaderboard.conditions
    measured = other_measures.said_of(leaderboard, local, shown, dice=False)
    return (
        f"{_at_full_size(leaderboards)}with its training recipe at {key.size[0]} px and {local[0].width} filters in the"
        f" first layer, {_seeds(leaderboard)} seeds each: {each}. {_against(leaderboard, local)} {measured}".rstrip()
    )


def _at_full_size(leaderboards: Sequence[Leaderboard]) -> str:
    """How far the source protocol itself was run; empty where all three have been."""
    begun = [s for s in leaderboards if s.conditions.suite == FULL_SIZE]
    if any(set(THREE) <= {r.name for r in ranked(s)} for s in begun):
        return ""
    command = code(f"make bench SUITE={FULL_SIZE}")
    if not begun:
        return f"not run yet at the source protocol's 256 px and 64 filters ({command}, for a GPU); "
    most = max(begun, key=lambda s: (s.conditions.protocol, sum(r.cells[0] for r in s.rows)))
    return f"unfinished at the source protocol's 256 px and 64 filters ({command}): {_so_far(most)}; "


def _so_far(leaderboard: Leaderboard) -> str:
    """What each of the three has, as long as they cannot all be compared."""
    done = [r for r in leaderboard.ranked if r.name in THREE]
    parts = [f"{shown(r.name)} {_value(r)} ({counted(len(r.seeds), 'seed')})" for r in done]
    parts += [
        f"{shown(r.name)} {r.cells[0]} of {r.cells[1]} trainings"
        for r in leaderboard.rows
        if r.name in THREE and not r.rank
    ]
    return listed(parts)


def _seeds(leaderboard: Leaderboard) -> int:
    return min(len(r.seeds) for r in leaderboard.rows if r.name in THREE)


def _value(row: Row) -> str:
    """Mean Dice with its interval, in words that no browser breaks."""
    return tables.unbroken(f"{row.dice.value:.3f} [{row.dice.low:.3f}, {row.dice.high:.3f}]")


def _leaderboard(
    leaderboard: Leaderboard, measured: Sequence[ThroughputTable], page_name: Mapping[str, str], figure: str | None
) -> list[str]:
    rows, key = ranked(leaderboard), leaderboard.conditions
    head = (
        f"{names.data(key.test_set)} at {key.size[0]} px, recipe {escape(names.recipe(key.recipe))}, protocol"
        f" {key.protocol}{_MEANT.get(key.protocol, '')}, {names.backend(key.backend)} on"
        f" {names.device(key.device_kind)}, suite {_link(key.suite, page_name)}. Shown first by rule: {leading.RULE}."
    )
    picture = [
        f"![{findings.title(leaderboard)}: mean Dice with 95 % intervals, and differences to the best]({figure})"
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
    rows, key = ranked(other), other.conditions
    head = (
        f"{findings.title(other)}: {names.data(key.test_set)} at {key.size[0]} px, recipe"
        f" {escape(names.recipe(key.recipe))}, {names.backend(key.backend)} on {names.device(key.device_kind)}, suite"
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
                f"{_value(top)}{part}" if top else NONE,
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
