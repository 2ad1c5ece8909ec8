"""The verbs of `python -m bench` and their options."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable

from bench.paths import home
from bench.records.results import Results
from lungseg import __version__
from lungseg.recipes import PRECISIONS
from lungseg.terminal import path

Verb = Callable[[str, str], argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(
        prog="python -m bench" if sys.argv[0].endswith("__main__.py") else "lungseg-bench",
        description="Train, score and compare lung segmentation networks.",
        epilog="Exit codes: 0 ok, 1 regression, 2 usage, 3 data, 4 some cells failed or could not be judged, 5 nothing "
        "to compare with, 6 environment, 70 internal error, 130 interrupted and resumable.",
    )
    top.add_argument("--version", action="version", version=f"lungseg {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, words: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")

    _measuring(verb)
    _reporting(verb)
    _searching(verb)
    _judging(verb)
    verb("list", "show suites with their costs, architectures and datasets")
    return top


def _measuring(verb: Verb) -> None:
    """Verbs that work through the cells of a suite."""
    run = verb("run", "train and score a suite's missing cells, then report")
    _cells(run, "number of seeds instead of the suite's own")
    run.add_argument("--variants", type=_names, help="variants of the recipe, beside it, instead of the suite's "
                     "own, as plateau,long+ema; `list` names them")  # fmt: skip
    _numerics(run)
    _launch(run)
    run.add_argument("--workers", type=int, help="parallel cells (does not affect results)")
    run.add_argument("--no-speed", action="store_true", help="do not measure throughput")
    ensemble = verb("ensemble", "score means of a suite's trained seeds and views; trains nothing, then reports")
    _cells(ensemble, "only the first so many seeds instead of all that were trained")
    ensemble.add_argument("--variant", help="of those trained by this variant of the recipe, as long")
    _numerics(ensemble)
    _launch(ensemble)
    ensemble.add_argument(
        "--tta", action="store_true", help="also test-time augmentation (TTA): rotated, scaled and gamma-changed copies"
    )
    robustness = verb("robustness", "Dice lost under corruptions, from kept weights; trains nothing, then reports")
    robustness.add_argument("suite", help="suite's name; see `list`")
    robustness.add_argument(
        "--arch",
        help="architectures instead of the suite's own: names or patterns, as 'r2*,unet', or package.module:function",
    )
    robustness.add_argument("--seeds", type=int, help="only the first so many seeds instead of all that were trained")
    robustness.add_argument("--variant", help="those trained by this variant of the recipe, as long")
    _numerics(robustness)
    _launch(robustness)
    _data(robustness)
    _results(robustness)
    reruns = verb("reruns", "train the same cells again and again: how far equal runs differ; no part of a leaderboard")
    _cells(reruns, "number of seeds instead of the suite's own")
    _numerics(reruns)
    _launch(reruns)
    reruns.add_argument(
        "--times", type=int, default=5, help="total number of runs of each cell, including earlier ones (5)"
    )
    speed = verb("speed", "measure throughput of a suite's architectures, one process each")
    _choice(speed)
    speed.add_argument("--batches", type=_numbers, default=(), help="images a step instead of the recipe's, as 8,16")
    speed.add_argument("--peers", action="store_true", help="our U-Net beside a native PyTorch one, both precisions; "
                       "needs torch")  # fmt: skip
    speed.add_argument("--whole", action="store_true", help="the whole protocol: minutes an architecture")
    speed.add_argument("--precision", choices=PRECISIONS, help="Keras policy instead of the suite's own")
    _launch(speed)
    _results(speed)


def _reporting(verb: Verb) -> None:
    """Verbs that write pages of what was measured."""
    reruns = verb("report", "write pages and figures anew from stored records")
    _results(reruns)
    reruns.add_argument("--no-figures", action="store_true", help="pages only")
    reruns.add_argument("--suite", help="only this suite's page")
    costs = verb("costs", "where the seconds of a suite's cells went, part by part")
    costs.add_argument("suite", nargs="?", default="quick", help="suite's name (quick)")
    _results(costs)
    span = verb("makespan", "how long a suite would take on other numbers of workers, from its cells' recorded times")
    span.add_argument("suite", nargs="?", default="quick", help="suite's name (quick)")
    span.add_argument("--workers", type=_numbers, default=(8, 64, 1000), help="numbers of workers (8,64,1000)")
    span.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="before each cell, in a queue (0)")
    _results(span)
    subgroups = verb("subgroups", "aggregate stored scores by patients' sex and age, for the report")
    subgroups.add_argument("suite", help="suite's name")
    _data(subgroups)
    _results(subgroups)
    over = verb("history", "draw Dice and speed over the commits that a suite's records come from")
    over.add_argument("suite", nargs="?", default="quick", help="suite's name (quick)")
    _results(over)
    migrate = verb("migrate", "rewrite records of schema 1 with today's names; all numbers and fingerprints stay valid")
    _results(migrate)
    publish = verb("publish", "validate a suite's records, copy them to the committed results, renew the pages")
    publish.add_argument("suite", help="suite's name")
    _results(publish)
    publish.add_argument("--to", type=_folder, default=Results(home() / "results"), help="committed results (results)")
    publish.add_argument("--partial", action="store_true", help="also architectures that lack folds, named as such")
    folders = verb("export-model", "a model folder of each finished row, from kept weights; trains nothing")
    folders.add_argument("suite", help="suite's name")
    folders.add_argument("--arch", help="architectures instead of all that finished: names or patterns, as 'r2*,unet'")
    folders.add_argument("--out", type=path, help="folder for them (<results>/models/<suite>)")
    _data(folders)
    _results(folders)


def _searching(verb: Verb) -> None:
    search = verb("tune", "search for a better recipe on part of one fold, judge it on the rest")
    search.add_argument("suite", help="suite whose data, folds and recipe are the start; see `list`")
    search.add_argument("--arch", help="architecture instead of the suite's first")
    search.add_argument("--trials", type=int, default=20, help="total number of trials, including resumed ones (20)")
    search.add_argument("--hours", type=float, help="begin no trial after so many hours of this command")
    search.add_argument("--fold", type=int, default=0, help="fold whose test images judge the search (0)")
    search.add_argument("--inner", type=int, default=3, help="inner folds that the rest is split into (3)")
    search.add_argument("--size", type=int, help="side of the images in pixels instead of the suite's own")
    search.add_argument("--width", type=int, help="channels of the first level instead of the suite's own")
    search.add_argument("--epochs", type=int, help="epochs of every training instead of the recipe's own")
    search.add_argument("--seeds", type=int, default=3, help="seeds of the judging on held-out images (3)")
    search.add_argument("--workers", type=int, help="parallel trainings (does not affect results)")
    search.add_argument("--publish-to", type=_folder, metavar="RESULTS", help="also write its record and page to "
                        "RESULTS/tuning/")  # fmt: skip
    _launch(search)
    _data(search)
    _results(search)


def _judging(verb: Verb) -> None:
    for name, words in (
        ("gate", "train a small suite anew and compare it with the baseline"),
        ("baseline", "train a small suite anew and write it as the baseline"),
    ):
        guard = verb(name, words)
        guard.add_argument("--baseline", type=path, default=home() / "results" / "baseline.json", help="baseline file "
                           "(results/baseline.json)")  # fmt: skip
        guard.add_argument("--suite", help="what is trained: the baseline's suite; for a new one smoke, or own-smoke "
                           "where --data names a folder")  # fmt: skip
        guard.add_argument("--arch", help="architectures instead of the suite's own: names, patterns, or functions of "
                           "your own as my.networks:tiny")  # fmt: skip
        _data(guard)
        _limits(guard)
        _results(guard, "results/local/gate")
        if name == "gate":
            guard.add_argument("--junit", type=path, metavar="XML", help="also write the findings as JUnit XML")
            guard.add_argument("--against", metavar="COMMIT", help="say what code changed since this commit if the "
                               "baseline did, too (the pull request's base on GitHub)")  # fmt: skip
    fast = verb("gate-speed", "time kernels, training and inference steps; compare them with the baseline")
    fast.add_argument("--baseline", type=path, default=home() / "results" / "speed-baseline.json", help="baseline file "
                      "(results/speed-baseline.json)")  # fmt: skip
    fast.add_argument("--write", action="store_true", help="write the baseline instead, the best of three measurements")
    fast.add_argument("--margin", type=float, help="how much slower passes (0.5)")
    fast.add_argument("--junit", type=path, metavar="XML", help="also write the findings as JUnit XML")
    _results(fast, "results/local/gate-speed")
    judge = verb("compare", "compare a suite's records with older ones, image by image; trains nothing")
    judge.add_argument("suite", help="suite's name")
    judge.add_argument("--baseline", type=_folder, default=Results(home() / "results"),
                       help="results to compare with (results)")  # fmt: skip
    judge.add_argument("--candidate", type=_folder, default=Results(home() / "results" / "local"),
                       help="results (results/local)")  # fmt: skip
    judge.add_argument("--arch", help="only these architectures: names or patterns, as 'r2*,unet', or functions of "
                       "your own as my.networks:tiny")  # fmt: skip
    _limits(judge)
    judge.add_argument("--junit", type=path, metavar="XML", help="also write the findings as JUnit XML")
    _results(judge, "results/local/compare")


def _limits(of: argparse.ArgumentParser) -> None:
    of.add_argument("--margin", type=float, help="largest loss of mean Dice that passes, as 0.01, instead of the "
                    "suite's own limits; scores need not be equal then on any machine")  # fmt: skip
    of.add_argument("--limits", type=path, metavar="TOML", help="file of margin, margins, floor, level, exact")


def _cells(of: argparse.ArgumentParser, seeds: str) -> None:
    _choice(of)
    _results(of)
    _data(of)
    of.add_argument("--seeds", type=int, help=seeds)
    of.add_argument("--folds", type=_numbers, help="only these folds, as 0,1")


def _numerics(of: argparse.ArgumentParser) -> None:
    of.add_argument("--precision", choices=PRECISIONS, help="Keras policy instead of the suite's own")
    bits = of.add_mutually_exclusive_group()
    bits.add_argument("--deterministic", action="store_true", default=None, help="operations that give the same bits "
                      "each time: what every suite does on a CPU")  # fmt: skip
    bits.add_argument("--fast", dest="deterministic", action="store_false", help="operations that need not: what "
                      "suites for a GPU do there, at up to four times the speed")  # fmt: skip


def _launch(of: argparse.ArgumentParser) -> None:
    where = of.add_mutually_exclusive_group()
    where.add_argument("--launch", type=_words, default=(), metavar="WORDS", help="command that each process is "
                       "started through, as \"srun --ntasks=1 --gpus=1\"; presets: slurm, and "
                       "ssh:HOST,HOST for the least busy of these")  # fmt: skip
    where.add_argument("--executor", type=_executor, default=("local", ""), metavar="NAME[:ADDRESS]", help="what runs "
                       "the processes: local, or ray, of this machine alone; ray:ADDRESS joins a cluster")  # fmt: skip


def _choice(of: argparse.ArgumentParser) -> None:
    of.add_argument("suite", nargs="?", default="quick", help="suite's name (quick); see `list`")
    of.add_argument(
        "--arch",
        help="architectures instead of the suite's own: names or patterns, as 'r2*,unet', or package.module:function",
    )


def _results(of: argparse.ArgumentParser, default: str = "results/local") -> None:
    of.add_argument("--results", type=_folder, default=Results(home() / default), help=f"results folder ({default})")


def _data(of: argparse.ArgumentParser) -> None:
    of.add_argument("--data", type=path, help="folder of the real dataset (else LUNGSEG_DATA)")


def _folder(text: str) -> Results:
    return Results(path(text))


def _words(text: str) -> tuple[str, ...]:
    from bench.running import ssh
    from bench.running.executor import LAUNCHES

    preset, _, hosts = text.partition(":")
    if preset == "ssh":
        if not all(hosts.split(",")) or any(host.startswith("-") for host in hosts.split(",")):
            raise argparse.ArgumentTypeError(f"{text!r} names no hosts; give them as ssh:host1,host2")
        return (*ssh.PREFIX, hosts)
    try:
        return tuple(shlex.split(LAUNCHES.get(text, text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no command ({error})") from error


def _executor(text: str) -> tuple[str, str]:
    from bench.running.executor import EXECUTORS

    name, _, address = text.partition(":")
    if name not in EXECUTORS or (name == "local" and address):
        raise argparse.ArgumentTypeError(f"{text!r} is no executor; known are {', '.join(EXECUTORS)}, ray:ADDRESS")
    return name, address


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names such as plateau,elastic")
    return names


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 0,1") from error
