"""Records of schema 1 -> schema 2, which holds the same numbers under the field's own names.

Fingerprints are hashes over a cell's inputs, names included, so they are computed again, but only where the old one
matched the old inputs: a record that was valid stays valid, so nothing is trained again. Weights, counts, folds and
hashes of data stay as they are.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.cell import cell_id
from bench.records import csv_file, store
from bench.records.results import Results
from bench.records.store import Document
from lungseg.errors import DataError
from lungseg.recipes import OLD_RECIPES, OLD_VARIANTS

OLD, NEW = 1, 2
CELL = {"scored_on": "test_set", "trained_on": "train_set"}
CASE = {
    "truth_components": "target_components",
    "truth_holes": "target_holes",
    "truth_pixels": "target_pixels",
    "rim": "tolerance",
}
TOP = {"doubts": "warnings", "taken_from": "reused_from"}
RECIPE = {"average_share": "ema_decay"}
AUGMENTATION = {"mirror": "hflip"}
BASELINE = {"truth_pixels": "target_pixels", "truth_quarters": "target_quarters"}
DRY_RUN = {"trained_on": "train_set", "validated_on": "validation_set"}
COLUMNS = {
    "others_cpu_share": "background_load",
    "settled": "steady_state",
    "busy": "contended",
    "limit_gflops": "peak_gflops",
    "train_share_of_limit": "train_fraction_of_peak",
    "inference_share_of_limit": "inference_fraction_of_peak",
}
TEXTS = {
    "the validation Dice was still rising when the epochs ran out": (
        "not converged: the validation Dice was rising when the epochs ran out"
    ),
    "the warm-up did not settle": "the warm-up did not reach a steady state",
}

Say = Callable[[str], None]


def migrate(results: Results, say: Say) -> int:
    """Rewrite everything of schema 1 below a results folder; how many files were rewritten. Again, it changes nothing.

    Searches that are not finished keep their old journals and start again. Raises one DataError that lists every record
    that is of neither schema, or was edited after it was written; then nothing is rewritten.
    """
    root, paths = results.root, results.paths()
    old, problems = {}, list[str]()
    for path in paths:
        try:
            if (record := read(path))["schema"] == OLD:
                old[path] = record
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    new = migrated(old)
    rewritten = 0
    for path, record in new.items():
        target = path.with_name(f"{cell_id(record['cell'])}.json")
        store.write_text(target, store.layout(record))
        if target != path:
            path.unlink()
            _move_artifacts(root, path, target)
        rewritten += 1
    if rewritten:
        say(f"{rewritten} records of schema {OLD} rewritten as schema {NEW}")
    fingerprints = {old[path]["fingerprint"]: record["fingerprint"] for path, record in new.items()}
    for name, rewrite in (
        ("subgroups", lambda: _subgroups(root, old, new)),
        ("robustness", lambda: sum(_robustness(file, fingerprints) for file in _files(root, "robustness"))),
        ("tuning", lambda: sum(_tuning(file) for file in _files(root, "tuning"))),
        ("reruns", lambda: sum(_reruns(file) for file in sorted((root / "reruns").glob("*/*/*.json")))),
        ("throughput", lambda: sum(_throughput(file) for file in sorted((root / "throughput").glob("*.csv")))),
        ("export", lambda: sum(_export(file) for file in _files(root, "export/trained"))),
        ("baseline", lambda: int(_baseline(root / "baseline.json"))),
    ):
        if n := rewrite():
            say(f"{name}: {n} file{'s' if n > 1 else ''} rewritten")
            rewritten += n
    return rewritten


def read(path: Path) -> Document:
    """A record of either schema, as it was written. Raises DataError for any other file."""
    try:
        record = store.strict_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a readable record ({error}); delete it and run its suite again") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if type(schema) is not int or schema not in (OLD, NEW) or not isinstance(record.get("cell"), dict):
        raise DataError(f"{path}: no record of schema {OLD} or {NEW}, so it cannot be migrated; move it away")
    if schema == OLD and not store.is_sealed(record):
        raise DataError(f"{path}: was edited after it was written, so it cannot be migrated; delete it, run it again")
    return dict(record)


def migrated(old: Mapping[Path, Document]) -> dict[Path, Document]:
    """The records as schema 2, sealed: trainings first, since an ensemble's inputs hold its members' fingerprints."""
    trainings = {path: r for path, r in old.items() if not (r.get("inputs") or {}).get("members")}
    found, fingerprints = dict[Path, Document](), dict[str, str]()
    for path, record in (*trainings.items(), *((p, r) for p, r in old.items() if p not in trainings)):
        found[path] = one(record, fingerprints)
        fingerprints[str(record.get("fingerprint"))] = str(found[path].get("fingerprint"))
    return found


def one(record: Document, fingerprints: Mapping[str, str]) -> Document:
    """A record of schema 1 as schema 2. fingerprints: of the members that ensembles name, old -> new."""
    now = _renamed(record, TOP)
    now["schema"] = NEW
    now["cell"] = _cell(record["cell"])
    if isinstance(record.get("inputs"), dict):
        now["inputs"] = _inputs(record["inputs"], fingerprints)
        if record.get("fingerprint") == store.fingerprint(record["inputs"]):
            now["fingerprint"] = store.fingerprint(now["inputs"])
    now["cases"] = [_renamed(case, CASE) if isinstance(case, dict) else case for case in record.get("cases") or []]
    if isinstance(record.get("data"), dict):
        now["data"] = _renamed(record["data"], CASE)
    if isinstance(record.get("doubts"), list):
        now["warnings"] = [TEXTS.get(text, text) for text in record["doubts"]]
    return store.sealed(now)


def recipe_name(name: str) -> str:
    """``strong:batch-4+ema`` for ``strong:small-batches+weight-average``."""
    base, colon, variants = name.partition(":")
    return (
        f"{OLD_RECIPES.get(base, base)}{colon}{'+'.join(OLD_VARIANTS.get(part, part) for part in variants.split('+'))}"
    )


def row_name(name: str) -> str:
    """``unet+tta (long+ema)`` for ``unet+views (thorough+weight-average)``: an architecture, or a leaderboard's row."""
    architecture, bracket, inside = name.partition(" (")
    words = (OLD_VARIANTS.get(word, word) for word in re.split(r"([+, )])", inside))
    return f"{architecture.replace('+views', '+tta')}{bracket}{''.join(words)}"


