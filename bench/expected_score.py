"""What a model trained on a whole set is to be expected to score there: ``python -m bench.expected_score MODEL SUITE``.

A network that saw all images of a set has no honest score on it. The suite's row of the same architecture, width, size,
recipe and images has one, out of fold; this writes it to the model folder's card, with the suite, protocol and commit
that it is from and with every setting in which those trainings were others. Trains nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records.record import Record
from bench.records.results import Results
from bench.running.training import settings
from lungseg import model_folder, recipes, terminal
from lungseg.errors import DataError, LungsegError, UsageError
from lungseg.intervals import words

if TYPE_CHECKING:
    from bench.statistics.rows import Row
    from lungseg.card import Card

EXPECTED = "expected"  # begins how such a score was come by
# Rules that protocol 2 changed, so that no record of protocol 1 has today's: told in the card instead of refused.
TOLD = ("monitor",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the score to the card; 3 where the suite has no such row."""
    options = _parser().parse_args(arguments)
    try:
        model = model_folder.open_folder(options.model)
        score = expected(model.card, options.suite, Results(options.results))
        if not os.access(model.path, os.W_OK):
            raise UsageError(f"{model.path}: cannot be changed; copy the folder and give the copy")
        model_folder.update(model, card=lambda now: _with_expected(now, score))
    except LungsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"Dice {score['value']:.4f} {words(score)}, {score['how']}")
    return 0


def _with_expected(card: Card, score: Mapping[str, Any]) -> Card:
    """The card with this expected score instead of any other."""
    kept = [one for one in card.scores if not str(one["how"]).startswith(EXPECTED)]
    return replace(card, scores=(*kept, score))


def expected(card: Card, suite: str, results: Results) -> dict[str, Any]:
    """The score of the suite's row that was trained as the card says, by the backend of the card's own training.

    As `Card.scores`, and suite, protocol, what else the trainings had, and how many images were scored by a training
    that had seen another image of the same patient. Raises DataError where there is no such row.
    """
    from bench.statistics import stats

    local = [record for record in results.all(suite) if _same(record, card)]
    result = [
        (row, [record for record in local if stats.conditions(record) == leaderboard.conditions])
        for leaderboard in stats.leaderboards(local)
        for row in leaderboard.rows
        if row.single and row.complete
    ]
    if not result:
        raise DataError(
            f"{results.runs(suite)}: no finished row of {card.architecture}, width {card.width}, "
            f"{card.size[0]} x {card.size[1]} px, trained by recipe {card.recipe['name']} on the images that this "
            "model was trained on; give a suite that has one"
        )
    row, records = result[0]  # the highest protocol first
    return _score(card, suite, row, records)


def _same(record: Record, card: Card) -> bool:
    """Whether the record is of a training as the card's, but for the share of images that it held out."""
    cell, requested = record.cell, (card.architecture, card.width, card.size, card.parameters)
    return (
        record.ok
        and record.trained
        and (cell.architecture, cell.width, cell.size, record.parameters) == requested
        and cell.train_set == cell.test_set == card.data.get("set")
        and record.data.prepared_sha256 == card.data.get("prepared_sha256")
        and record.machine.backend == card.training.get("backend")
        and set(_differences(record, card)) <= set(TOLD)
    )


def _differences(record: Record, card: Card) -> dict[str, tuple[Any, Any]]:
    """Settings of the recipe that are not the same: what the record has, what the card has."""
    other = {key: value for key, value in record.inputs.recipe.items() if key != "best_by_dice"}
    other["monitor"] = record.inputs.monitor
    ours = settings(_recipe(card.recipe))
    return {
        key: (other.get(key), ours.get(key))
        for key in sorted(other.keys() | ours.keys())
        if other.get(key) != ours.get(key)
    }


def _recipe(result: Mapping[str, Any]) -> recipes.Recipe:
    """The recipe of a card."""
    moved = result.get("augmentation")
    try:
        return recipes.Recipe(**{**result, "augmentation": recipes.Augmentation(**moved) if moved else None})
    except TypeError as error:
        raise DataError(f"the card's recipe has settings that this code does not know ({error})") from error


def _score(card: Card, suite: str, row: Row, records: Sequence[Record]) -> dict[str, Any]:
    from bench.statistics.scores import beside_siblings

    first = records[0]
    commits = sorted({str(record.source.commit)[:12] for record in records})
    differences = {key: {"there": there, "here": here} for key, (there, here) in _differences(first, card).items()}
    how = (
        f"{EXPECTED}: mean over patients, out of fold, {row.cells[0]} trainings of {first.cell.folds} folds "
        f"({terminal.counted(len(row.seeds), 'seed')}), none of them this one; suite {suite}, recipe "
        f"{first.cell.recipe}, protocol {first.protocol}, commit {', '.join(commits)}"
    )
    return {
        "set": first.cell.test_set, "metric": "dice", "at": "network", "how": how, "engine": "keras",
        "data_sha256": first.data.raw_sha256, "images": len(row.images), "patients": row.n_patients,
        **row.dice.stated(len(row.seeds), row.n_patients), "suite": suite, "protocol": first.protocol,
        "differences": differences, "beside_another_image_of_the_patient": beside_siblings(records),
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.expected_score", description="Write a suite's out-of-fold Dice to a model folder's card."
    )
    parser.add_argument("model", type=terminal.path, help="model folder, trained on a whole set")
    parser.add_argument("suite", help="suite whose records hold the same training, fold by fold")
    parser.add_argument("--results", type=terminal.path, default=Path("results"), help="results folder (results)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
