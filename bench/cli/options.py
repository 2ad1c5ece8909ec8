"""The verbs of `python -m bench`, their options, and which module of ``bench.cli`` holds the function of each."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable

from bench.records.results import GATE_FOLDER, Results, home
from lungseg import __version__
from lungseg.recipes import PRECISIONS
from lungseg.terminal import new_file, path, whole

COUNT = whole(1)
Verb = Callable[[str, str], argparse.ArgumentParser]
ARCHITECTURES = ("comma-separated architectures: names, patterns such as 'r2*,unet', or functions such as "
                 "package.module:function (default: as in the suite)")  # fmt: skip
PRECISION = f"Keras precision policy: {', '.join(PRECISIONS)} (default: as in the suite)"


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs and their options."""
    top = argparse.ArgumentParser(
        prog="python -m bench" if sys.argv[0].endswith("__main__.py") else "lungseg-bench",
        description="Train, score and compare lung segmentation networks.",
        epilog="Exit codes: 0 success, 1 regression, 2 usage error, 3 bad data, 4 some cells failed or could not be "
        "judged, 5 nothing to compare with, 6 environment or I/O error, 70 internal error, 130 interrupted (run the "
        "same command again to resume).",
    )
    top.add_argument("--version", action="version", version=f"lungseg {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def of(module: str) -> Verb:
        """Adds a verb whose function, of the verb's name, is in that module of ``bench.cli``."""

        def verb(name: str, words: str) -> argparse.ArgumentParser:
            added = verbs.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
            added.set_defaults(module=module)
            return added

        return verb

    _measuring(of("training"))
    _reporting(of("reporting"))
    _searching(of("training"))
    _comparing(of("comparing"))
    of("reporting")("list", "list suites with their measured costs, recipe variants, architectures and datasets")
    return top


def _measuring(verb: Verb) -> None:
    """Verbs that train or measure the cells of a suite."""
    run = verb("run", "train and score the cells of a suite that have no record yet, then write the report")
    _cells(run, "number of seeds (default: as in the suite)")
    run.add_argument("--variants", type=_names, help="comma-separated recipe variants to train in addition to the "
                     "base recipe, such as plateau,long+ema (default: as in the suite; see `list`)")  # fmt: skip
    _numerics(run)
    _launch(run)
    run.add_argument("--workers", type=COUNT, help="parallel cells (does not affect results)")
    run.add_argument("--devices", type=COUNT, help="GPUs that share each batch of one training, whose records have a "
                     "table of their own; more than one needs KERAS_BACKEND=jax (default: 1)")  # fmt: skip
    run.add_argument("--no-speed", action="store_true", help="do not measure throughput")
    ensemble = verb("ensemble", "score ensembles over a suite's trained seeds, then write the report; trains nothing")
    _cells(ensemble, "use only the first SEEDS seeds (default: all trained seeds)")
    ensemble.add_argument("--variant", help="use the networks trained with this recipe variant, such as long")
    _numerics(ensemble)
    _launch(ensemble)
    ensemble.add_argument(
        "--tta",
        action="store_true",
        help="also average over test-time augmentation (TTA): rotated, scaled and gamma-changed copies",
    )
    ensemble.add_argument(
        "--postprocess",
        action="store_true",
        help="also score post-processed masks: the two largest pieces, holes filled",
    )
    robustness = verb("robustness", "measure the loss of Dice on corrupted images, from stored weights; trains nothing")
    robustness.add_argument("suite", help="name of the suite; see `list`")
    robustness.add_argument("--arch", help=ARCHITECTURES)
    robustness.add_argument("--seeds", type=COUNT, help="use only the first SEEDS seeds (default: all trained seeds)")
    robustness.add_argument("--variant", help="use the networks trained with this recipe variant, such as long")
    _numerics(robustness)
    _launch(robustness)
    _data(robustness)
    _results(robustness)
    reruns = verb(
        "reruns", "train the same cells several times to measure run-to-run spread; leaderboards do not use the results"
    )
    _cells(reruns, "number of seeds (default: as in the suite)")
    _numerics(reruns)
    _launch(reruns)
    reruns.add_argument(
        "--times", type=COUNT, default=5, help="total number of runs of each cell, including earlier ones (default: 5)"
    )
    speed = verb("speed", "measure the throughput of a suite's architectures, each in its own process")
    _choice(speed)
    speed.add_argument("--batches", type=_counts, default=(), help="comma-separated batch sizes, such as 8,16 "
                       "(default: as in the recipe)")  # fmt: skip
    speed.add_argument("--peers", action="store_true", help="compare our U-Net with a native PyTorch U-Net, in both "
                       "precisions unless --precision names one (needs torch)")  # fmt: skip
    speed.add_argument("--whole", action="store_true", help="run the full measurement protocol, which takes minutes "
                       "per architecture")  # fmt: skip
    speed.add_argument("--precision", choices=PRECISIONS, metavar="POLICY", help=PRECISION)
    speed.add_argument("--size", type=_side, help="image side in pixels (default: as in the suite)")
    _launch(speed)
    _results(speed)


def _reporting(verb: Verb) -> None:
    """Verbs that write pages or other files from stored records."""
    report = verb("report", "rewrite pages and figures from stored records")
    _results(report)
    report.add_argument("--no-figures", action="store_true", help="write only the pages")
    report.add_argument("suite", nargs="?", help="write only the page of this suite (default: all)")
    costs = verb("costs", "show how the time of a suite's cells divides into training, scoring and other parts")
    costs.add_argument("suite", nargs="?", default="quick", help="name of the suite (default: quick)")
    _results(costs)
    span = verb("makespan", "estimate how long a suite would take with other numbers of workers, from recorded times")
    span.add_argument("suite", nargs="?", default="quick", help="name of the suite (default: quick)")
    span.add_argument("--workers", type=_counts, default=(8, 64, 1000), help="comma-separated numbers of cells at a "
                      "time (default: 8,64,1000)")  # fmt: skip
    span.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="time that each cell waits in a queue "
                      "before it starts (default: 0)")  # fmt: skip
    _results(span)
    subgroups = verb("subgroups", "aggregate stored scores by patients' sex and age, for the report")
    subgroups.add_argument("suite", help="name of the suite")
    _data(subgroups)
    _results(subgroups)
    over = verb("history", "plot Dice and speed against the commits at which a suite's records were made")
    over.add_argument("suite", nargs="?", default="quick", help="name of the suite (default: quick)")
    _results(over)
    publish = verb("publish", "validate a suite's records, copy them to the committed results, update the pages")
    publish.add_argument("suite", help="name of the suite")
    _results(publish)
    publish.add_argument("--to", type=_folder, default=Results(home() / "results"), help="folder of the committed "
                         "results (default: results)")  # fmt: skip
    publish.add_argument("--partial", action="store_true", help="include architectures with missing folds; the pages "
                         "name what is missing and do not rank them")  # fmt: skip
    folders = verb("export-model", "write a model folder for each finished row, from stored weights; trains nothing")
    folders.add_argument("suite", help="name of the suite")
    folders.add_argument("--arch", help="comma-separated architectures: names or patterns such as 'r2*,unet' (default: "
                         "all finished ones)")  # fmt: skip
    folders.add_argument("--out", type=path, help="output folder (default: <results>/models/<suite>)")
    _data(folders)
    _results(folders)


