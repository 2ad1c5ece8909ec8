"""Variants of a recipe: rows of one table, each against the whole recipe, in records and files of their own."""

from dataclasses import replace

import numpy as np
import pytest
from records import grid, leaderboards, save, sealed, unlike, validate

from bench.cell import variant_of
from bench.gate import summarise_results
from bench.markdown import p_value
from bench.pages.comparisons import ablation, ablation_answer
from bench.pages.completeness import never_run, variants_never_run
from bench.pages.report import write
from bench.pages.suite_page import leaderboard_blocks
from bench.records import store
from bench.records.results import Results
from bench.statistics.resampling import holm
from bench.suites import cells, select, suite
from lungseg.errors import UsageError
from lungseg.recipes import RECIPES, VARIANT_NAMES, VARIANTS, meanings, recipe

SUITE = suite("ablation")


def variant(name, level, **more):
    """Records of a U-Net under ``strong:name``, or ``strong`` itself."""
    named = f"strong:{name}" if name else "strong"
    result = grid(("unet",), suite="ablation", n=60, level=level, **more)
    target = {"target_pixels": {case["id"]: case["target_pixels"] for r in result for case in r["cases"]}}
    settings = {"recipe": {"name": named, "epochs": 150, "batch_size": 16}}
    changed = {"inputs": settings, "fingerprint": store.fingerprint(settings)}
    return [
        sealed({**r, **changed, "cell": {**r["cell"], "recipe": named}, "data": r["data"] | target}) for r in result
    ]


def records():
    return [*variant("", 0.97), *variant("no-geometric", 0.94), *variant("hflip", 0.97)]


def rows(leaderboard):
    title, body, *_ = ablation(leaderboard)
    assert never_run(leaderboard) == [], "one architecture is what an ablation is about"
    assert title == "### What each ingredient contributes"
    return {
        line.split("|")[2].strip(): [cell.strip() for cell in line.split("|")[3:-1]] for line in body.splitlines()[2:]
    }


def test_every_cell_of_a_suite_with_variants_has_a_file_of_its_own():
    made = cells(SUITE)
    assert len(made) == 5 * (1 + len(VARIANTS))
    assert len({cell.id for cell in made}) == len(made)
    assert "unet~no-geometric.montgomery.f0.s0" in {cell.id for cell in made}
    assert {cell.recipe.name for cell in made} == {"strong", *(v.name for v in VARIANTS)}


def test_variants_share_a_table_with_the_recipe_and_are_measured_against_it():
    (leaderboard,) = leaderboards(records())
    assert {r.name for r in leaderboard.rows} == {"unet", "unet (no-geometric)", "unet (hflip)"}
    result = rows(leaderboard)
    assert set(result) == {"no-geometric", "hflip"}
    assert result["no-geometric"][0].startswith("-0.0")
    assert result["no-geometric"][2] == "worse¹"
    assert result["hflip"][2] == "equivalent¹"
    whole = next(r for r in leaderboard.rows if not r.variant)
    worse = next(r for r in leaderboard.rows if r.variant == "no-geometric")
    difference, low, high = (float(x.strip("[],")) for x in result["no-geometric"][0].split())
    assert difference == pytest.approx(worse.dice.value - whole.dice.value, abs=1e-4)
    assert low < difference < high < 0


def test_the_first_screen_says_what_each_ingredient_contributes():
    (leaderboard,) = leaderboards(records())
    ((question, text),) = ablation_answer(leaderboard)
    difference = rows(leaderboard)["no-geometric"][0].split()[0]
    assert text == f"By Dice, against the whole recipe, worse: no-geometric {difference}; equivalent: hflip."
    assert leaderboard_blocks(leaderboard, {})[2].startswith(f"- **{question}** By Dice, ")
    assert "miss the same images" not in "".join(leaderboard_blocks(leaderboard, {})), (
        "recipes of one network are no networks"
    )
    assert ablation_answer(leaderboards(variant("", 0.97))[0]) == []


