"""Suites: named sets of cells to compare, each a training. A suite's name implies its data, size, width and recipe; a
cell's names stand in records and files, on pages and on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.cell import Cell, variant_of
from bench.names import file_slug
from lungseg import ARCHITECTURES, recipes, runtime
from lungseg.errors import UsageError
from lungseg.recipes import Recipe


@dataclass(frozen=True)
class Phantoms:
    """A phantom set that is written to disk in the original Montgomery layout before it is read."""

    n: int
    size: tuple[int, int]
    seed: int = 0


@dataclass(frozen=True)
class Suite:
    """A comparison under equal seeds, folds and budgets.

    size: (height, width) of the network's input, pixels. width: channels of the first level. threads: of one
    cell, affects results. workers: parallel cells. timeout_s: wall-clock seconds after which a cell is stopped.
    phantoms: the set to write, where the dataset is the phantom. widths: of the architectures that have another.
    test_set: another dataset, all of which is predicted by a training on all of ``dataset``; folds is 1 then.
    extra_train: another dataset, all of which is added to every training fold; never validated on nor scored.
    variants: of the recipe, each trained in addition to it.
    called: what records call the data where ``dataset`` is anybody's folder; see ``called``.
    precision: a Keras policy, of every recipe of the suite; None: float32, or mixed_bfloat16, which is about twice as
    fast there, where the suite is ``for_gpu`` and runs on one. deterministic: whether operations give the same bits
    each time; None: unless the suite is ``for_gpu`` and runs on one, where they cost three quarters of the speed.
    Seeds, order, augmentation and folds are the same in all. devices: that share each batch of one training; neither
    the batch nor the learning rate grows with them.
    """

    name: str
    title: str
    architectures: tuple[str, ...]
    dataset: str
    size: tuple[int, int]
    width: int
    folds: int
    seeds: tuple[int, ...]
    recipe: str
    threads: int = 1
    workers: int = 2
    timeout_s: float = 6 * 3600
    phantoms: Phantoms | None = None
    fold_subset: tuple[int, ...] | None = None
    widths: tuple[tuple[str, int], ...] = ()
    test_set: str | None = None
    extra_train: str | None = None
    variants: tuple[str, ...] = ()
    called: str | None = None
    precision: str | None = None
    deterministic: bool | None = None
    for_gpu: bool = False
    devices: int = 1

    @property
    def train_set(self) -> str:
        """``montgomery``, or ``montgomery+shenzhen`` where another set is added to training."""
        return "+".join((self.called or self.dataset, *([self.extra_train] if self.extra_train else [])))

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the datasets that it reads: its own, and the one that it tests on or adds to training."""
        return (self.dataset, *(name for name in (self.test_set, self.extra_train) if name))

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipe and its variants."""
        return (self.recipe, *(recipes.recipe(f"{self.recipe}:{variant}").name for variant in self.variants))

    @property
    def variant(self) -> str:
        """``plateau`` where the recipe is ``strong:plateau``; empty for a plain recipe."""
        return variant_of({"recipe": self.recipe})

    def width_of(self, architecture: str) -> int:
        """Channels of this architecture's first level."""
        return dict(self.widths).get(architecture, self.width)

    def recipe_of(self, name: str) -> Recipe:
        """The recipe of that name, or of one of its variants, in the suite's precision on this machine."""
        return replace(recipes.recipe(name), precision=self.policy)

    @property
    def policy(self) -> str:
        """The Keras policy that the suite's networks compute in on this machine."""
        return self.precision or ("mixed_bfloat16" if self._on_gpu else "float32")

    @property
    def is_deterministic(self) -> bool:
        """Whether the suite's cells are bit-reproducible on this machine."""
        return not self._on_gpu if self.deterministic is None else self.deterministic

    @property
    def _on_gpu(self) -> bool:
        return self.for_gpu and machine.device_kind() != "cpu"

    @property
    def machine_key(self) -> str:
        """The folder of all its records of this machine."""
        return cells(self)[0].machine_key


