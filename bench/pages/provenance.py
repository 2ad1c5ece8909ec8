"""What a table's numbers rest on: protocol, images, seeds, kinds of machine, equal runs, each record's source, and the
commands that make them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set

from bench.machine import devices_of
from bench.markdown import NONE, code, counted, escape, listed, paragraph, plain, table
from bench.names import POST, SEED_MEAN, TTA, file_slug
from bench.records.record import Machine, Source
from bench.running.reruns import Reruns
from bench.statistics.rows import Conditions, Leaderboard
from bench.statistics.scores import REGROUPED
from bench.suites import Suite
from lungseg import ARCHITECTURES

CHOSEN_BY = {  # a recipe's monitor -> words
    "val_loss": "the lowest validation loss",
    "val_hard_dice": "the highest hard Dice of the validation images (masks after the threshold, as in the tables)",
    "val_dice": "the highest soft Dice of the validation images (of probabilities, before any threshold)",
}
WHY = (
    "Other processors and library versions sum in a different order, and training amplifies this. Treat a small"
    " difference between rows of different kinds as run-to-run spread."
)


def provenance(leaderboard: Leaderboard) -> list[str]:
    """Blocks: how many records, where they lie, and of how many machines and sources; the CSV table names each."""
    key = leaderboard.conditions
    machines, sources = {_machine(c.machine) for c in leaderboard.cells}, {_source(c.source) for c in leaderboard.cells}
    taken = Counter(c.reused_from for c in leaderboard.cells if c.reused_from)
    reused = listed([f"{n} from suite {escape(suite)}" for suite, n in taken.items()]) if taken else ""
    more = f" Reused, as the same training: {reused}." if reused else ""
    suite = file_slug(key.suite)
    return [
        paragraph(
            f"{counted(len(leaderboard.cells), 'record')} in {code(f'runs/{suite}/{file_slug(key.machine)}/')}, of"
            f" {counted(len(machines), 'kind')} of machine and {counted(len(sources), 'state')} of the source, each"
            f" named in [cells.csv](tables/{suite}/cells.csv).{more}"
        )
    ]


def lines(leaderboard: Leaderboard) -> Iterable[dict[str, str]]:
    """A line a cell for the CSV table: its record's hash, its weights', its machine and its source."""
    for c in leaderboard.cells:
        yield {
            "cell": c.name, "status": c.status, "record_sha256": c.record_sha256, "weights_sha256": c.weights_sha256,
            "machine": _machine(c.machine), "source": _source(c.source),
            "finished_utc": c.finished[:16].replace("T", " "), "warnings": "; ".join(c.warnings),
        }  # fmt: skip


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in sorted(machine.versions.items()))
    memory = f"{(machine.memory_bytes or 0) / 2**30:.1f} GiB"
    return plain(
        f"{machine.cpu}, {machine.cores} cores, {memory}, device {machine.device},"
        f" threads a cell: {machine.threads}; {machine.os or None}, Python {machine.python or None}; {versions}",
        600,
    )


def _source(source: Source) -> str:
    commit = (source.commit or "unknown")[:12]
    dirty = " with changes" if source.dirty else ""
    return plain(f"commit {commit}{dirty}, sources {(source.sha256 or 'unknown')[:12]}")


def kinds(leaderboard: Leaderboard) -> list[str]:
    """Blocks; empty where all records of the rows were made alike."""
    parts: defaultdict[str, defaultdict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    trainings = {}
    for row in leaderboard.rows:
        local = leaderboard.cells_of(row)
        trainings[row.name] = len(local)
        for cell in local:
            for part, value in cell.made_with.items():
                result = parts[part][value]
                result[row.name] = result.get(row.name, 0) + 1
    lines = []
    for _, values in sorted(parts.items()):
        for value, result in sorted(values.items()) if len(values) > 1 else ():
            names = [
                escape(name) if n == trainings[name] else f"{escape(name)} ({n} of {counted(trainings[name], 'cell')})"
                for name, n in sorted(result.items())
            ]
            lines.append(paragraph(f"{escape(value)}: {listed(names)}", "- "))
    return [paragraph(f"**Rows from several kinds of machine.** {WHY}"), "\n".join(lines)] if lines else []


def commands(suite: Suite, leaderboard: Leaderboard) -> list[str]:
    """What makes the leaderboard's records, from its suite's data in a folder: a command for each number of seeds.
    Empty where nothing does with these seeds."""
    key = leaderboard.conditions
    seeds: dict[str, set[int]] = {}
    for cell in leaderboard.cells:
        if cell.trained:
            seeds.setdefault(cell.architecture, set()).add(cell.seed)
    if any(of_one != set(range(len(of_one))) for of_one in seeds.values()):
        return []
    result = []
    for count in sorted(set(map(len, seeds.values())), key=lambda n: (n != len(suite.seeds), n)):
        run = {architecture for architecture, of_one in seeds.items() if len(of_one) == count}
        parts = [f"make bench SUITE={suite.name}"]
        parts += ["DATA=<folder>"] if suite.dataset != "phantom" else []
        parts += [f"BACKEND={key.backend}"] if key.backend != "tensorflow" else []
        parts += [f"ARCH={_named(suite, run)}"] if run != set(suite.architectures) else []
        parts += [f"SEEDS={count}"] if count != len(suite.seeds) else []
        result.append(" ".join(parts))
    return [*result, *_ensemble_commands(suite, leaderboard)]


def _ensemble_commands(suite: Suite, leaderboard: Leaderboard) -> list[str]:
    """What makes the ensembles of the networks that were trained: a command for each variant of the recipe."""
    made = [row for row in leaderboard.rows if not row.single]
    backend = leaderboard.conditions.backend
    result = []
    for variant in dict.fromkeys(row.variant for row in made):
        local = [row for row in made if row.variant == variant]
        run = {row.architecture.removesuffix(POST).removesuffix(TTA).removesuffix(SEED_MEAN) for row in local}
        parts = [f"KERAS_BACKEND={backend}"] if backend != "tensorflow" else []
        parts += [f"python -m bench ensemble {suite.name}"]
        parts += ["--data <folder>"] if suite.dataset != "phantom" else []
        parts += [f"--arch {_named(suite, run)}"] if run != set(suite.architectures) else []
        parts += [f"--variant {variant}"] if variant else []
        parts += ["--tta"] if any(row.transforms > 1 for row in local) else []
        parts += ["--postprocess"] if any(row.postprocessed for row in local) else []
        result.append(" ".join(parts))
    return result


def _named(suite: Suite, architectures: Set[str]) -> str:
    """The architectures as an option, in the suite's order."""
    order = [*suite.architectures, *ARCHITECTURES]
    return ",".join([*dict.fromkeys(n for n in order if n in architectures), *sorted(architectures - set(order))])


