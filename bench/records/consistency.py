"""Whether records may stand in one table: made by one protocol, from one data set, of one network each."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import document
from bench.records.record import Record, trainings

# what cells of one comparison differ in
VARYING = ("architecture", "architecture_code", "fold", "graph", "members", "seed", "tta", "width")


def conflicts(records: Sequence[Record]) -> list[str]:
    """What sets records of one table apart that must not; a sentence each, none where all are alike.

    Happens where a recipe, the data or an architecture changed and only some cells were run again.
    """
    by_key: dict[str, dict[str, list[str]]] = {}
    stale = _stale(records)
    for record in records:
        if not record.ok:
            continue
        made_from, name = record.inputs.every, record.name
        variant = record.cell.variant
        local = f" of {variant}" if variant else ""
        for key, value in made_from.items():
            if key not in VARYING:
                label = {"recipe": f"recipe{local}", "folds": f"folds of seed {record.cell.seed}"}.get(key, key)
                by_key.setdefault(label, {}).setdefault(document.sha256(value), []).append(name)
        architecture = f"graph of {record.cell.architecture}{local}, width {record.cell.width}"
        if "graph" in made_from:
            by_key.setdefault(architecture, {}).setdefault(str(made_from["graph"]), []).append(name)
        if not record.trained:
            transforms = document.sha256([record.inputs.networks, made_from.get("tta")])
            ensemble = f"number of members or views of {record.cell.architecture}"
            by_key.setdefault(ensemble, {}).setdefault(transforms, []).append(name)
    return stale + [
        f"{key}: {min(values.values(), key=len)[0]} was made with another than {max(values.values(), key=len)[0]}"
        for key, values in by_key.items()
        if len(values) > 1
    ]


def _stale(records: Sequence[Record]) -> list[str]:
    """Ensembles of a training other than the one of that name among these records; such as was there before."""
    alongside = {r.name: r for r in trainings(records)}
    return [
        f"{ensemble.name}: was made of another {now.name} than the one beside it "
        f"(`python -m bench ensemble {ensemble.cell.suite}{_variant(ensemble)}` makes it anew)"
        for ensemble in records
        for member in ensemble.inputs.members
        if (now := alongside.get(member.cell)) and now.weights_sha256 != member.weights_sha256
    ]


def _variant(record: Record) -> str:
    variant = record.cell.variant
    return f" --variant {variant}" if variant else ""