def id_of(name: str) -> str:
    """``unet~batch-4.montgomery.f0.s0`` for ``unet~small-batches.montgomery.f0.s0``: a cell's id."""
    left, dot, right = name.partition(".")
    architecture, tilde, variants = left.partition("~")
    parts = (OLD_VARIANTS.get(part, part) for part in variants.split("+"))
    return f"{architecture.replace('+views', '+tta')}{tilde}{'+'.join(parts)}{dot}{right}"


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    now = _renamed(cell, CELL)
    return {**now, "architecture": row_name(str(cell["architecture"])), "recipe": recipe_name(str(cell["recipe"]))}


def _recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    now = _renamed(recipe, RECIPE)
    if "name" in now:
        now["name"] = recipe_name(str(now["name"]))
    if isinstance(now.get("augmentation"), dict):
        now["augmentation"] = _renamed(now["augmentation"], AUGMENTATION)
    return now


def _inputs(inputs: Mapping[str, Any], fingerprints: Mapping[str, str]) -> dict[str, Any]:
    now = _renamed(inputs, {"views": "tta"})
    if isinstance(now.get("recipe"), dict):
        now["recipe"] = _recipe(now["recipe"])
    if "architecture" in now:
        now["architecture"] = row_name(str(now["architecture"]))
    if isinstance(now.get("members"), list):
        now["members"] = [
            {**m, "cell": id_of(str(m["cell"])), "fingerprint": fingerprints.get(m["fingerprint"], m["fingerprint"])}
            for m in now["members"]
        ]
    return now


def _move_artifacts(root: Path, path: Path, target: Path) -> None:
    """Weights and predictions lie in a folder named after the cell."""
    suite, machine_key = path.parts[-3], path.parts[-2]
    before, after = (root / "cells" / suite / machine_key / one.stem for one in (path, target))
    if before.is_dir() and not after.exists():
        os.replace(before, after)


def _files(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).glob("*.json"))


def _json(file: Path) -> Document:
    try:
        found = store.strict_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: not readable ({error}); remove it") from error
    return found if isinstance(found, dict) else {}


def _subgroups(root: Path, old: Mapping[Path, Document], new: Mapping[Path, Document]) -> int:
    """``strata/`` -> ``subgroups/``: aggregates are found by the hash of the records behind them."""
    digests, rewritten = _digests(old, new), 0
    for file in _files(root, "strata"):
        body = {
            digests.get(key, key): {
                attribute: {group: _group(values) for group, values in groups.items()}
                for attribute, groups in by_attribute.items()
            }
            for key, by_attribute in _json(file).items()
        }
        target = root / "subgroups" / file.name
        store.write_text(target, json.dumps(body, indent=1, allow_nan=False) + "\n")
        file.unlink()
        rewritten += 1
    if rewritten and not any((root / "strata").iterdir()):
        (root / "strata").rmdir()
    return rewritten


def _group(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {row_name(row): numbers for row, numbers in held.items()} if isinstance(held, dict) else held
        for key, held in values.items()
    }