THREE = ("unet", "resunet", "r2unet")  # that the project was founded to compare
# Networks whose papers made them small: at a quarter of their width they would be others than those their names say.
FIXED_WIDTHS = (("m2unet", 64), ("lwnet", 64), ("segformer_b0", 64), ("mobilenetv2_unet", 64))

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "smoke", "smoke test of the gate, on the phantom", THREE, "phantom", (48, 80), 4, 2, (0,), "smoke",
            timeout_s=1800, phantoms=Phantoms(32, (112, 128)), fold_subset=(0,),
        ),
        Suite(
            "quick", "first comparison, on the phantom; default of `make bench`", THREE, "phantom", (64, 64), 8, 2,
            (0,), "quick", timeout_s=600, phantoms=Phantoms(60, (256, 224)),
        ),
        Suite(
            "montgomery-64", "Montgomery at 64 px, width 16, three seeds: the source protocol at low resolution",
            THREE, "montgomery", (64, 64), 16, 5, (0, 1, 2), "reference", widths=FIXED_WIDTHS,
        ),
        Suite(
            "montgomery-128", "Montgomery at 128 px, width 16: a comparison that two cores can run", THREE,
            "montgomery", (128, 128), 16, 5, (0,), "reference", widths=FIXED_WIDTHS,
        ),
        Suite(
            "montgomery-128-strong", "Montgomery at 128 px, width 16, augmentation, cosine schedule and 150 epochs",
            ("unet", "m2unet", "resunet", "r2unet"), "montgomery", (128, 128), 16, 5, (0,), "strong",
            widths=FIXED_WIDTHS,
        ),
        Suite(
            "ablation", "ablation of recipe strong on a small U-Net: one ingredient removed, added or replaced",
            ("unet",), "montgomery", (64, 64), 8, 5, (0,), "strong",
            variants=recipes.VARIANT_NAMES,
        ),
        Suite(
            "ablation-128",
            "effect of batch size, epochs, elastic deformation, EMA and a plateau schedule on strong at 128 px",
            ("unet", "unet3plus"), "montgomery", (128, 128), 16, 5, (0,), "strong", widths=FIXED_WIDTHS,
            variants=("plateau", "batch-4", "epochs-300", "elastic", "long", "long+ema"),
        ),
        Suite(
            "montgomery-to-shenzhen-128", "cross-dataset test: trained on all of Montgomery, tested on all of Shenzhen",
            ("unet", "m2unet", "resunet", "r2unet"), "montgomery", (128, 128), 16, 1, (0,), "strong",
            widths=FIXED_WIDTHS, test_set="shenzhen", timeout_s=24 * 3600,
        ),
        Suite(
            "shenzhen-to-montgomery-128", "cross-dataset test: trained on all of Shenzhen, tested on all of Montgomery",
            ("unet", "m2unet", "resunet", "r2unet"), "shenzhen", (128, 128), 16, 1, (0,), "strong",
            widths=FIXED_WIDTHS, test_set="montgomery", timeout_s=24 * 3600,  # four times the images
        ),
        Suite(
            "montgomery-with-shenzhen-128", "Montgomery with all of Shenzhen added to every training fold",
            ("unet", "lwnet"), "montgomery", (128, 128), 16, 5, (0,), "strong",
            widths=FIXED_WIDTHS, extra_train="shenzhen", timeout_s=24 * 3600,
        ),
        Suite(
            "montgomery", "Montgomery at 256 px, width 64, three seeds: the source protocol, for a GPU",
            THREE, "montgomery", (256, 256), 64, 5, (0, 1, 2), "reference", for_gpu=True,
        ),
        Suite(
            "montgomery-strong", "Montgomery at 256 px, width 64, augmentation, cosine schedule, 150 epochs, for a GPU",
            ("unet",), "montgomery", (256, 256), 64, 5, (0,), "strong", for_gpu=True,
        ),
        Suite(
            "own", "your own images at 128 px, width 16: a folder with img/, mask/ and optionally metadata.csv", THREE,
            "folder", (128, 128), 16, 5, (0,), "reference", widths=FIXED_WIDTHS,
        ),
        Suite(
            "own-smoke", "smoke test of the gate, on your own images: one fold of five at 64 px, width 8", ("unet",),
            "folder", (64, 64), 8, 5, (0,), "smoke", timeout_s=1800, fold_subset=(0,),
        ),
    )
}  # fmt: skip


