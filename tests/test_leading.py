"""Which section leads the leaderboard is a rule, and what the page then says follows from its rows."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from read_page import flat, page
from records import ensembles, grid, leaderboards, save, sealed, second

from bench.pages import leading, report
from bench.pages.headlines import best, convergence, cost, founding, full_size, higher, significance
from bench.records.results import Results
from bench.statistics.pairs import ALL_PAIRS

THREE = ("unet", "resunet", "r2unet")


def montgomery(names=THREE, **more):
    return grid(names, n=40, data="montgomery", **more)


def leader(*records):
    result = leading.leader(leaderboards([r for some in records for r in some]))
    return result and (result.conditions.suite, result.conditions.protocol)


def test_a_newer_protocol_leads_before_seeds_and_networks():
    old = montgomery((*THREE, "unetpp"), seeds=range(3), suite="old")
    assert leader(old, second(montgomery(THREE[:2], suite="new"))) == ("new", 2)


def test_of_one_protocol_networks_with_enough_seeds_lead_before_more_networks():
    many = montgomery((*THREE, "unetpp", "unet3plus"), suite="many")
    assert leader(many, montgomery(THREE[:2], seeds=range(3), suite="seeds")) == ("seeds", 1)
    assert leader(many, montgomery(THREE, suite="few")) == ("many", 1)


def test_phantoms_other_sets_variants_and_single_networks_never_lead():
    across = [sealed({**r, "cell": {**r["cell"], "train_set": "shenzhen", "suite": "a"}}) for r in montgomery()]
    augmented = [
        sealed({**r, "cell": {**r["cell"], "recipe": "reference:plateau", "suite": "b"}}) for r in montgomery()
    ]
    extra_train = [
        sealed({**r, "cell": {**r["cell"], "train_set": "montgomery+shenzhen", "suite": "c"}}) for r in montgomery()
    ]
    assert leader(grid(THREE, n=40), across, augmented, extra_train, montgomery(("unet",), suite="d")) is None


def test_three_networks_apart_in_a_table_of_compared_neighbours_are_compared_by_themselves():
    between = [f"net{k:02}" for k in range(ALL_PAIRS)]
    names = ("unet", *between[::2], "resunet", *between[1::2], "r2unet")
    made = leaderboards(montgomery(names, folds=2))
    at = sorted(k for k, row in enumerate(made[0].ranked) if row.name in THREE)
    assert min(np.diff(at)) > 1, "no two of them are neighbours"
    said = "As a table of their own, U-Net is better than ResUNet, and both are better than R2U-Net."
    assert founding(made).endswith(said)


def with_recipe(records, recipe):
    return [sealed({**r, "cell": {**r["cell"], "recipe": recipe}}) for r in records]


def test_another_recipe_is_shown_beside_the_newest_protocol_first(tmp_path):
    new = second(montgomery(seeds=range(3), suite="new"))
    old = with_recipe(montgomery((*THREE, "unetpp"), suite="old", level=0.99), "strong")
    assert leading.beside(leaderboards(new)) is None
    assert leading.beside(leaderboards([*new, *old])).conditions.suite == "old"
    text = page(tmp_path, [*new, *old], suite="README")
    assert "## Recipe strong" in text
    assert "by recipe reference at" in flat(text)
    assert re.search(r" Higher: \S+, 0\.\d{3}[^(]* \(recipe strong, 1 seed, protocol 1, below\)\.", flat(text))
    assert "Protocol 1: some test images had another image of the patient in training" in flat(text)
    newer = second(with_recipe(montgomery(THREE[:2], suite="newer", level=0.98), "strong"))
    assert leading.beside(leaderboards([*new, *old, *newer])).conditions.suite == "newer"
    lower = with_recipe(montgomery((*THREE, "unetpp"), suite="old", level=0.5), "strong")
    assert "Higher: " not in flat(page(tmp_path / "lower", [*new, *lower], suite="README"))
    text = page(tmp_path / "2", [*new, *old, *newer], suite="README")
    assert "another image of the patient in training, so" not in flat(text)


def test_networks_differ_from_the_best_network_and_not_from_an_ensemble(tmp_path):
    made = montgomery(THREE[:2], seeds=range(3))
    (leaderboard,) = leaderboards([*made, *ensembles(made, "unet", gain=0.6)])
    assert not leaderboard.ranked[0].single
    alone = leading.of_networks(leaderboard)
    assert [row.name for row in alone.ranked] == ["unet", "resunet"]
    save(tmp_path, [*made, *ensembles(made, "unet", gain=0.6)])
    report.write(Results(tmp_path), figures=False)
    text = (tmp_path / "README.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("| U-Net ") and "best" in line]
    assert "+seeds" not in text.partition("## More")[0], line


@pytest.fixture
def clear():
    """Three networks of three seeds that lie far apart, and a fourth of one seed that leads."""
    made = [r for k, name in enumerate(THREE) for r in montgomery((name,), seeds=range(3), level=0.98 - 0.02 * k)]
    (leaderboard,) = leaderboards([*made, *montgomery(("unetpp",), level=0.995)])
    return leaderboard


def test_a_lead_of_one_seed_is_called_one_of_weights_and_methods_are_told_apart(clear):
    assert best(clear).startswith("UNet++ (1 seed), mean Dice ")
    text = re.sub(
        r" \(the smallest difference is 0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]\)",
        "",
        significance(clear).replace("\u00a0", " "),
    )
    assert text.startswith("UNet++ is better than U-Net, ResUNet and R2U-Net. With 1 seed this is about these trained")
    assert text.endswith("Of networks with at least 3 seeds: U-Net is better than ResUNet and R2U-Net.")


def test_a_lead_is_stated_with_the_smallest_of_its_differences(clear):
    pairs = [clear.pair("unetpp", name).seen_from("unetpp").difference for name in THREE]
    least = min(pairs, key=lambda difference: difference.value)
    assert f"(the smallest difference is {least.value:.4f} [{least.low:.4f}, {least.high:.4f}])" in significance(
        clear
    ).replace("\u00a0", " ")


def test_the_full_size_is_called_not_run_until_all_three_are(clear):
    assert full_size([clear]).startswith("not run yet at 256 px and 64 filters")
    run = replace(clear, conditions=replace(clear.conditions, suite="montgomery"))
    assert full_size([run]) is None


def test_the_full_size_is_called_unfinished_with_what_each_of_the_three_has(clear):
    begun = [
        r
        for r in montgomery(THREE, suite="montgomery")
        if (r["cell"]["architecture"], r["cell"]["fold"]) != ("unet", 1)
    ]
    text = full_size([clear, *leaderboards(begun)]).replace("\u00a0", " ")
    assert text.startswith("unfinished at 256 px and 64 filters")
    assert re.search(r"R2U-Net 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] \(1 seed\)", text)
    assert re.search(r"U-Net \d of \d trainings\.$", text)


def test_what_less_computing_costs_in_dice_is_stated(clear):
    def with_work(**gmacs):
        rows = [replace(row, gmacs=gmacs[row.name]) for row in clear.rows]
        return cost(replace(clear, rows=tuple(rows)), [])

    text = with_work(unetpp=1.8, unet=0.7, resunet=0.8, r2unet=0.1)
    assert "UNet++ takes " in text
    assert " 1.80 billion multiply-adds an image. Less computing lowers the mean: U-Net by 0.0" in text
    assert "; R2U-Net by 0.0" in text
    assert "ResUNet" not in text, "U-Net is better and computes less"
    least = with_work(unetpp=0.1, unet=0.7, resunet=0.8, r2unet=1)
    assert least.endswith("No other network takes fewer multiply-adds.")


def test_what_is_higher_on_the_same_images_in_another_suite_is_named(clear):
    folds = replace(clear.conditions, suite="variants")
    top = replace(clear.rows[0], name="unet (ema)", dice=replace(clear.rows[0].dice, value=0.999))
    other = replace(clear, conditions=folds, rows=(top, *clear.rows[1:]))
    said = r" Higher: U-Net \(ema\), 0\.999.* \(recipe [^,]*, 1 seed.*, suite variants\)\."
    assert re.fullmatch(said, higher(clear, None, [clear, other]))
    across = replace(other, conditions=replace(folds, train_set="shenzhen"))
    assert higher(clear, None, [clear, across]) == "", "other training images"


def test_the_founding_three_are_answered_for_by_the_source_protocols_recipe(clear):
    text = founding([clear])
    assert text.startswith("U-Net\u00a00.9") or text.startswith("U-Net 0.9")
    assert "with 3 seeds each at " in text
    assert founding(leaderboards(montgomery(THREE[:2]))) is None


def test_the_page_is_short_and_leads_to_every_suite(tmp_path):
    save(tmp_path, [*montgomery(suite="a"), *grid(THREE, n=40, suite="b")])
    report.write(Results(tmp_path), figures=False)
    text = (tmp_path / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert "[a](a.md)" in text
    assert "[b](b.md)" in text
    assert "Shown first by rule: newest protocol" in flat(text)


def test_brackets_are_explained_where_a_row_is_partial(tmp_path):
    said = "In brackets: images so far, of all."
    assert said not in _written(tmp_path / "whole", montgomery())
    assert said in _written(tmp_path / "part", [r for r in montgomery() if r["cell"]["fold"] < 4])


def _written(folder, records):
    save(folder, records)
    report.write(Results(folder), figures=False)
    return flat((folder / "README.md").read_text())


def test_committed_pages_are_read_in_a_few_screens():
    from test_report import RESULTS

    lines = {path.name: len(path.read_text().splitlines()) for path in RESULTS.glob("*.md")}
    assert lines["README.md"] <= 120
    assert {name: n for name, n in lines.items() if n > 200} == {}
    assert max(path.stat().st_size for path in (RESULTS / "figures").iterdir()) < 1_000_000


def test_a_table_of_trainings_cut_short_says_what_it_ranks():
    def trained(rise):
        """As many epochs as the record has, at a validation Dice that rises by so much in each."""
        records = grid(("unet", "resunet"), seeds=(0, 1, 2), data="montgomery")
        for r in records:
            steps = range(len(r["history"]["loss"]))
            r["history"]["val_dice"] = [0.9 + rise.get(r["cell"]["architecture"], 0) * i for i in steps]
        return leaderboards([sealed(r) for r in records])[0]

    assert convergence(trained({})) is None
    leaderboard = trained({"unet": 0.001})
    assert convergence(leaderboard) == (
        "soft validation Dice was still rising in 15 of 30 trainings when their epochs ran out: the table ranks what at"
        " most 50 epochs reach."
    )


MADE = "make bench SUITE=montgomery-64 DATA=<folder>"


@pytest.mark.parametrize(
    ("architectures", "seeds", "backend", "command"),
    [
        (("unet", "resunet", "r2unet"), (0, 1, 2), "tensorflow", MADE),
        (("unetpp", "unet"), (0, 1, 2), "jax", f"{MADE} BACKEND=jax ARCH=unet,unetpp"),
        (("unet", "my.nets:tiny"), (0,), "tensorflow", f"{MADE} ARCH=unet,my.nets:tiny SEEDS=1"),
        (("unet", "resunet", "r2unet"), (1, 2), "tensorflow", None),  # --seeds 2 trains 0 and 1
    ],
)
def test_the_page_s_command_makes_the_rows_that_it_shows(tmp_path, architectures, seeds, backend, command):
    records = second(grid(architectures, seeds, n=50, suite="montgomery-64"))
    records = [sealed({**r, "machine": {**r["machine"], "backend": backend}}) for r in records]
    text = page(tmp_path, records, "montgomery-64")
    assert (f"- made by `{command}`" in text) if command else ("made by" not in text)


def test_networks_with_more_seeds_have_a_command_of_their_own(tmp_path):
    records = second([*grid(THREE, (0, 1, 2), n=50, suite="montgomery-64"),
                      *grid(("m2unet",), range(5), n=50, suite="montgomery-64")])  # fmt: skip
    text = flat(page(tmp_path, records, "montgomery-64"))
    assert f"- made by `{MADE}`, then `{MADE} ARCH=m2unet SEEDS=5`" in text


@pytest.mark.parametrize(
    ("suffix", "transforms", "names", "options"),
    [("+tta", 7, THREE, "--tta"), ("+post", 1, THREE, "--postprocess"), ("+seeds", 1, THREE[:1], "--arch unet")],
)
def test_ensembles_have_a_command_of_their_own(tmp_path, suffix, transforms, names, options):
    records = second(grid(THREE, (0, 1, 2), n=50, suite="montgomery-64"))
    local = [r for r in records if r["cell"]["seed"] == 0] if suffix != "+seeds" else records
    records += [r for name in names for r in ensembles(local, name, suffix, transforms=transforms)]
    text = flat(page(tmp_path, records, "montgomery-64"))
    assert f"- made by `{MADE}`, then `python -m bench ensemble montgomery-64 --data <folder> {options}`" in text


def test_records_of_an_older_protocol_were_made_once(tmp_path):
    text = page(tmp_path, grid(THREE, seeds=(0, 1, 2), n=50, suite="montgomery-64"), "montgomery-64")
    assert f"- once made by `{MADE}`" in text
