"""A small study whose trainings are made up, for tests of the search around them."""

from bench.__main__ import main
from bench.records import parse, store
from bench.records.results import Results
from bench.tune import result, space
from bench.tune.journal import Journal
from bench.tune.plan import plan

SMALL = ["smoke", "--size", "32", "--epochs", "2", "--inner", "2", "--workers", "1"]
PLAN = plan("smoke", size=32, epochs=2, inner=2)
MACHINE = {"cpu": "Example CPU", "device": "cpu", "threads": 1}


def goodness(recipe, fold, seed):
    """A made-up Dice of each held-out image: better with a scale of 0.1, a little different for each image."""
    moved = recipe.augmentation.scale if recipe.augmentation else 0.0
    return [0.9 - abs(moved - 0.1) / 4 + 0.01 * (sum(map(ord, key)) % 5) + 0.001 * seed for key in fold.test]


def made_up(self, recipe, fold, seed, label):
    """``Study.trained`` without a training."""
    requested = self.training(recipe, fold, seed)
    if (result := requested.result()) is None:
        patient = {case.id: case.patient for case in self.suite_data.cases}
        made_from = {**requested.inputs, "graph": "g"}
        cases = [
            {"id": key, "patient": patient[key], "dice": dice}
            for key, dice in zip(fold.test, goodness(recipe, fold, seed), strict=True)
        ]
        store.save_record(requested.path, {
            "schema": store.SCHEMA, "fingerprint": store.fingerprint(made_from), "inputs": made_from, "status": "ok",
            "cases": cases, "weights_sha256": "ab" * 32, "timing": {"train_seconds": 2.0, "total_seconds": 3.0},
            "machine": MACHINE, "source": {"sha256": "cd" * 32}, "finished": "2026-11-24T10:00:00+00:00",
        }, parse.trial)  # fmt: skip
        result = requested.result()
    return result


def tune(results, *more):
    return main(["tune", *SMALL, "--results", str(results), *more])


def describe(results):
    return result.load(Results(results).study(PLAN.name) / "tune.json")


def trials(results):
    return Journal(Results(results).study(PLAN.name), PLAN.axes, space.values(PLAN.base)).trials()