def _digests(old: Mapping[Path, Document], new: Mapping[Path, Document]) -> dict[str, str]:
    """Hash of each leaderboard's records and patients, before -> after."""
    from bench.statistics.scores import REGROUPED

    groups: defaultdict[tuple[object, ...], list[Path]] = defaultdict(list)
    for path, record in old.items():
        cell, inputs, machine = record["cell"], record.get("inputs") or {}, record.get("machine") or {}
        on = tuple(str(machine.get(key)) for key in ("backend", "device_kind", "precision"))
        about = tuple(str(cell[key]) for key in ("suite", "scored_on", "trained_on", "size", "folds"))
        base = str(cell["recipe"]).partition(":")[0]
        groups[(*about, base, *on, inputs.get("protocol"), inputs.get("deterministic") is False)].append(path)
    found = {}
    for paths in groups.values():
        ok = [new[path] for path in paths if new[path]["status"] == "ok"]
        who = {
            case["id"]: _regrouped(REGROUPED, record).get(case["id"], case["patient"])
            for record in ok
            for case in record["cases"]
        }
        before, after = (
            store.sha256([sorted(str(records[path].get("record_sha256")) for path in paths), who])
            for records in (old, new)
        )
        found[before] = after
    return found


def _regrouped(known: Mapping[str, Mapping[str, str]], record: Document) -> Mapping[str, str]:
    """Patients found after protocol 1: image -> patient."""
    return known.get(record["cell"]["test_set"], {}) if (record.get("inputs") or {}).get("protocol", 1) == 1 else {}


def _robustness(file: Path, fingerprints: Mapping[str, str]) -> int:
    from bench.robustness import measurement

    body = _json(file)
    if body.get("schema") != 1 or not store.is_sealed(body):
        return 0
    networks = []
    for network in body["networks"]:
        now = _renamed(network, CELL)
        now |= {"name": row_name(str(now["name"])), "recipe": recipe_name(str(now["recipe"]))}
        now["trainings"] = {
            id_of(cell): {**held, "fingerprint": fingerprints.get(held["fingerprint"], held["fingerprint"])}
            for cell, held in network["trainings"].items()
        }
        networks.append(now)
    measurement.write(file, {"schema": measurement.SCHEMA, "suite": body["suite"], "networks": networks})
    return 1


def _tuning(file: Path) -> int:
    """A published search; its page is written again from it."""
    from bench.tune import result

    body = _json(file)
    if body.get("schema") != 2 or not store.is_sealed(body):
        return 0
    now: Document = {**body, "schema": result.SCHEMA}
    now["study"] = {**body["study"], "recipe": _recipe(body["study"]["recipe"])}
    names = {"own": "default"}
    now["recipes"], now["inner"] = _renamed(body["recipes"], names), _renamed(body["inner"], names)
    if body["held_out"]:
        now["held_out"] = {
            key: _renamed(held, names) if key in ("dice", "weights") else held for key, held in body["held_out"].items()
        }
    result.save(file.with_suffix(""), store.sealed(now))
    return 1


def _reruns(file: Path) -> int:
    held = _json(file)
    if held.get("schema") != OLD:
        return 0
    inputs = _inputs(held["inputs"], {})
    fitted = held["fingerprint"] == store.fingerprint(held["inputs"])
    now = {**held, "schema": NEW, "cell": _cell(held["cell"]), "inputs": inputs}
    now["fingerprint"] = store.fingerprint(inputs) if fitted else held["fingerprint"]
    target = file.with_name(f"{id_of(file.stem)}.json")
    store.write_text(target, store.layout(now))
    if target != file:
        file.unlink()
    return 1


def _throughput(file: Path) -> int:
    columns, rows = csv_file.read(file)
    if not COLUMNS.keys() & set(columns):
        return 0
    now = [
        {
            COLUMNS.get(name, name): "; ".join(TEXTS.get(part, part) for part in text.split("; "))
            for name, text in row.items()
        }
        for row in rows
    ]
    store.write_text(file, csv_file.text([COLUMNS.get(name, name) for name in columns], now))
    return 1


def _export(file: Path) -> int:
    """What a network lost by its export."""
    if (body := _json(file)).keys() & CELL.keys():
        store.write_text(file, json.dumps(_renamed(body, CELL), indent=1, ensure_ascii=False) + "\n")
        return 1
    return 0


def _baseline(file: Path) -> bool:
    from bench.gate import SCHEMA

    if not file.exists() or (body := _json(file)).get("schema") != 2 or body.get("records") != OLD:
        return False
    now = {**body, "schema": SCHEMA, "records": NEW, "recipe": _recipe(body["recipe"])}
    now["data"] = _renamed(body["data"], BASELINE)
    now["batches"] = {key: _renamed(batch, BASELINE) for key, batch in body["batches"].items()}
    now["dry_run"] = _renamed(body["dry_run"], DRY_RUN)
    store.write_text(file, store.layout(now))
    return True
