"""Trains one network with one recipe on labelled images, scores it on held-out patients, writes a model folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg import architectures, atomic, evaluation, model_folder, provenance, recipes, runtime, splits, trained_card
from lungseg.card import PRETRAINED
from lungseg.case_files import read_stored_mask
from lungseg.datasets import Case
from lungseg.errors import DataError, UsageError
from lungseg.model_folder import ModelFolder
from lungseg.prepare import Prepared, prepare
from lungseg.pretrained import Pretrained
from lungseg.recipes import Recipe
from lungseg.splits import Fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

    from lungseg.training import Trained

SPLIT = 5  # a plain split holds out one part in so many
PREPARED = "prepared"  # folder of the arrays of all cases, in that of a training

Watch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Plan:
    """What is trained: ``scored`` folds, each on its own, then ``final``, which the folder holds."""

    scored: tuple[Fold, ...]
    final: Fold


def fit(
    cases: Sequence[Case],
    out: str | Path,
    *,
    architecture: str | None = None,
    width: int | None = None,
    size: int | tuple[int, int] | None = None,
    pretrained: str | Path | None = None,
    recipe: str | None = None,
    seed: int = 0,
    folds: int = 0,
    hold_out: bool = True,
    threads: int | None = None,
    devices: int = 1,
    about: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
) -> ModelFolder:
    """Train a network on ``cases`` and write it as a new model folder ``out``; returns it.

    architecture, recipe: names of ``lungseg.ARCHITECTURES`` and ``lungseg.recipes``. width: channels of the
    first level. size: (height, width) in pixels that the network takes, or one number for both; multiples of 16.
    Unless given: LW-Net of width 64 at 128 pixels. pretrained: a model folder, or a shipped model's name, whose weights
    the training starts from (fine-tuning); architecture, width and size are that model's unless given. Unless given,
    recipe is ``strong``, or ``fine-tune`` with pretrained weights.
    folds: with 5, five trainings predict every image out of fold, and a sixth on all images makes the model: its card
    states the out-of-fold score. With 0 a fifth of the patients is held out, scored once, and stays untrained on;
    ``hold_out=False`` trains on all and states no score of its own. No patient is ever on both sides.
    threads: of the processor, part of the result; all that this process may use unless given. devices: of this
    machine, which share each batch; more than one needs JAX (``lungseg.runtime.use_devices``).
    about: ``name``, ``set``, ``licence`` and ``sources`` of the card, as text without a file's path. watch: receives
    each epoch and fold as a mapping.

    Called again with the same arguments after an interruption it goes on from its last epoch; what it needs for
    that lies beside ``out`` in ``<out>.training`` and is removed at the end.
    Raises UsageError for names, sizes, what a card cannot state and an ``out`` that exists, DataError for files that
    cannot be used or too few patients, EnvironmentFailure where the backend is missing or the disk is full.
    """
    out = Path(out).expanduser()
    start = None if pretrained is None else Pretrained.find(pretrained, architecture, width)
    architecture, width, both, settings = _requested(architecture, width, size, recipe, start)
    if threads is not None and threads < 1:  # TensorFlow would end the whole process
        raise UsageError(f"{threads} threads: at least 1 is needed; leave threads out for all")
    threads = threads or len(os.sched_getaffinity(0))
    if out.exists():
        raise UsageError(f"{out}: exists; remove it or choose another name")
    if folds == 1 or folds < 0:
        raise UsageError(f"{folds} folds: 0 for one split, or at least 2")
    runtime.check_backend()
    runtime.check_devices(devices)
    runtime.check_seed(seed)
    architectures.refuse_outside(architecture)
    architectures.check(architecture, (*both, 1), width)
    about = dict(about or {})
    if start and isinstance(about.get("sources", ()), tuple | list):  # the old weights' images are in the new ones, too
        about["sources"] = tuple(dict.fromkeys((*about.get("sources", ()), *start.model.card.sources)))
    stated = trained_card.stated(out, settings, architecture, width, both, about)
    evaluation.require_cases(cases)
    if not cases:
        raise DataError("no image to train on")
    _plan(cases, seed, folds, hold_out)  # too few patients are told before anything is written
    if start and (folds or hold_out):
        start.check_leakage(cases)
    work = out.with_name(f"{out.name}.training")
    with _locked(work):
        cases, prepared = _prepared(cases, both, work)
        watch = watch or (lambda event: None)
        job = _Job(cases, prepared, settings, architecture, width, both, seed, threads, devices, work, watch, start)
        plan = _plan(cases, seed, folds, hold_out)
        model, trained, scores = job.run(plan)
        held_out = {score["id"] for score in scores}
        before = [start.score(cases, held_out)] if start and held_out else []
        held = trained_card.scored(evaluation.Evaluation(tuple(scores)), folds) if scores else []
        card = trained_card.complete(
            stated, model, cases, prepared, plan.final, trained, job.stated(), [*held, *before]
        )  # fmt: skip
        model_folder.save(out, card, model.get_weights())
        shutil.rmtree(work, ignore_errors=True)
    return model_folder.open_folder(out)


def _requested(
    architecture: str | None, width: int | None, size: int | tuple[int, int] | None, recipe: str | None,
    start: Pretrained | None,
) -> tuple[str, int, tuple[int, int], Recipe]:  # fmt: skip
    """The arguments of ``fit`` with what those that were left out stand for. Raises UsageError for one of a kind that
    cannot be used."""
    model = start.model.card if start else None
    architecture = (model.architecture if model else "lwnet") if architecture is None else architecture
    width = (model.width if model else 64) if width is None else width
    size = (model.size if model else 128) if size is None else size
    recipe = (recipes.FINE_TUNE if model else recipes.STRONG).name if recipe is None else recipe
    _require_kinds(architecture, recipe, width, size)
    return architecture, width, (size, size) if isinstance(size, int) else size, recipes.recipe(recipe)


def _require_kinds(architecture: object, recipe: object, width: object, size: object) -> None:
    """Raise UsageError for an argument of another kind, which would end in a TypeError somewhere below."""
    sides = size if isinstance(size, tuple | list) and len(size) == 2 else [size]
    for fits, name, expected, value in (
        (isinstance(architecture, str), "architecture",
         "a name of lungseg.ARCHITECTURES, such as 'lwnet'", architecture),
        (isinstance(recipe, str), "recipe", "a name of lungseg.recipes, such as 'strong'", recipe),
        (isinstance(width, int), "width", "a whole number, such as 64", width),
        (all(isinstance(side, int) for side in sides), "size", "a whole number or (height, width), such as 128", size),
    ):  # fmt: skip
        if not fits:
            raise UsageError(f"{name}: expected {expected}, not {value!r}"[:200])


def _plan(cases: Sequence[Case], seed: int, folds: int, hold_out: bool) -> Plan:
    whole = splits.cross_dataset(cases, [], seed)
    if folds:
        return Plan(tuple(splits.folds(cases, folds, seed)), whole)
    if hold_out:
        if (patients := len({case.patient for case in cases})) < SPLIT:
            raise DataError(
                f"{patients} patients: at least {SPLIT} are needed to hold out a fifth of them for a score; train on"
                " all without one (--all, hold_out=False)"
            )
        fold = splits.folds(cases, SPLIT, seed)[0]
        return Plan((fold,), fold)
    return Plan((), whole)


def _prepared(cases: Sequence[Case], size: tuple[int, int], work: Path) -> tuple[list[Case], Prepared]:
    """Arrays of all cases; those of the same pixels count as one patient's."""
    prepared = prepare(cases, size, work / PREPARED)
    joined = splits.joined(sorted(cases, key=lambda case: case.id), prepared.image_sha256)
    return joined, replace(prepared, patients=tuple(case.patient for case in joined))


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Hold the folder of one training, and remove it where files cannot be used before anything was trained.

    Raises UsageError where another process holds it, or where it is no folder of a training: its end would remove it.
    """
    lock = work / "lock"
    try:
        work.mkdir(parents=True, exist_ok=True)
        if not lock.exists() and any(work.iterdir()):
            raise UsageError(
                f"{work}: holds files that no training wrote, and would be removed at the end of this one; choose "
                "another name for the model folder"
            )
        file = lock.open("w")
    except OSError as error:
        raise atomic.refused(work, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"{work}: another process is training there; wait, or choose another folder") from error
        try:
            yield
        except DataError:
            if {path.name for path in work.iterdir()} <= {lock.name, PREPARED}:
                shutil.rmtree(work, ignore_errors=True)
            raise


@dataclass(frozen=True)
class _Job:
    cases: Sequence[Case]
    prepared: Prepared
    recipe: Recipe
    architecture: str
    width: int
    size: tuple[int, int]
    seed: int
    threads: int
    devices: int
    work: Path
    watch: Watch
    start: Pretrained | None

    def run(self, plan: Plan) -> tuple[keras.Model, Trained, list[Mapping[str, Any]]]:
        """The final model, its training, and the scores of every image that a scored fold held out."""
        if not runtime.started():  # as the command line does, so that both give the same weights
            runtime.set_up(self.threads)
        with suppress(RuntimeError):  # the caller's process runs the backend already, which takes its threads once
            runtime.init_backend(self.seed, self.threads)
        runtime.use_devices(self.devices)
        total, scores = len(plan.scored) + (plan.final not in plan.scored), list[Mapping[str, Any]]()
        result = None
        for k, fold in enumerate(plan.scored):
            kept = self.work / f"scores-{self.identity(fold)[:20]}.json"
            if kept.exists() and fold != plan.final:
                scores += json.loads(kept.read_text(encoding="utf-8"))
                continue
            result = self.trained(fold, k + 1, total)
            local = self.scored(result[0], fold)
            atomic.write_bytes(kept, json.dumps(local, allow_nan=False).encode())
            scores += local
        if plan.final not in plan.scored or result is None:
            result = self.trained(plan.final, total, total)
        return *result, scores

    def trained(self, fold: Fold, k: int, total: int) -> tuple[keras.Model, Trained]:
        """The network trained on a fold, from its checkpoint where there is one; number k of total."""
        import keras

        from lungseg import training
        from lungseg.architectures.blocks import LayerFactory
        from lungseg.checkpoint import Checkpoints

        keras.utils.set_random_seed(self.seed)  # each training begins as in a process of its own
        layers = LayerFactory(momentum=self.recipe.batch_norm_momentum, dtype=self.recipe.precision)
        model = architectures.build(self.architecture, (*self.size, 1), self.width, layers)
        if self.start:
            self.start.put_into(model)
        identity = self.identity(fold)
        checkpoints = Checkpoints(self.work / identity[:20], identity)

        def details(now: Mapping[str, float]) -> None:
            self.watch({"event": "epoch", "training": k, "trainings": total, **now})

        return model, training.fit(model, self.prepared, fold, self.recipe, self.seed, details, checkpoints)

    def identity(self, fold: Fold) -> str:
        """Hash of everything that decides a training's numbers, this code included."""
        parts = [
            self.prepared.sha256, asdict(fold), asdict(self.recipe), self.architecture, self.width, list(self.size),
            self.seed, self.threads, self.devices, runtime.backend_name(), runtime.versions(),
            provenance.sources_sha256(), self.start and self.start.stated(),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def stated(self) -> dict[str, Any]:
        """What a card says of the training beside its outcome."""
        values = {"seed": self.seed, "threads": self.threads, "devices": self.devices}
        return {**values, **({PRETRAINED: self.start.stated()} if self.start else {})}

    def scored(self, model: keras.Model, fold: Fold) -> list[Mapping[str, Any]]:
        """Scores of each image that the fold held out, of masks as ``predict`` writes them."""
        from lungseg import training

        case_of, result = {case.id: case for case in self.cases}, list[Mapping[str, Any]]()
        for start in range(0, len(fold.test), training.BATCH):
            ids = fold.test[start : start + training.BATCH]
            images, masks = self.prepared.take(ids)
            for key, values, mask in zip(ids, training.probabilities(model, images), masks, strict=True):
                target = read_stored_mask(case_of[key])
                result.append(evaluation.score(case_of[key], values, self.recipe.threshold, target, mask))
        return result