def test_only_the_comparisons_that_are_asked_are_corrected_for():
    """Three variants are six pairs with the recipe, of which three are asked. The p value is that of the verdict."""
    (leaderboard,) = leaderboards([*records(), *variant("no-intensity", 0.96996)])
    names = ("no-geometric", "hflip", "no-intensity")
    pairs = [leaderboard.pair(f"unet ({name})", "unet") for name in names]
    zero, apart = holm(np.array([p.p_value for p in pairs])), holm(np.array([p.p_apart for p in pairs]))
    result = rows(leaderboard)
    assert [result[name][2] for name in names] == ["worse¹", "equivalent¹", "equivalent¹"]
    assert [result[name][1] for name in names] == [p_value(p) for p in (zero[0], *apart[1:])]
    assert pairs[2].p_holm > zero[2]
    assert pairs[2].p_apart_holm > apart[2]


def test_a_better_variant_has_a_positive_difference():
    (leaderboard,) = leaderboards([*variant("", 0.94), *variant("no-geometric", 0.97)])
    difference, low, _ = (float(x.strip("[],")) for x in rows(leaderboard)["no-geometric"][0].split())
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
    joined = kept(variant("no-geometric+plateau", 0.96), 0.92, 0.93, 0.95, 0.94, 0.94)
    (leaderboard,) = leaderboards([*whole, *joined])
    _, body, *_ = ablation(leaderboard)
    assert body.splitlines()[0].endswith("Validation |")
    assert rows(leaderboard)["no-geometric+plateau"][-1] == "+0.0060,\u00a03/5"


def test_variants_that_were_never_run_are_named(tmp_path):
    (leaderboard,) = leaderboards(records())
    assert variants_never_run(leaderboard) == [v for v in SUITE.variants if v not in ("no-geometric", "hflip")]
    (plain,) = leaderboards(variant("", 0.97))
    assert variants_never_run(plain) == []
    save(tmp_path, records())
    write(Results(tmp_path))
    page = " ".join((tmp_path / "ablation.md").read_text(encoding="utf-8").split())
    assert "Variants of the suite that were not run here: no-augmentation, no-intensity, plateau, " in page


def test_without_variants_there_is_no_such_table():
    (leaderboard,) = leaderboards(grid())
    assert ablation(leaderboard) == []


def test_a_page_names_what_a_variant_lacks(tmp_path):
    (leaderboard,) = leaderboards([r for r in records() if r["cell"]["fold"] or "hflip" not in r["cell"]["recipe"]])
    text = " ".join("\n".join(leaderboard_blocks(leaderboard, {})).split())
    assert "U-Net (hflip), seed 0: 4 of 5 folds (not run: fold 0)" in text
    assert "U-Net, seed 0" not in text


def test_records_of_variants_are_alike_but_for_their_recipe_and_may_be_published(tmp_path):
    assert unlike(records()) == []
    other = sealed({**records()[0], "inputs": {"recipe": {"name": "another"}}})
    assert any("differ in recipe" in text for text in unlike([other, *records()[1:]]))
    assert validate(records()) == []
    assert any("unet (hflip) seed 0: 12 of 60" in text for text in validate(records()[:-1]))


def test_reports_and_comparisons_keep_variants_apart(tmp_path):
    save(tmp_path, records())
    assert len(Results(tmp_path).paths()) == 15
    write(Results(tmp_path), figures=False)
    index = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "- Ablation: [ablation](ablation.md)" in index
    (summary,) = summarise_results(Results(tmp_path), SUITE).values()
    assert set(summary["architectures"]) == {"unet", "unet (no-geometric)", "unet (hflip)"}


def test_each_variant_differs_from_its_recipe_and_from_the_others():
    assert len({replace(v, name="") for v in VARIANTS} | {replace(recipe("strong"), name="")}) == 1 + len(VARIANTS)
    assert all(RECIPES[v.name] is v for v in VARIANTS)
    assert {v.epochs for v in VARIANTS} == {150, 50, 300}


def test_variants_joined_change_what_each_of_them_does():
    both = recipe("strong:plateau+batch-4")
    assert (both.cosine, both.batch_size, both.epochs) == (False, 4, 150)
    assert replace(both, batch_size=16, name="strong:plateau") == recipe("strong:plateau")
    assert recipe("strong:batch-4+plateau") == both, "one recipe, one name"