def stated(leaderboard: Leaderboard) -> str:
    """A paragraph for the head of the leaderboard."""
    return paragraph(
        " ".join(
            [
                _protocol(leaderboard),
                _images(leaderboard),
                *_seeds(leaderboard),
                *_chosen(leaderboard),
                *_shared(leaderboard),
                *(["Fast: operations need not give the same bits in each run."] if leaderboard.conditions.fast else []),
            ]
        )
    )


def patients(conditions: Conditions) -> str:
    """How it is known which images are of one patient."""
    if conditions.test_set in REGROUPED:
        return "patients are linked across images by their anatomy"
    if conditions.test_set == "phantom":
        return "each image is a patient of its own"
    return "patients are those that the data name, and an image without one counts as a patient of its own"


def _protocol(leaderboard: Leaderboard) -> str:
    number = leaderboard.conditions.protocol
    if number > 1:
        return f"Protocol {number}: {patients(leaderboard.conditions)}."
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
        several = len(leaderboard.seeds) > 1
        return ["Each seed has its own split into folds, so seeds vary the split, too."] if several else []
    return ["All seeds share one split."] if len(leaderboard.seeds) > 1 else []


def _shared(leaderboard: Leaderboard) -> list[str]:
    """How several devices trained together; empty where each training had one."""
    devices = devices_of(leaderboard.conditions.device_kind)
    if devices == 1:
        return []
    sizes = sorted({c.batch_size for c in leaderboard.cells if c.batch_size})
    rates = sorted({c.learning_rate for c in leaderboard.cells if c.learning_rate})
    batch, rate = (listed([f"{value:g}" for value in values]) for values in (sizes, rates))
    return [
        f"{devices} devices share each batch of a training: {batch} images in all, learning rate {rate}, neither "
        "scaled with the devices."
    ]


def _chosen(leaderboard: Leaderboard) -> list[str]:
    ways = sorted({c.monitor for c in leaderboard.cells if c.monitor})
    return [f"The epoch whose weights are kept has {listed([CHOSEN_BY.get(w, w) for w in ways])}."] if ways else []


def repeated(leaderboard: Leaderboard, result: Sequence[Reruns]) -> list[str]:
    """Blocks on run-to-run spread, where it was measured or operations are not deterministic; else empty."""
    key = leaderboard.conditions
    local = [r for r in result if r.machine == key.machine]
    if not local and not key.fast:
        return []
    why = (
        "Operations here are not deterministic: they may sum in any order, so two runs with the same seed, images and"
        " code may differ."
    )
    blocks = ["### Repeated equal runs", *([paragraph(why)] if key.fast else [])]
    if not local:
        command = code(f"python -m bench reruns {key.suite}")
        return [*blocks, paragraph(f"How far they differ was not measured ({command} there).")]
    rows = [
        [escape(r.cell), str(len(r.dice)), str(r.weights), f"{sum(r.dice) / len(r.dice):.4f}",
         NONE if r.sd is None else f"{r.sd:.5f}", f"{min(r.dice):.4f} to {max(r.dice):.4f}"]
        for r in local
    ]  # fmt: skip
    return [*blocks, table(["Cell", "Runs", "Sets of weights", "Mean Dice", "SD of Dice", "Range"], rows, left=1)]