def suite(name: str) -> Suite:
    """The suite of that name; UsageError lists the known ones."""
    if name not in SUITES:
        raise UsageError(f"unknown suite {name!r}: known are {', '.join(SUITES)}")
    return SUITES[name]


def select(
    chosen: Suite,
    architectures: str | None = None,
    seeds: int | None = None,
    folds: Sequence[int] | None = None,
    variants: Sequence[str] | None = None,
    precision: str | None = None,
    deterministic: bool | None = None,
    devices: int | None = None,
) -> Suite:
    """The suite with other architectures (shell patterns), seeds 0 to ``seeds`` - 1, only some of its folds, or other
    variants in addition to its recipe (``plateau``, or ``plateau+elastic`` for both at once).

    What decides a score (data, size, recipe, number of folds) stays, so the records remain comparable. Another
    precision, another number of devices, or operations that give the same bits or need not, make records of another
    folder and table.
    """
    if devices is not None:
        runtime.check_devices(devices)
    numerics: dict[str, Any] = {"precision": precision, "deterministic": deterministic, "devices": devices}
    chosen = replace(chosen, **{name: value for name, value in numerics.items() if value is not None})
    if architectures is not None:
        chosen = replace(chosen, architectures=tuple(ARCHITECTURES.match(architectures)))
    if seeds is not None:
        chosen = replace(chosen, seeds=tuple(range(seeds)))
    if folds is not None:
        wrong = [k for k in folds if not 0 <= k < chosen.folds]
        if wrong or not folds:
            given = wrong[0] if wrong else "none"
            raise UsageError(f"suite {chosen.name} has folds 0 to {chosen.folds - 1}, not {given}")
        chosen = replace(chosen, fold_subset=tuple(sorted(set(folds))))
    if variants is not None:
        result = (of_variant(chosen, name).variant for name in variants)
        chosen = replace(chosen, variants=tuple(dict.fromkeys(result)))
    return chosen


def called(chosen: Suite, root: Path) -> Suite:
    """The suite with its data called by the folder's name, ``own-<name>``, where it is a user's own: two such
    folders are two sets, and neither is ever called by a public set's name."""
    if chosen.dataset != "folder":
        return chosen
    return replace(chosen, called=f"own-{file_slug(root.resolve().name).replace('.', '-')}")


def of_variant(chosen: Suite, variant: str) -> Suite:
    """The suite whose recipe is that variant of its own, or several joined; UsageError where there is none."""
    return replace(chosen, recipe=recipes.recipe(f"{chosen.recipe}:{variant}").name, variants=())


def cells(chosen: Suite) -> list[Cell]:
    """All cells of a suite, seed by seed and fold by fold, so that architectures can be compared early."""
    return [
        Cell(
            architecture=architecture,
            width=chosen.width_of(architecture),
            size=chosen.size,
            train_set=chosen.train_set,
            test_set=chosen.test_set or chosen.called or chosen.dataset,
            folds=chosen.folds,
            fold=fold,
            seed=seed,
            suite=chosen.name,
            recipe=chosen.recipe_of(recipe),
            threads=chosen.threads,
            timeout_s=chosen.timeout_s,
            deterministic=chosen.is_deterministic,
            devices=chosen.devices,
        )
        for seed in chosen.seeds
        for fold in (chosen.fold_subset if chosen.fold_subset is not None else range(chosen.folds))
        for architecture in chosen.architectures
        for recipe in chosen.recipes
    ]
