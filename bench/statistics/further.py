"""What another set bought that every fold trained on besides: the same cells without it, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.statistics.pairs import compared
from bench.statistics.resamples import drawn
from bench.statistics.resampling import holm
from bench.statistics.rows import Gain, Row, Section
from bench.statistics.scores import Scores
from bench.suites import variant_of

WITH, WITHOUT = "with", "without"


def gains(section: Section, sections: Sequence[Section]) -> tuple[Gain, ...]:
    """Each ranked row against that of the same network in the section that differs by the other set alone.

    Holm-corrected over them. Empty where no fold trains on another set, or no such section is at hand.
    """
    key = section.setting
    if not key.besides:
        return ()
    alone = (s for s in sections if s.setting == replace(key, suite=s.setting.suite, trained_on=key.scored_on))
    plain = next(alone, None)
    found = [gain for row in section.rows if plain and (gain := _gain(row, section, plain))]
    corrected = holm([gain.pair.p_value for gain in found])
    return tuple(replace(g, pair=replace(g.pair, p_holm=p)) for g, p in zip(found, corrected, strict=True))


def _gain(row: Row, section: Section, plain: Section) -> Gain | None:
    other = next((r for r in plain.rows if _network(r) == _network(row) and r.images == row.images), None)
    if other is None or not (row.rank and other.rank):
        return None
    tables = {WITH: _scores(row, section), WITHOUT: _scores(other, plain)}
    pairs = compared([WITH, WITHOUT], tables, drawn(tables), section.setting.folds)
    if not pairs:
        return None
    seen, before = (_trained_on(scores) for scores in (tables[WITH], tables[WITHOUT]))
    return Gain(row.name, plain.setting.suite, other.dice, row.dice, pairs[0], seen / before)


def _network(row: Row) -> tuple[str, int, str]:
    return row.architecture, row.width, row.variant


def _scores(row: Row, section: Section) -> Scores:
    scores = Scores.of([
        r for r in section.records
        if r["status"] == "ok" and int(r["cell"]["seed"]) in row.seeds
        and (r["cell"]["architecture"], int(r["cell"]["width"]), variant_of(r["cell"])) == _network(row)
    ])  # fmt: skip
    assert scores  # the row is made of them
    return scores


def _trained_on(scores: Scores) -> float:
    """Images a training, on average."""
    return sum(len(r["split"]["train"]) for r in scores.records) / len(scores.records)
