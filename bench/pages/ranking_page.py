"""The blocks on ranks: pairs, how stable the order is, and where the variance comes from."""

from __future__ import annotations

import math

from bench.markdown import NONE, counted, escape, p_value, paragraph, ratio, span, table, with_interval
from bench.pages import answers, pairs_file
from bench.statistics.rows import Pair, Ranking, Section
from bench.statistics.verdicts import MARGIN, UNKNOWN

MOST_PAIRS = 30


def differences(section: Section) -> list[str]:
    """Every pair of ranked rows with interval, superiority, tests and verdict."""
    if not section.pairs:
        return ["No two architectures were ranked, so none are compared."]
    rows = [
        [f"{escape(p.first)} - {escape(p.second)}", with_interval(p.difference, sign=True),
         with_interval(p.superiority, 2), p_value(p.p_holm), p_value(p.p_apart_holm), p_value(p.wilcoxon), told(p)]
        for p in section.pairs[:MOST_PAIRS]
    ]  # fmt: skip
    headers = ["Pair", "Difference in Dice [95 %]", "P(first > second) [95 %]", "p, Holm",
               f"p, {MARGIN} or more", "Wilcoxon", "Verdict"]  # fmt: skip
    n = section.rows[0].n_patients
    note = (
        f"Paired over the same {n} patients. Better: p, by Holm for {counted(len(section.pairs), 'pair')}, is below"
        " 0.05."
        f" Equivalent: so is that of a difference of {MARGIN} Dice or more, even where the first is, too: a difference"
        " that is real and too small to matter. An interval is that of its pair alone. Wilcoxon's p stands beside and"
        f" decides nothing. {answers.about(section)}"
    )
    more = len(section.pairs) - MOST_PAIRS
    table_of_all = pairs_file.name(section.setting.suite)
    rest = [f"And {more} more pairs: all are in [{table_of_all}]({table_of_all})."] if more > 0 else []
    return [table(headers, rows), *rest, paragraph(note)]


def told(pair: Pair) -> str:
    """The verdict of a pair, and whether it is one of weights."""
    return pair.verdict if pair.of_methods or pair.verdict == UNKNOWN else f"{pair.verdict} (weights)"


def stability(section: Section) -> list[str]:
    """Places over resamples, ranks by three rules and against seven truths."""
    found = section.ranking
    if found is None:
        return ["Fewer than two architectures were ranked."]
    places = {r.name: r.place for r in section.rows if r.place}
    rows = [
        [escape(name), span(place.rank, place.last), f"{100 * place.best:.1f} %", *(_rank(ranks[i])
         for ranks in found.schemes.values())]
        for i, name in enumerate(found.names) for place in [places[name]]
    ]  # fmt: skip
    headers = ["Architecture", "Rank", "P(best)", *(s.capitalize() for s in found.schemes)]
    return [table(headers, rows), paragraph(_taus(found)), *_rims(found)]


def _taus(found: Ranking) -> str:
    parts = [f"{a} with {b} {NONE if math.isnan(tau) else f'{tau:.2f}'}" for a, b, tau in found.taus]
    return (
        f"Kendall's tau-b between the rules ({NONE}: one of them ties all): {'; '.join(parts)}. With few rows tau has"
        " few values."
    )


def _rims(found: Ranking) -> list[str]:
    if len(found.rim_dice) < 2:
        return []
    px = sorted(found.rim_dice)
    headers = ["Architecture", *("as it is" if k == 0 else f"{k:+d} px" for k in px)]
    rows = [
        [escape(name), *(f"{_rank(found.rim_ranks[k][i])} ({ratio(found.rim_dice[k][i])})" for k in px)]
        for i, name in enumerate(found.names)
    ]
    note = (
        "Rank by mean Dice, and that Dice, against the truth eroded (-) or dilated (+) by 1 to 3 px: the truths of a"
        " stricter and of a more generous reader. Trained on masks as they are, every network loses on both sides;"
        " what counts is whether the order stays."
    )
    return [table(headers, rows), paragraph(note)]


def _rank(value: float) -> str:
    return f"{value:g}"


def variance(section: Section) -> list[str]:
    """Standard deviations by source."""
    rows = [
        [escape(r.name), str(len(r.seeds)), *(NONE if v is None else ratio(v) for v in (c.image, c.fold, c.seed,
         c.residual))]
        for r in section.rows if (c := r.components)
    ]  # fmt: skip
    if not rows:
        return []
    note = (
        "Standard deviations of Dice by source, from sums of squares (Henderson's method 3; 0 is a negative estimate)."
        " Seed: what another training does to all images of its fold; rest: to single images. With one seed neither can"
        " be told, and they are part of fold and image. Where each seed splits the images by itself (protocol 2), no"
        " fold outlasts a seed, and folds are part of seed."
    )
    headers = ["Architecture", "Seeds", "Image", "Fold", "Seed", "Rest"]
    return ["### Where the variance comes from", table(headers, rows), paragraph(note)]