def test_a_short_name_stands_for_its_parts_and_records_keep_those():
    whole = recipe("strong:batch-4+epochs-300+elastic+ema")
    assert recipe("strong:elastic+long").name == "strong:batch-4+epochs-300+elastic"
    assert recipe("strong:long+ema") == recipe("strong:ema+long") == whole
    assert (whole.batch_size, whole.epochs, whole.ema_decay) == (4, 300, 0.9)
    suite_of = select(SUITE, variants=["long+ema", "batch-4+epochs-300"])
    cell, other = cells(suite_of)[1:3]
    assert cell.recipe.name == whole.name
    assert cell.id == "unet~batch-4+epochs-300+elastic+ema.montgomery.f0.s0"
    assert variant_of(cell.as_dict()) == "long+ema"
    assert variant_of(other.as_dict()) == "batch-4+epochs-300", "a part of it is not it"


def test_what_a_variant_changes_is_told_by_its_settings():
    details = meanings([*VARIANT_NAMES, "long"])
    assert list(details) == list(VARIANT_NAMES)
    assert details["no-augmentation"] == "no augmentation"
    assert details["no-geometric"] == "no rotation_degrees, no scale, no shift"
    assert details["hflip"] == "hflip"
    assert details["elastic"] == "elastic 0.02"
    assert details["focal-tversky"] == "loss focal_tversky instead of dice"
    assert "no cosine" in details["plateau"]
    assert list(meanings(["long", "unknown"])) == ["batch-4", "epochs-300", "elastic"]


def test_a_page_says_what_a_short_name_stands_for():
    parts = "batch-4+epochs-300+elastic"
    (leaderboard,) = leaderboards([*variant("", 0.97), *variant(parts, 0.975), *variant(f"{parts}+ema", 0.98)])
    assert {row.name for row in leaderboard.rows} == {"unet", "unet (long)", "unet (long+ema)"}
    meanings = " ".join(ablation(leaderboard)[-1].split())
    assert "batch-4: batch_size 4 instead of 16; " in meanings
    assert "ema: ema_decay 0.9." in meanings
    assert "hflip" not in meanings
    ((_, said),) = ablation_answer(leaderboard)
    assert said.endswith(f". Long is {parts}.")


def test_no_plateau_ends_a_training_early_however_many_its_epochs():
    assert recipe("strong:plateau").early_stopping_patience == 150
    longer = recipe("strong:plateau+epochs-300")
    assert longer.early_stopping_patience == longer.epochs == 300


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strong:hflip+elastic", "hflip and elastic both change augmentation; leave one of them out"),
        ("strong:no-geometric+elastic+epochs-300", "no-geometric and elastic both change augmentation"),
        ("strong:long+hflip", r"'strong:long\+hflip': hflip and elastic both .* \(long is batch-4"),
        (
            "strong:plateau+slow",
            "recipe strong has no variant 'slow': known are no-augm.*, long is batch-4",
        ),
        ("strong:+plateau", "recipe strong has no variant ''"),
        ("strong:", "unknown recipe 'strong:'"),
        ("strange:plateau", "unknown recipe 'strange:plateau': known are reference"),
        ("reference:plateau", "recipe reference has no variants, so no 'plateau'; those of strong are no-aug.*long"),
    ],
)
def test_variants_that_cannot_be_joined_are_refused(name, message):
    with pytest.raises(UsageError, match=message):
        recipe(name)


def test_variants_of_one_network_get_no_figure_of_their_one_speed():
    from bench.figures.speed import speed
    from bench.speed.throughput_table import ThroughputTable

    rates = {"train_images_per_second": "1", "inference_images_per_second": "2"}
    measured = {"architecture": "unet", "width": "8", **rates}
    table = ThroughputTable("x.csv", "cpu", "tensorflow", "float32", (64, 64), (measured,))
    for result, drawn in ((records(), False), (variant("", 0.97), True)):
        (leaderboard,) = leaderboards(result)
        rows = tuple(replace(row, width=8) for row in leaderboard.rows)
        assert (speed(replace(leaderboard, rows=rows), [table]) is not None) == drawn
    (leaderboard,) = leaderboards(records())
    one, two, three = (replace(row, width=8) for row in leaderboard.rows)
    whole = next(row for row in (one, two, three) if not row.variant)
    extra_train = replace(whole, architecture="resunet", name="resunet")
    both = replace(leaderboard, rows=(one, two, three, extra_train))
    assert speed(both, [table]) is None, "the other network was not measured"
    measured_too = replace(table, rows=(*table.rows, {**measured, "architecture": "resunet"}))
    texts = {text.get_text() for panel in speed(both, [measured_too]).axes for text in panel.texts}
    assert texts == {"U-Net", "ResUNet"}
