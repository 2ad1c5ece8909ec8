"""Whether the records of one table are of one comparison."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import store
from bench.records.record import Record

# what cells of one comparison differ in
VARYING = ("architecture", "architecture_code", "fold", "graph", "members", "seed", "tta", "width")


def conflicts(records: Sequence[Record]) -> list[str]:
    """Conflicts between records of one table, a sentence each; empty where they are consistent.

    Happens where a recipe, the data or an architecture changed and only some cells were run again.
    """
    by_key: dict[str, dict[str, list[str]]] = {}
    for record in records:
        if not record.ok:
            continue
        made_from, name = record.inputs.every, record.name
        variant = record.cell.variant
        local = f" of {variant}" if variant else ""
        for key, value in made_from.items():
            if key not in VARYING:
                label = {"recipe": f"recipe{local}", "folds": f"folds of seed {record.cell.seed}"}.get(key, key)
                by_key.setdefault(label, {}).setdefault(store.sha256(value), []).append(name)
        architecture = f"graph of {record.cell.architecture}{local}, width {record.cell.width}"
        if "graph" in made_from:
            by_key.setdefault(architecture, {}).setdefault(str(made_from["graph"]), []).append(name)
        if not record.trained:
            transforms = store.sha256([record.inputs.networks, made_from.get("tta")])
            ensemble = f"number of members or TTA transforms of {record.cell.architecture}"
            by_key.setdefault(ensemble, {}).setdefault(transforms, []).append(name)
    return _stale(records) + [
        f"{min(values.values(), key=len)[0]} and {max(values.values(), key=len)[0]} differ in {key}"
        for key, values in by_key.items()
        if len(values) > 1
    ]


def _stale(records: Sequence[Record]) -> list[str]:
    """Ensembles of a training other than the one of that name among these records; such as was there before."""
    alongside = {r.name: r for r in records if r.trained}
    return [
        f"{ensemble.name}: was made from an earlier training of {now.name} "
        f"(`python -m bench ensemble {ensemble.cell.suite}{variant}` updates it)"
        for ensemble in records
        for variant in [ensemble.cell.variant and f" --variant {ensemble.cell.variant}"]
        for member in ensemble.inputs.members
        if (now := alongside.get(member.cell)) and now.weights_sha256 != member.weights_sha256
    ]
