"""Variants of a recipe: rows of one table, each against the whole recipe, in records and files of their own."""

from dataclasses import replace

import pytest
from records import grid, save, sealed, sections, unlike, validate

from bench.cell import variant_of
from bench.gate import summarise_results
from bench.markdown import p_value
from bench.pages.ablation_page import ablation, answer
from bench.pages.gaps import never_run, variants_never_run
from bench.pages.report import write
from bench.pages.suite_page import section_blocks
from bench.records import store
from bench.records.results import Results
from bench.statistics.resampling import holm
from bench.suites import cells, narrowed, suite
from lungseg.errors import UsageError
from lungseg.recipes import RECIPES, VARIANT_NAMES, VARIANTS, meanings, recipe

SUITE = suite("ablation")


def variant(name, level, **more):
    """Records of a U-Net under ``strong:name``, or ``strong`` itself."""
    named = f"strong:{name}" if name else "strong"
    found = grid(("unet",), suite="ablation", n=60, level=level, **more)
    truth = {"truth_pixels": {case["id"]: case["truth_pixels"] for r in found for case in r["cases"]}}
    settings = {"recipe": {"name": named, "epochs": 150, "batch_size": 16}}
    changed = {"inputs": settings, "fingerprint": store.fingerprint(settings)}
    return [sealed({**r, **changed, "cell": {**r["cell"], "recipe": named}, "data": r["data"] | truth}) for r in found]


def records():
    return [*variant("", 0.97), *variant("no-pose", 0.94), *variant("mirror", 0.97)]


def rows(section):
    title, body, *_ = ablation(section)
    assert never_run(section) == [], "one architecture is what an ablation is about"
    assert title == "### What each ingredient buys"
    return {line.split("|")[2].strip(): [cell.strip() for cell in line.split("|")[3:-1]]
            for line in body.splitlines()[2:]}  # fmt: skip


def test_every_cell_of_a_suite_with_variants_has_a_file_of_its_own():
    made = cells(SUITE)
    assert len(made) == 5 * (1 + len(VARIANTS))
    assert len({cell.id for cell in made}) == len(made)
    assert "unet~no-pose.montgomery.f0.s0" in {cell.id for cell in made}
    assert {cell.recipe.name for cell in made} == {"strong", *(v.name for v in VARIANTS)}


def test_variants_share_a_table_with_the_recipe_and_are_measured_against_it():
    (section,) = sections(records())
    assert {r.name for r in section.rows} == {"unet", "unet (no-pose)", "unet (mirror)"}
    found = rows(section)
    assert set(found) == {"no-pose", "mirror"}
    assert found["no-pose"][0].startswith("-0.0")
    assert found["no-pose"][2] == "worse¹"
    assert found["mirror"][2] == "equivalent¹"
    whole = next(r for r in section.rows if not r.variant)
    worse = next(r for r in section.rows if r.variant == "no-pose")
    difference, low, high = (float(x.strip("[],")) for x in found["no-pose"][0].split())
    assert difference == pytest.approx(worse.dice.value - whole.dice.value, abs=1e-4)
    assert low < difference < high < 0


def test_the_first_screen_says_what_each_ingredient_buys():
    (section,) = sections(records())
    ((question, text),) = answer(section)
    difference = rows(section)["no-pose"][0].split()[0]
    assert text == f"By Dice, against the whole recipe, worse: no-pose {difference}; equivalent: mirror."
    assert section_blocks(section, {})[2].startswith(f"- **{question}** By Dice, ")
    assert "miss the same images" not in "".join(section_blocks(section, {})), "recipes of one network are no networks"
    assert answer(sections(variant("", 0.97))[0]) == []


def test_only_the_comparisons_that_are_asked_are_corrected_for():
    """Three variants are six pairs with the recipe, of which three are asked."""
    (section,) = sections([*records(), *variant("no-exposure", 0.96996)])
    raw = {name: section.pair(f"unet ({name})", "unet").p_value for name in ("no-pose", "mirror", "no-exposure")}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    assert {name: cells[1] for name, cells in rows(section).items()} == {
        name: p_value(p) for name, p in corrected.items()
    }
    assert section.pair("unet (no-exposure)", "unet").p_holm > corrected["no-exposure"]


