"""``lungseg evaluate``: a model folder's Dice on labelled images, with its interval; on request written to its card."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lungseg import runtime, terminal
from lungseg.cli.train import OWN, SECONDS, describe
from lungseg.intervals import MIN_PATIENTS
from lungseg.terminal import plain, tell

if TYPE_CHECKING:
    from lungseg.card import Card


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model on labelled images",
        description="Print a model's mean Dice over the patients of a labelled dataset with its 95 % interval; none is "
        f"given for fewer than {MIN_PATIENTS} patients.",
    )
    parser.add_argument("model", help="model folder, or name of a shipped model")
    terminal.add_data(parser)
    terminal.add_engine(parser)
    parser.add_argument(
        "--to-card", metavar="NAME", help="add the score to the model's card.json, as the score on dataset NAME"
    )
    parser.add_argument(
        "--json",
        type=terminal.new_file,
        help="write the scores of each image to this JSON file; distances are in its distance_unit, px where the "
        "spacing is unknown, whatever a key says",
    )
    terminal.add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print mean Dice and its interval, at the masks' stored size and at the network's, the median HD95 and the images
    of the lowest Dice."""
    from lungseg import atomic, engine, evaluation, model_folder, postprocessing
    from lungseg.card import require_valid
    from lungseg.datasets import load, refuse_foreign
    from lungseg.errors import UsageError

    runtime.set_up(arguments.threads)
    model = model_folder.find(arguments.model)
    card = model.card
    if arguments.to_card and arguments.model in model_folder.shipped():
        raise UsageError(f"{arguments.model}: is the package's own; copy {model.path} and give the copy to --to-card")
    if arguments.to_card and not os.access(model.path, os.W_OK):
        raise UsageError(f"{model.path}: the folder is read-only; copy it and give the copy")
    if arguments.to_card:
        require_valid(_with_scores(card, [{"set": arguments.to_card}]), f"--to-card {arguments.to_card}")
    cases = load(arguments.dataset, arguments.root)
    refuse_foreign(arguments.dataset, [case.id for case in cases], arguments.root, OWN)
    network = engine.start(model, arguments.engine, arguments.threads, arguments.tta)
    say = terminal.every(SECONDS, tell)

    def watch(done: int, n: int) -> None:
        say(f"{done} of {n} images")

    result = evaluation.evaluate(network, cases, card.size, card.threshold, watch, postprocess=arguments.postprocess)
    fingerprint = evaluation.fingerprint(cases)
    again = card.has_train_set(fingerprint)
    how = "one training, all images of the set" + " that it was trained on" * again
    how += ", test-time augmentation" * arguments.tta
    how += f", {postprocessing.STATED}" * arguments.postprocess
    if again:
        tell(f"{card.name}: was trained on images of this very set, so these scores are higher than those on others")
    name = arguments.to_card or arguments.dataset
    scores = [
        {"set": name, "metric": "dice", "at": at, "how": how, "engine": network.name,
         "data_sha256": fingerprint, **result.dice(at)}
        for at in ("stored", "network")
    ]  # fmt: skip
    try:
        if arguments.json:
            text = json.dumps({"scores": scores, "cases": result.cases}, indent=1, allow_nan=False)
            atomic.write_bytes(arguments.json, text.encode())
        if arguments.to_card:
            model_folder.update(model, card=lambda now: _with_scores(now, scores))
    finally:  # also where neither could be written; not before, as the output's reader may have gone
        for score in scores:
            print(plain(describe(score)))
        distance, unit = result.hd95()
        if math.isfinite(distance):
            print(f"HD95 {distance:.2f} {unit} (median over images, at the masks' stored size)")
        worst = ", ".join(f"{key} {dice:.4f}" for key, dice in result.lowest())
        print(plain(f"lowest Dice: {worst}"))
    return 0


def _with_scores(card: Card, scores: Sequence[Mapping[str, Any]]) -> Card:
    """The card with these scores in place of those that it has on the same sets."""
    sets = {score["set"] for score in scores}
    return replace(card, scores=(*(score for score in card.scores if score.get("set") not in sets), *scores))
