"""What a leaderboard lacks: cells, images, architectures; and what its partial rows may still change."""

from __future__ import annotations

from bench.markdown import Namer, counted, escape, ratio
from bench.statistics import stats
from bench.statistics.rows import CellRow, Leaderboard, Row
from bench.suites import SUITES
from lungseg import ARCHITECTURES
from lungseg.intervals import MIN_PATIENTS


def unranked(leaderboard: Leaderboard, row: Row) -> str:
    """Why the row has no rank."""
    if len({image for r in leaderboard.rows for image in r.images}) < stats.MIN_IMAGES:
        return f"{counted(len(row.images), 'image')}, fewer than the {stats.MIN_IMAGES} that a rank needs"
    if len({patient for r in leaderboard.rows for patient in r.patients}) < MIN_PATIENTS:
        return f"{counted(row.n_patients, 'patient')}, fewer than the {MIN_PATIENTS} that an interval needs"
    return f"{row.cells[0]} of {row.cells[1]} cells, {row.coverage[0]} of {row.coverage[1]} images"


def leading_partial(leaderboard: Leaderboard, name: Namer = escape) -> str:
    """Whether unfinished rows score more than the first on the images that they predicted; empty where none does."""
    pairs = [(r, other) for r in leaderboard.rows if not r.rank and (other := of_the_first(leaderboard, r)) is not None]
    better = [(r.dice.value - other, r, other) for r, other in pairs if r.dice.value > other]
    if not better:
        return ""
    _, row, other = max(better, key=lambda one: one[0])
    those = "An unfinished row is" if len(better) == 1 else f"{len(better)} unfinished rows are"
    furthest = f"{name(row.name)}" if len(better) == 1 else f"{name(row.name)} furthest"
    return (
        f" {those} ahead of it on the images that they predicted, {furthest}: {ratio(row.dice.value)} to"
        f" {ratio(other)} on {len(row.images)}."
    )


def of_the_first(leaderboard: Leaderboard, row: Row) -> float | None:
    """Mean Dice of the first row on the images of one that lacks some: else 0.97 of the easy ones looks like a lead.
    None of any other row."""
    first, local = next(iter(leaderboard.ranked), None), set(row.images)
    if first is None or not local < set(first.images):
        return None
    return first.dice_on(local)


def missing(leaderboard: Leaderboard, name: Namer = escape) -> list[str]:
    """Sentences on missing cells and images, last on seeds that are left out; empty where every seed predicted every
    image once."""
    key, lines, out = leaderboard.conditions, list[str](), list[str]()
    cells: dict[str, list[CellRow]] = {}
    for c in leaderboard.cells:
        cells.setdefault(c.row, []).append(c)
    left_out = {(r.name, seed) for r in leaderboard.rows for seed in r.left_out}
    for of, local in sorted(cells.items()):
        for seed in sorted({c.seed for c in local}):
            ok = {c.fold for c in local if c.seed == seed and c.scored}
            failed = {c.fold for c in local if c.seed == seed and not c.scored}
            if len(ok) < key.folds:
                never = sorted(set(range(key.folds)) - ok - failed)
                detail = [f"failed: {_folds(sorted(failed))}"] if failed else []
                detail += [f"not run: {_folds(never)}"] if never else []
                text = f"{name(of)}, seed {seed}: {len(ok)} of {key.folds} folds ({'; '.join(detail)})"
                (out if (of, seed) in left_out else lines).append(text)
    for row in leaderboard.rows:
        if row.cells[0] == row.cells[1] and row.coverage[0] != row.coverage[1]:
            lines.append(f"{name(row.name)}: {row.coverage[0]} of {row.coverage[1]} images, but no cell is missing")
    if out:
        which = f"; {'the last' if lines else 'these'} {len(out)} are" if len(out) > 1 else ","
        if lines and len(out) == 1:  # the others are unfinished rows, whose numbers are shown
            which = "; the last alone is"
        out[-1] += f"{which} left out of every number here"
    return lines + out


def never_run(leaderboard: Leaderboard) -> list[str]:
    """Registered architectures without a record in the leaderboard; none where it compares variants of a recipe."""
    if any(r.variant for r in leaderboard.rows):
        return []
    run = {c.architecture for c in leaderboard.cells}
    return [name for name in ARCHITECTURES if name not in run]


def variants_never_run(leaderboard: Leaderboard) -> list[str]:
    """Variants that the suite names and no record of the leaderboard was trained by; none where it compares none."""
    known = SUITES.get(leaderboard.conditions.suite)
    run = {c.variant for c in leaderboard.cells}
    return [v for v in known.variants if v not in run] if known and run - {""} else []


def _folds(folds: list[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
