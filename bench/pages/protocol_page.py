"""The protocol of a leaderboard: images, patients, what seeds vary, how the best epoch was chosen."""

from __future__ import annotations

from bench.markdown import counted, listed, paragraph
from bench.statistics.rows import Leaderboard

CHOSEN_BY = {  # a recipe's monitor -> words
    "val_loss": "the lowest validation loss",
    "val_hard_dice": "the highest hard Dice of the validation images (masks after the threshold, as in the tables)",
    "val_dice": "the highest soft Dice of the validation images (of probabilities, before any threshold)",
}


def stated(leaderboard: Leaderboard) -> str:
    """A paragraph for the head of the leaderboard."""
    return paragraph(
        " ".join([_protocol(leaderboard), _images(leaderboard), *_seeds(leaderboard), *_chosen(leaderboard)])
    )


def _protocol(leaderboard: Leaderboard) -> str:
    number = leaderboard.conditions.protocol
    if number > 1:
        return f"Protocol {number}."
    leaked = leaderboard.beside_siblings
    folds = f"{counted(leaked, 'test image')} had another image of the patient in training; " if leaked else ""
    return f"Protocol {number}: {folds}kept for history."


def _images(leaderboard: Leaderboard) -> str:
    if not leaderboard.rows:
        return "No image was scored."
    row = max(leaderboard.rows, key=lambda r: len(r.images))
    return f"{counted(len(row.images), 'image')} of {counted(row.n_patients, 'patient')} were scored."


def _seeds(leaderboard: Leaderboard) -> list[str]:
    key = leaderboard.conditions
    if key.folds == 1:
        return []
    if key.protocol > 1:
        return ["Each seed has its own split into folds, so seeds vary the split, too."]
    return ["All seeds share one split."] if len(leaderboard.seeds) > 1 else []


def _chosen(leaderboard: Leaderboard) -> list[str]:
    ways = sorted({c.monitor for c in leaderboard.cells if c.monitor})
    return [f"The epoch whose weights are kept has {listed([CHOSEN_BY.get(w, w) for w in ways])}."] if ways else []