def test_a_better_variant_has_a_positive_difference():
    (section,) = sections([*variant("", 0.94), *variant("no-pose", 0.97)])
    difference, low, _ = (float(x.strip("[],")) for x in rows(section)["no-pose"][0].split())
    assert 0 < low < difference


def kept(records, *values):
    """The records, with these validation Dice of the weights that were kept, fold by fold."""
    return [
        sealed({**r, "best_epoch": 1,
                "history": {k: v[:3] for k, v in r["history"].items()} | {"val_dice": [0.5, value, 0.6]}})
        for r, value in zip(records, values, strict=True)
    ]  # fmt: skip


def test_validation_dice_stands_beside_so_that_who_chooses_need_not_look_at_test_images():
    whole = kept(variant("", 0.97), 0.91, 0.92, 0.93, 0.94, 0.95)
    joined = kept(variant("no-pose+plateau", 0.96), 0.92, 0.93, 0.95, 0.94, 0.94)
    (section,) = sections([*whole, *joined])
    _, body, *_ = ablation(section)
    assert body.splitlines()[0].endswith("Validation |")
    assert rows(section)["no-pose+plateau"][-1] == "+0.0060,\u00a03/5"


def test_variants_that_were_never_run_are_named(tmp_path):
    (section,) = sections(records())
    assert variants_never_run(section) == [v for v in SUITE.variants if v not in ("no-pose", "mirror")]
    (plain,) = sections(variant("", 0.97))
    assert variants_never_run(plain) == []
    save(tmp_path, records())
    write(Results(tmp_path))
    page = " ".join((tmp_path / "ablation.md").read_text(encoding="utf-8").split())
    assert "Variants of the suite that were not run here: no-augmentation, no-exposure, plateau, " in page


def test_without_variants_there_is_no_such_table():
    (section,) = sections(grid())
    assert ablation(section) == []


def test_a_page_names_what_a_variant_lacks(tmp_path):
    (section,) = sections([r for r in records() if r["cell"]["fold"] or "mirror" not in r["cell"]["recipe"]])
    text = " ".join("\n".join(section_blocks(section, {})).split())
    assert "U-Net (mirror), seed 0: 4 of 5 folds (not run: fold 0)" in text
    assert "U-Net, seed 0" not in text


def test_records_of_variants_are_alike_but_for_their_recipe_and_may_be_published(tmp_path):
    assert unlike(records()) == []
    other = sealed({**records()[0], "inputs": {"recipe": {"name": "another"}}})
    assert any("recipe: " in text for text in unlike([other, *records()[1:]]))
    assert validate(records()) == []
    assert any("unet (mirror) seed 0: 12 of 60" in text for text in validate(records()[:-1]))


def test_reports_and_comparisons_keep_variants_apart(tmp_path):
    save(tmp_path, records())
    assert len(Results(tmp_path).paths()) == 15
    write(Results(tmp_path), figures=False)
    index = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "- Ablation: [ablation](ablation.md)" in index
    (summary,) = summarise_results(Results(tmp_path), SUITE).values()
    assert set(summary["architectures"]) == {"unet", "unet (no-pose)", "unet (mirror)"}


def test_each_variant_differs_from_its_recipe_and_from_the_others():
    assert len({replace(v, name="") for v in VARIANTS} | {replace(recipe("strong"), name="")}) == 1 + len(VARIANTS)
    assert all(RECIPES[v.name] is v for v in VARIANTS)
    assert {v.epochs for v in VARIANTS} == {150, 50, 300}


def test_variants_joined_change_what_each_of_them_does():
    both = recipe("strong:plateau+small-batches")
    assert (both.cosine, both.batch_size, both.epochs) == (False, 4, 150)
    assert replace(both, batch_size=16, name="strong:plateau") == recipe("strong:plateau")
    assert recipe("strong:small-batches+plateau") == both, "one recipe, one name"


