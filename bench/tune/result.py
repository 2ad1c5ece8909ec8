"""The result of a search as a record: every trial, the two recipes, and their scores on the held-out images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.names import file_slug
from bench.records import store
from bench.records.results import Results
from bench.tune import page, space
from bench.tune.journal import OK, Trial
from bench.tune.study import Study, by_id
from lungseg.errors import DataError, UsageError
from lungseg.recipes import Recipe

SCHEMA = 3
OWN, BEST = "default", "best"


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The scored trial of the highest value, the first of several; None where none was scored."""
    scored = [trial for trial in trials if trial.status == OK]
    return max(scored, key=lambda trial: (trial.value, -trial.number), default=None)


def recipes(study: Study) -> dict[str, Recipe]:
    """The recipes to evaluate: the suite's own and, where another trial was better, that trial's."""
    base, best = study.plan.base, best_of(study.journal.trials())
    result = {OWN: base}
    if best and best.params != space.values(base):
        result[BEST] = space.recipe(base, best.params)
    return result


def record(study: Study, wished: int, judged: Mapping[str, Sequence[store.Document]] | None) -> store.Document:
    """The outcome, sealed and JSON-ready. wished: trials asked for. judged: of each recipe, its records on the outer
    fold, one a seed; None while they are not trained."""
    plan, trials = study.plan, study.journal.trials()
    base, best = space.values(plan.base), best_of(trials)
    local = next((trial for trial in trials if trial.status == OK and trial.params == base), None)
    outer = plan.outer(study.suite_data)
    if best is None:
        raise UsageError(f"{study.folder}: no trial was scored, so there is no result; run the command again")
    searched = {trial.number: study.inner_records(trial.params) for trial in trials if trial.status == OK}
    records = [one for group in (*searched.values(), *(judged or {}).values()) for one in group]
    return store.sealed(
        {
            "schema": SCHEMA,
            "name": plan.name,
            "study": study.identity,
            "images": {"searched": len(outer.train) + len(outer.validation), "held_out": len(outer.test)},
            "wished": wished,
            "trials": [_describe(study, trial) for trial in trials],
            "importances": study.journal.importances(),
            "recipes": {name: space.values(recipe) for name, recipe in recipes(study).items()},
            "inner": {
                name: {"trial": trial.number, "value": trial.value, "cases": by_id(searched[trial.number])}
                for name, trial in ((OWN, local), (BEST, best))
                if trial
            },
            "held_out": _held_out(judged) if judged else None,
            "looks": _looks(study, best.number if judged else None),
            "seconds": sum(one["timing"]["total_seconds"] for one in records),
            "machine": max(records, key=lambda one: one["finished"])["machine"],
            "optuna": metadata.version("optuna"),
            "sources": sorted({str(one["source"]["sha256"]) for one in records}),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def write(study: Study, result: store.Document, publish_to: Results | None = None) -> list[Path]:
    """``tune.json``, ``tune.md`` and ``tune.csv`` in the study's folder; where it is to be published, all under
    ``<publish_to>/tuning/`` by the study's name, as a link may spell it. Raises UsageError for publishing what was not
    judged."""
    written = save(study.folder / "tune", result)
    if publish_to is not None:
        if result["held_out"] is None:
            raise UsageError(f"{study.folder}: not evaluated on the held-out fold yet; nothing is published")
        written += save(publish_to.tuning(file_slug(result["name"])), result)
    return written


def save(stem: Path, result: store.Document) -> list[Path]:
    """Record, page and table of trials, under one name."""
    record, written, trials = (stem.with_name(f"{stem.name}.{ending}") for ending in ("json", "md", "csv"))
    store.write_text(record, store.layout(store.sealed(result)))
    store.write_text(written, page.page(result, trials.name))
    store.write_text(trials, page.trials_csv(result))
    return [record, written, trials]


def load(path: Path) -> store.Document:
    """A published outcome. Raises DataError for one that is unreadable, of another schema, or edited."""
    try:
        result: store.Document = store.strict_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable record of a search ({error}); tune again") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA or not store.is_sealed(result):
        raise DataError(f"{path}: of another version, or edited after it was written; tune again")
    return result


def _looks(study: Study, now: int | None) -> list[int]:
    """Best trials of all judgings so far, this one's (``now``) the last; the same one judged again is one look."""
    try:
        before: list[int] = load(study.folder / "tune.json")["looks"]
    except DataError:
        before = []  # the first, or a file that this one replaces
    return before if now is None or now in before else [*before, now]


def _describe(study: Study, trial: Trial) -> dict[str, Any]:
    complete = trial.params.keys() == space.values(study.plan.base).keys()
    recipe = space.values(space.recipe(study.plan.base, trial.params)) if complete else None
    error = trial.about.get("error")
    return {
        "number": trial.number,
        "status": trial.status,
        "value": trial.value,
        "recipe": recipe,
        "seconds": trial.about.get("seconds"),
        "error": f"{error['type']}: {error['message']}" if error else None,
    }


def _held_out(judged: Mapping[str, Sequence[store.Document]]) -> dict[str, Any]:
    """Per image and seed: Dice of each recipe, images in one order."""
    first = by_id(judged[OWN][:1])
    dice = {name: [[case["dice"] for case in by_id([one])] for one in records] for name, records in judged.items()}
    return {
        "seeds": [one["inputs"]["seed"] for one in judged[OWN]],
        "images": [case["id"] for case in first],
        "patients": [case["patient"] for case in first],
        "dice": dice,
        "weights": {name: [one["weights_sha256"] for one in records] for name, records in judged.items()},
    }
