"""Records of schema 1 become schema 2 with every number kept, and go on fitting what they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from records import grid

from bench import migration
from bench.__main__ import main
from bench.cell import cell_id
from bench.migration import AUGMENTATION, CASE, CELL, RECIPE, TOP
from bench.records import store
from bench.records.results import Results
from lungseg.errors import DataError
from lungseg.recipes import OLD_RECIPES, OLD_VARIANTS, recipe

ROOT = Path(__file__).resolve().parents[1]
BACK = {now: before for before, now in (OLD_RECIPES | OLD_VARIANTS).items()}


def back(values, names):
    return {{now: before for before, now in names.items()}.get(key, key): value for key, value in values.items()}


def old_name(name):
    base, colon, variants = name.partition(":")
    return f"{BACK.get(base, base)}{colon}{'+'.join(BACK.get(part, part) for part in variants.split('+'))}"


def aged(record, name="strong:batch-4+ema"):
    """The record as schema 1 had it, under a recipe that has another name now."""
    inputs = {**record.get("inputs", {}), "recipe": {"name": old_name(name), "average_share": 0.9,
                                                     "augmentation": {"mirror": True, "noise": 0.03}}}  # fmt: skip
    old = back(record, TOP) | {"schema": 1, "inputs": inputs, "fingerprint": store.fingerprint(inputs)}
    old["cell"] = back(record["cell"], CELL) | {"recipe": old_name(name)}
    old["cases"] = [back(case, CASE) for case in record["cases"]]
    old["data"] = back(record["data"], CASE)
    return store.sealed(old)


def written(results, records, suite="quick"):
    folder = results / "runs" / suite / "tensorflow-cpu-float32"
    folder.mkdir(parents=True)
    paths = []
    for record in records:
        variant = record["cell"]["recipe"].partition(":")[2]
        cell = record["cell"]
        name = (
            f"{cell['architecture']}{'~' * bool(variant)}{variant}.{cell['scored_on']}.f{cell['fold']}.s{cell['seed']}"
        )
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(store.layout(record))
    return paths


def numbers(value):
    """All numbers of a JSON value, by nothing but the order of sorted keys' values."""
    if isinstance(value, dict):
        return sorted((n for held in value.values() for n in numbers(held)), key=repr)
    if isinstance(value, list):
        return [n for held in value for n in numbers(held)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_a_migrated_record_is_valid_has_every_number_and_another_name(tmp_path):
    new = grid(("unet",))
    paths = written(tmp_path, [aged(record) for record in new])
    before = [json.loads(path.read_text()) for path in paths]
    assert migration.migrate(Results(tmp_path), lambda text: None) == len(new)
    assert not any(path.exists() for path in paths)
    after = [store.load_record(path).document for path in Results(tmp_path).paths()]
    for old, now in zip(before, after, strict=True):
        assert store.is_sealed(now)
        assert now["cell"]["recipe"] == "strong:batch-4+ema"
        assert now["fingerprint"] == store.fingerprint(now["inputs"])
        assert now["inputs"]["recipe"] == {"name": "strong:batch-4+ema", "ema_decay": 0.9,
                                           "augmentation": {"hflip": True, "noise": 0.03}}  # fmt: skip
        assert numbers(old | {"schema": 2}) == numbers(now)
        assert old["weights_sha256"] == now["weights_sha256"]
    names = [path.stem for path in Results(tmp_path).paths()]
    assert names == sorted(cell_id(record["cell"]) for record in after)
    assert all("~batch-4+ema." in name for name in names)


def test_a_second_migration_changes_no_byte(tmp_path):
    written(tmp_path, [aged(record) for record in grid(("unet", "resunet"))])
    migration.migrate(Results(tmp_path), lambda text: None)
    first = {path: path.read_bytes() for path in Results(tmp_path).paths()}
    assert migration.migrate(Results(tmp_path), lambda text: None) == 0
    assert {path: path.read_bytes() for path in Results(tmp_path).paths()} == first


def test_a_fingerprint_that_did_not_fit_does_not_fit_afterwards(tmp_path):
    record = aged(grid(("unet",))[0])
    written(tmp_path, [store.sealed({**record, "fingerprint": "f" * 64})])
    migration.migrate(Results(tmp_path), lambda text: None)
    (now,) = (record.document for record in Results(tmp_path).all())
    assert now["fingerprint"] == "f" * 64 != store.fingerprint(now["inputs"])


def test_an_ensemble_names_its_members_by_their_new_fingerprints(tmp_path):
    member, other = (aged(record) for record in grid(("unet",))[:2])
    inputs = {"architecture": "unet+views", "views": [{"degrees": 6.0}], "members": [
        {"cell": "unet~small-batches+weight-average.phantom.f0.s0", "seed": 0,
         "fingerprint": member["fingerprint"], "weights_sha256": member["weights_sha256"]}]}  # fmt: skip
    ensemble = store.sealed({**other, "inputs": inputs, "fingerprint": store.fingerprint(inputs),
                             "cell": {**other["cell"], "architecture": "unet+views"}})  # fmt: skip
    found = migration.migrated({Path("a"): ensemble, Path("b"): member})
    now, trained = found[Path("a")], found[Path("b")]
    assert now["cell"]["architecture"] == now["inputs"]["architecture"] == "unet+tta"
    assert now["inputs"]["tta"] == [{"degrees": 6.0}]
    (named,) = now["inputs"]["members"]
    assert named["fingerprint"] == trained["fingerprint"] != member["fingerprint"]
    assert named["cell"] == "unet~batch-4+ema.phantom.f0.s0"
    assert now["fingerprint"] == store.fingerprint(now["inputs"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "no record of schema 1 or 2"),
        ('{"schema": 7, "cell": {}}', "no record of schema 1 or 2"),
        ("not JSON", "not a readable record"),
        ('{"schema": 1, "cell": {}, "record_sha256": "0"}', "edited after it was written"),
    ],
)
def test_a_foreign_record_is_named_and_nothing_is_rewritten(tmp_path, text, why):
    paths = written(tmp_path, [aged(record) for record in grid(("unet",))])
    foreign = paths[0].with_name("foreign.json")
    foreign.write_text(text)
    before = [path.read_bytes() for path in paths]
    with pytest.raises(DataError, match=f"foreign.json: .*{why}"):
        migration.migrate(Results(tmp_path), lambda text: None)
    assert [path.read_bytes() for path in paths] == before