def test_a_short_name_stands_for_its_parts_and_records_keep_those():
    whole = recipe("strong:small-batches+twice-epochs+elastic+weight-average")
    assert recipe("strong:elastic+thorough").name == "strong:small-batches+twice-epochs+elastic"
    assert recipe("strong:thorough+weight-average") == recipe("strong:weight-average+thorough") == whole
    assert (whole.batch_size, whole.epochs, whole.average_share) == (4, 300, 0.9)
    suite_of = narrowed(SUITE, variants=["thorough+weight-average", "small-batches+twice-epochs"])
    cell, other = cells(suite_of)[1:3]
    assert cell.recipe.name == whole.name
    assert cell.id == "unet~small-batches+twice-epochs+elastic+weight-average.montgomery.f0.s0"
    assert variant_of(cell.as_dict()) == "thorough+weight-average"
    assert variant_of(other.as_dict()) == "small-batches+twice-epochs", "a part of it is not it"


def test_what_a_variant_changes_is_told_by_its_settings():
    told = meanings([*VARIANT_NAMES, "thorough"])
    assert list(told) == list(VARIANT_NAMES)
    assert told["no-augmentation"] == "no augmentation"
    assert told["no-pose"] == "no rotation_degrees, no scale, no shift"
    assert told["mirror"] == "mirror"
    assert told["elastic"] == "elastic 0.02"
    assert told["focal-tversky"] == "loss focal_tversky instead of dice"
    assert "no cosine" in told["plateau"]
    assert list(meanings(["thorough", "unknown"])) == ["small-batches", "twice-epochs", "elastic"]


def test_a_page_says_what_a_short_name_stands_for():
    parts = "small-batches+twice-epochs+elastic"
    (section,) = sections([*variant("", 0.97), *variant(parts, 0.975), *variant(f"{parts}+weight-average", 0.98)])
    assert {row.name for row in section.rows} == {"unet", "unet (thorough)", "unet (thorough+weight-average)"}
    meanings = " ".join(ablation(section)[-1].split())
    assert "small-batches: batch_size 4 instead of 16; " in meanings
    assert "weight-average: average_share 0.9." in meanings
    assert "mirror" not in meanings
    ((_, said),) = answer(section)
    assert said.endswith(f". Thorough is {parts}.")


def test_no_plateau_ends_a_training_early_however_many_its_epochs():
    assert recipe("strong:plateau").early_stopping_patience == 150
    longer = recipe("strong:plateau+twice-epochs")
    assert longer.early_stopping_patience == longer.epochs == 300


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strong:mirror+elastic", "mirror and elastic both change augmentation; leave one of them out"),
        ("strong:no-pose+elastic+twice-epochs", "no-pose and elastic both change augmentation"),
        ("strong:thorough+mirror", r"'strong:thorough\+mirror': mirror and elastic both .* \(thorough is small-ba"),
        (
            "strong:plateau+slow",
            "recipe strong has no variant 'slow': known are no-augm.*, thorough is small",
        ),
        ("strong:+plateau", "recipe strong has no variant ''"),
        ("strong:", "unknown recipe 'strong:'"),
        ("strange:plateau", "unknown recipe 'strange:plateau': known are document"),
        ("document:plateau", "recipe document has no variants, so no 'plateau'; those of strong are no-aug.*thorough"),
    ],
)
def test_variants_that_cannot_be_joined_are_refused(name, message):
    with pytest.raises(UsageError, match=message):
        recipe(name)


def test_variants_of_one_network_get_no_figure_of_their_one_speed():
    from bench.figures.speed import speed
    from bench.speed.speeds import Speeds

    rates = {"train_images_per_second": "1", "inference_images_per_second": "2"}
    measured = {"architecture": "unet", "width": "8", **rates}
    table = Speeds("x.csv", "cpu", "tensorflow", "float32", (64, 64), (measured,))
    for found, drawn in ((records(), False), (variant("", 0.97), True)):
        (section,) = sections(found)
        rows = tuple(replace(row, width=8) for row in section.rows)
        assert (speed(replace(section, rows=rows), [table]) is not None) == drawn
    (section,) = sections(records())
    one, two, three = (replace(row, width=8) for row in section.rows)
    whole = next(row for row in (one, two, three) if not row.variant)
    besides = replace(whole, architecture="resunet", name="resunet")
    both = replace(section, rows=(one, two, three, besides))
    assert speed(both, [table]) is None, "the other network was not measured"
    measured_too = replace(table, rows=(*table.rows, {**measured, "architecture": "resunet"}))
    texts = {text.get_text() for panel in speed(both, [measured_too]).axes for text in panel.texts}
    assert texts == {"U-Net", "ResUNet"}
