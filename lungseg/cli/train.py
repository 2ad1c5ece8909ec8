"""``lungseg train``: trains one network on labelled images and writes a model folder."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

from lungseg import runtime, terminal
from lungseg.architectures import ARCHITECTURES, refuse_outside
from lungseg.datasets import dataset
from lungseg.errors import UsageError
from lungseg.intervals import words
from lungseg.terminal import counted, elapsed, plain, tell, whole

SECONDS = 10.0  # between two lines of progress
OWN = "for images of your own, give the dataset `folder`"


def _registered(text: str) -> str:
    try:
        refuse_outside(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "train",
        help="train a network on labelled images and write a model folder",
        description="Train one network with one recipe. If the training is interrupted or killed, run the same "
        "command again to resume it from its last checkpoint.",
    )
    terminal.add_data(parser)
    parser.add_argument("out", type=terminal.path, help="model folder to create")
    parser.add_argument("--pretrained", metavar="MODEL",
                        help="start from the weights of this model folder or shipped model (fine-tuning); "
                        "architecture, width and size are its own unless given")  # fmt: skip
    parser.add_argument("--arch", type=_registered, choices=list(ARCHITECTURES), metavar="NAME",
                        help=f"architecture (default: lwnet): {', '.join(ARCHITECTURES)}")  # fmt: skip
    parser.add_argument("--width", type=whole(1, 1024), help="channels of the first level (default: 64)")
    parser.add_argument("--size", type=terminal.side, help="network's input size, ROWS or ROWSxCOLUMNS (default: 128)")
    parser.add_argument(
        "--recipe",
        help="recipe: reference, smoke, quick, strong or fine-tune, or a variant such as strong:ema, which `python -m "
        "bench list` explains (default: strong, with --pretrained fine-tune)",
    )
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="random seed (default: 0)")
    score = parser.add_mutually_exclusive_group()
    score.add_argument("--folds", type=whole(2, 100), default=0, metavar="N",
                       help="score by N-fold cross-validation (N more trainings), then train on all images "
                       "(default: hold out a fifth of the patients)")  # fmt: skip
    score.add_argument(
        "--all", action="store_true", help="train on all images; holds out none, so the model gets no score"
    )
    parser.add_argument(
        "--licence", help="licence of the weights, stated in the model's card (default: the dataset's, if known)"
    )
    terminal.add_threads(parser)
    parser.add_argument(
        "--devices",
        type=whole(1, 1024),
        default=1,
        help="GPUs that share each batch; more than one needs KERAS_BACKEND=jax (default: 1)",
    )
    parser.set_defaults(
        run=run, resume="; the same command goes on from what is kept beside the model folder in <out>.training"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; print the model folder's path, and its score on standard error."""
    runtime.set_up(arguments.threads)
    from lungseg import fitting, recipes
    from lungseg.datasets import load, refuse_foreign

    if arguments.recipe:
        recipes.recipe(arguments.recipe)  # before the set is listed
    cases = load(arguments.dataset, arguments.root)
    refuse_foreign(arguments.dataset, [case.id for case in cases], arguments.root, OWN)
    known = dataset(arguments.dataset)
    licence = arguments.licence or known.licence or None
    about = {"set": arguments.dataset, "sources": known.cite}
    if licence:
        about["licence"] = licence
    made = fitting.fit(
        cases, arguments.out, architecture=arguments.arch, width=arguments.width, size=arguments.size,
        pretrained=arguments.pretrained, recipe=arguments.recipe, seed=arguments.seed, folds=arguments.folds,
        hold_out=not arguments.all, threads=arguments.threads, devices=arguments.devices,
        about=about, watch=Progress(),
    )  # fmt: skip
    for score in made.card.scores:
        tell(describe(score))
    print(plain(str(made.path)))
    return 0


def describe(score: Mapping[str, Any]) -> str:
    """``Dice 0.9703 [0.9652, 0.9735], 138 images of 120 patients, out of fold, at the masks' stored size``."""
    size = "masks' stored size" if score["at"] == "stored" else "network's size"
    images, patients = counted(score["images"], "image"), counted(score["patients"], "patient")
    return f"Dice {score['value']:.4f} {words(score)}, {images} of {patients} ({score['set']}), at the {size}"


class Progress:
    """A line now and then: epoch, validation Dice so far, time left of this training."""

    def __init__(self) -> None:
        self.last, self.best, self.training = 0.0, 0.0, 0
        self.seconds: list[float] = []

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Told of each epoch."""
        if event["training"] != self.training:
            self.best, self.training, self.seconds = 0.0, event["training"], []
        self.best = max(self.best, event["val_hard_dice"])
        self.seconds.append(event["seconds"])
        now, end = time.monotonic(), event["epoch"] == event["epochs"]
        if now - self.last < SECONDS and not end:
            return
        self.last = now
        left = (event["epochs"] - event["epoch"]) * statistics.median(self.seconds)
        tell(
            f"training {event['training']} of {event['trainings']}, "
            f"epoch {event['epoch']:.0f} of {event['epochs']:.0f}: "
            f"loss {event['loss']:.4f}, validation Dice {event['val_hard_dice']:.4f} (best {self.best:.4f})"
            f"{f', about {elapsed(left)} left' if not end and len(self.seconds) > 1 else ''}"  # the first one compiles
        )