def test_who_reads_a_record_of_schema_1_is_told_how_to_migrate_it(tmp_path):
    (path, *_) = written(tmp_path, [aged(record) for record in grid(("unet",))])
    with pytest.raises(DataError, match="schema 1, this version reads 2; `python -m bench migrate --results <folder>`"):
        store.load_record(path)


def test_a_record_of_schema_1_is_neither_trained_again_nor_called_lost(tmp_path, capsys):
    (path, *_) = written(tmp_path, [aged(grid(("unet",))[0], "reference")])
    with pytest.raises(DataError, match="bench migrate"):
        store.find(path, {})
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    assert store.find(path, {}) is None, "of which nothing is known is trained again"
    path.write_text(path.read_text().replace('"schema": 9', '"schema": 1'))
    assert main(["report", "--results", str(tmp_path), "--no-figures"]) == DataError.exit_code
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("warning: ")]
    assert line.endswith("rewrites it, all numbers kept")
    assert "delete" not in line


def test_weights_of_a_renamed_cell_are_found_again(tmp_path):
    (path, *_) = written(tmp_path, [aged(grid(("unet",))[0])])
    kept = tmp_path / "cells" / "quick" / "tensorflow-cpu-float32" / path.stem / "weights.npz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"w")
    assert main(["migrate", "--results", str(tmp_path)]) == 0
    (now,) = Results(tmp_path).paths()
    assert (tmp_path / "cells" / "quick" / "tensorflow-cpu-float32" / now.stem / "weights.npz").read_bytes() == b"w"


def test_every_old_name_of_a_recipe_leads_to_one_that_exists():
    for name in OLD_RECIPES.values():
        assert recipe(name).name == name
    for name in OLD_VARIANTS.values():
        recipe(f"strong:{name}")
    assert migration.recipe_name("strong:small-batches+twice-epochs+elastic") == "strong:batch-4+epochs-300+elastic"
    assert (
        migration.row_name("unet+seeds+views (width 8, thorough+weight-average)")
        == "unet+seeds+tta (width 8, long+ema)"
    )
    assert (RECIPE, AUGMENTATION) == ({"average_share": "ema_decay"}, {"mirror": "hflip"})


def test_committed_records_are_of_schema_2_and_fit_their_inputs():
    paths = Results(ROOT / "results").paths()
    assert paths
    for path in paths:
        record = migration.read(path)
        assert record["schema"] == migration.NEW, path
        assert store.is_sealed(record), path
        assert record["fingerprint"] == store.fingerprint(record["inputs"]), path
        assert path.stem == cell_id(record["cell"]), path