def _searching(verb: Verb) -> None:
    search = verb("tune", "search for a better recipe: inner cross-validation selects it, the test images of one "
                  "outer fold evaluate it")  # fmt: skip
    search.add_argument("suite", help="suite whose data, folds and recipe the search starts from; see `list`")
    search.add_argument("--arch", help="architecture (default: the suite's first)")
    search.add_argument("--trials", type=COUNT, default=20, help="total number of trials, including resumed ones "
                        "(default: 20)")  # fmt: skip
    search.add_argument("--hours", type=float, help="start no new trial once this command has run for HOURS hours")
    search.add_argument("--fold", type=int, default=0, help="outer fold whose test images are held out (default: 0)")
    search.add_argument("--inner", type=whole(2), default=3, help="number of inner folds (default: 3)")
    search.add_argument("--size", type=_side, help="image side in pixels (default: as in the suite)")
    search.add_argument("--width", type=COUNT, help="channels of the first level (default: as in the suite)")
    search.add_argument("--epochs", type=COUNT, help="epochs of each training (default: as in the recipe)")
    search.add_argument(
        "--seeds", type=COUNT, default=3, help="number of seeds of the held-out evaluation (default: 3)"
    )
    search.add_argument("--workers", type=COUNT, help="parallel trainings (does not affect results)")
    search.add_argument("--publish-to", type=_folder, metavar="RESULTS", help="also write the search's record and page "
                        "to RESULTS/tuning/")  # fmt: skip
    _launch(search)
    _data(search)
    _results(search)


def _comparing(verb: Verb) -> None:
    for name, words in (
        ("gate", "train a small suite from scratch and compare its scores with the baseline"),
        ("baseline", "train a small suite from scratch and store its scores as the baseline"),
    ):
        guard = verb(name, words)
        guard.add_argument(
            "--baseline", type=new_file if name == "baseline" else path, default=home() / "results" / "baseline.json",
            help="baseline file (default: results/baseline.json)",
        )  # fmt: skip
        guard.add_argument("--suite", help="suite to train (default: that of the baseline; if there is none, smoke, "
                           "or own-smoke with --data)")  # fmt: skip
        guard.add_argument("--arch", help=ARCHITECTURES)
        _data(guard)
        _limits(guard)
        _results(guard, GATE_FOLDER)
        if name == "gate":
            guard.add_argument("--junit", type=new_file, metavar="XML", help="also write the findings as JUnit XML")
            guard.add_argument("--against", metavar="COMMIT", help="if the baseline changed since this commit, list "
                               "the code that changed with it (on GitHub: the pull request's base)")  # fmt: skip
    fast = verb("gate-speed", "time kernels, training steps and inference steps; compare them with the baseline")
    fast.add_argument("--baseline", type=path, default=home() / "results" / "speed-baseline.json", help="baseline file "
                      "(default: results/speed-baseline.json)")  # fmt: skip
    fast.add_argument("--write", action="store_true", help="write a new baseline, the best of three measurements, "
                      "instead of comparing")  # fmt: skip
    fast.add_argument("--margin", type=float, help="largest slowdown that passes, as a fraction (default: 0.5)")
    fast.add_argument("--junit", type=new_file, metavar="XML", help="also write the findings as JUnit XML")
    _results(fast, "results/local/gate-speed")
    check = verb("compare", "compare a suite's records in two results folders, image by image; trains nothing")
    check.add_argument("suite", help="name of the suite")
    check.add_argument("--baseline", type=_folder, default=Results(home() / "results"),
                       help="folder of the reference results (default: results)")  # fmt: skip
    check.add_argument("--candidate", type=_folder, default=Results(home() / "results" / "local"),
                       help="folder of the results to judge (default: results/local)")  # fmt: skip
    check.add_argument("--arch", help="compare only these architectures: names or patterns such as 'r2*,unet', or "
                       "functions such as my.networks:tiny")  # fmt: skip
    _limits(check)
    check.add_argument("--junit", type=new_file, metavar="XML", help="also write the findings as JUnit XML")
    _results(check, "results/local/compare")


def _limits(of: argparse.ArgumentParser) -> None:
    of.add_argument("--margin", type=float, help="largest loss of mean Dice that passes, such as 0.01 (default: the "
                    "suite's own limits); exact equality is then not required on any machine")  # fmt: skip
    of.add_argument("--limits", type=path, metavar="TOML", help="file with margin, margins, floor, level and exact")


def _cells(of: argparse.ArgumentParser, seeds: str) -> None:
    _choice(of)
    _results(of)
    _data(of)
    of.add_argument("--seeds", type=COUNT, help=seeds)
    of.add_argument("--folds", type=_numbers, help="comma-separated folds, such as 0,1 (default: all)")


def _numerics(of: argparse.ArgumentParser) -> None:
    of.add_argument("--precision", choices=PRECISIONS, metavar="POLICY", help=PRECISION)
    bits = of.add_mutually_exclusive_group()
    bits.add_argument("--deterministic", action="store_true", default=None, help="use only bit-reproducible "
                      "operations (default, except for GPU suites on a GPU)")  # fmt: skip
    bits.add_argument("--fast", dest="deterministic", action="store_false", help="allow operations that are not "
                      "bit-reproducible, up to four times as fast (default of GPU suites on a GPU)")  # fmt: skip


def _launch(of: argparse.ArgumentParser) -> None:
    where = of.add_mutually_exclusive_group()
    where.add_argument("--launch", type=_words, default=(), metavar="COMMAND", help="command prefix that "
                       "starts each process, such as \"srun --ntasks=1 --gpus=1\"; presets: slurm, and "
                       "ssh:HOST,HOST for the least busy of these hosts")  # fmt: skip
    where.add_argument("--executor", type=_executor, default=("local", ""), metavar="NAME[:ADDRESS]", help="engine "
                       "that runs the processes: local (the default), ray on this machine, or ray:ADDRESS")  # fmt: skip


def _choice(of: argparse.ArgumentParser) -> None:
    of.add_argument("suite", nargs="?", default="quick", help="name of the suite (default: quick); see `list`")
    of.add_argument("--arch", help=ARCHITECTURES)


def _results(of: argparse.ArgumentParser, default: str = "results/local") -> None:
    where = Results(home() / default)
    of.add_argument("--results", type=_folder, default=where, help=f"results folder (default: {default})")


def _data(of: argparse.ArgumentParser) -> None:
    of.add_argument("--data", type=path, help="root folder of the dataset (default: $LUNGSEG_DATA); phantoms need none")


def _side(text: str) -> int:
    """Pixels of a square's side. The deepest networks halve an image four times."""
    result = whole(16)(text)
    if result % 16:
        below = result // 16 * 16
        raise argparse.ArgumentTypeError(f"{text!r}: expected a multiple of 16, such as {below} or {below + 16}")
    return result


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
        raise argparse.ArgumentTypeError(f"{text!r} is not a shell command ({error})") from error


def _executor(text: str) -> tuple[str, str]:
    from bench.running.executor import EXECUTORS

    name, _, address = text.partition(":")
    if name not in EXECUTORS or (name == "local" and address):
        raise argparse.ArgumentTypeError(f"{text!r} is no executor; known are {', '.join(EXECUTORS)}, ray:ADDRESS")
    return name, address


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}: expected comma-separated names such as plateau,elastic")
    return names


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected comma-separated whole numbers such as 0,1") from error


def _counts(text: str) -> list[int]:
    numbers = _numbers(text)
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers of at least 1, such as 8,16")
    return numbers
