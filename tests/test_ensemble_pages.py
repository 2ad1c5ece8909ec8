"""How pages tell entries from architectures, and what they cost."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from read_page import flat, page
from records import cell_name, ensembles, grid, leaderboards, parsed, save, sealed, terminal, unlike, validate

from bench import gate, suites
from bench.pages import answers, report
from bench.records import costs, store
from bench.records.results import Results
from lungseg import csv_file

SUITE = replace(suites.suite("quick"), architectures=("unet", "resunet"), seeds=(0, 1, 2))


def table(seeds=(0, 1, 2), **more):
    """Two architectures, the first with the mean of its seeds, which leads."""
    records = grid(("unet", "resunet"), seeds, **more)
    records = [sealed({**r, "weights_sha256": f"{i:064}"}) for i, r in enumerate(records)]
    return [*records, *ensembles(records, "unet", gain=0.3)]


def row(blocks, name):
    """The cells of a table's line."""
    line = next(line for block in blocks for line in block.splitlines() if line.startswith(("| " + name, name)))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_leader_is_not_called_an_architecture_and_the_best_network_is_named():
    (leaderboard,) = leaderboards(table())
    text = answers.best(leaderboard)
    assert text.startswith("unet+seeds has the highest mean Dice")
    single = next(r for r in leaderboard.rows if r.name == "unet")
    assert "unet+seeds is the mean of 3 trainings. Of single networks unet has the highest, " in text
    assert f"{single.dice.value:.3f} [" in text.rpartition("single networks")[2]
    alone = answers.best(leaderboards(ensembles(grid(("unet",), (0, 1)), "unet"))[0])
    assert alone.startswith("Only unet+seeds can be ranked")
    assert alone.endswith("unet+seeds is the mean of 2 trainings.")
    assert "mean of" not in answers.best(leaderboards(grid(("unet", "resunet")))[0])


def test_behind_an_ensemble_the_best_network_is_compared_with_the_next():
    (leaderboard,) = leaderboards(table())
    pair = leaderboard.pair("unet", "resunet")
    text = answers.significance(leaderboard)
    between = f"Between single networks: unet to resunet {pair.difference.value:+.4f} ["
    assert text.startswith("Between these weights, yes: to the next, unet, it is +")
    assert between in text
    assert text.index(between) < text.index("The intervals cover")
    assert "single networks" not in answers.significance(leaderboards(grid(("unet", "resunet")))[0])


def test_an_ensemble_counts_as_one_seed_and_costs_all_of_its_members():
    (leaderboard,) = leaderboards(table())
    rows = {r.name: r for r in leaderboard.rows}
    assert (rows["unet+seeds"].seeds, rows["unet+seeds"].trainings, rows["unet"].trainings) == ((0,), 3, 1)
    assert rows["unet+seeds"].train_seconds == 3 * rows["unet"].train_seconds
    assert "cover patients and 3 seeds. A mean of several trainings is one set of weights" in answers.about(leaderboard)
    assert answers.unequal(leaderboard) is None
    spent = sum(r["timing"]["total_seconds"] for r in grid(("unet", "resunet"), (0, 1, 2)))
    assert f"add up to {spent / 60:.1f} min" in answers.cost(leaderboard)
    assert "With one seed" in answers.about(leaderboards(table((0,)))[0])


def test_a_page_says_once_what_the_rows_are_and_shows_no_epochs_for_them(tmp_path):
    records = table()
    records += ensembles(records, "resunet")
    records += ensembles(records, "unet", "+seeds+tta", transforms=7, gain=0.4)
    save(tmp_path, records)
    written = report.write(Results(tmp_path))
    assert any(path.name.endswith("curves.svg") for path in written)
    page = (tmp_path / "fake.md").read_text(encoding="utf-8")
    flat = " ".join(page.split())
    assert flat.count("Made of trained networks: ") == 1
    assert re.search(r" \+ seeds is the mean of 3 trainings[;.]", flat)
    assert " + seeds + TTA is the mean of 3 trainings and 7 TTA transforms of each image" in flat
    assert " Prediction with TTA costs 7 times as much." in flat
    costs = next(block for block in page.split("\n\n") if block.startswith("| Network") and "| Params" in block)
    assert "+ seeds" not in costs
    _, folds = csv_file.read(tmp_path / "tables" / "fake" / "folds.csv")
    assert {line["epochs"] for line in folds if line["name"].startswith("unet+")} == {""}
    assert not any("+" in result.name for result, _, _ in answers.rising(leaderboards(records)[0]))
    hardest = page.split("<details><summary>Hardest images</summary>")[1].splitlines()[2]
    assert "+" not in hardest
    assert "unet+seeds" in terminal(records)


def test_the_end_of_a_row_is_not_sought_in_its_variant(tmp_path):
    records = grid(("unetpp", "resunet"), folds=1, n=40)
    records += ensembles(records, "unetpp", "+tta", transforms=7)
    long = [sealed({**r, "cell": {**r["cell"], "recipe": "strong:long+ema"}}) for r in records]
    text = flat(page(tmp_path, long))
    assert "Made of trained networks: + TTA is the mean of 7 TTA transforms of each image." in text


def test_test_time_augmentation_costs_its_prediction_several_times(tmp_path):
    records = grid(("unet", "resunet"), folds=1, n=40)
    augmented = ensembles(records, "unet", "+tta", transforms=7)
    text = flat(page(tmp_path / "alone", [*records, *augmented]))
    assert " + TTA is the mean of 7 TTA transforms of each image. Prediction with TTA costs 7 times as much." in text
    assert "Training: time of one training. Images/s" in text


def test_only_trainings_count_as_a_suites_cost(tmp_path):
    records = table()
    assert costs.renew(Results(tmp_path), replace(SUITE, name="fake"), parsed(records))
    assert costs.read(Results(tmp_path))[0]["cells"] == str(len([r for r in records if r["history"]["loss"]]))


def experiment(records):
    """The same with inputs, sealed and with fitting fingerprints."""
    out = []
    for r in records:
        local = {"recipe": {"epochs": 50}, "graph": r["cell"]["architecture"], "fold": r["cell"]["fold"], **r["inputs"]}
        out.append(sealed({**r, "inputs": local, "fingerprint": store.fingerprint(local)}))
    return out


@pytest.mark.fault("F76")
def test_entries_are_of_the_members_beside_them_or_not_published():
    records = experiment(table(n=24))
    assert unlike(records) == validate(records) == []
    retrained = [sealed({**records[0], "weights_sha256": "f" * 64}), *records[1:]]
    (problem,) = unlike(retrained)
    assert problem.startswith("unet+seeds.phantom.f0.s0: was made from an earlier training of unet.phantom.f0.s0 ")
    assert any(problem in result for result in validate(retrained))
    assert "`python -m bench ensemble fake`" in problem
    of_variant = [sealed({**r, "cell": {**r["cell"], "recipe": "strong:elastic"}}) if "+" in r["cell"]["architecture"]
                  else r for r in retrained]  # fmt: skip
    (problem,) = unlike(of_variant)
    assert "`python -m bench ensemble fake --variant elastic`" in problem
    without = [r for r in records if cell_name(r) != "unet.phantom.f2.s1"]
    orphan = "unet+seeds.phantom.f2.s0: its member unet.phantom.f2.s1 is missing"
    assert any(problem.startswith(orphan) for problem in validate(without))
    elsewhere = [r for r in experiment(table(n=24, device_kind="gpu")) if cell_name(r) == "unet.phantom.f2.s1"]
    assert any(problem.startswith(orphan) for problem in validate([*without, *elsewhere]))
    fewer = {**records[-1]["inputs"], "members": records[-1]["inputs"]["members"][:2]}
    other = sealed({**records[-1], "inputs": fewer, "fingerprint": store.fingerprint(fewer)})
    (problem,) = unlike([*records[:-1], other])
    assert problem.startswith("unet+seeds.phantom.f4.s0 and ")
    assert problem.endswith(" differ in number of members or TTA transforms of unet+seeds")


def test_comparisons_of_architectures_leave_entries_out(tmp_path):
    save(tmp_path, experiment(table()))
    (summary,) = gate.summarise_results(Results(tmp_path), replace(SUITE, name="fake")).values()
    assert set(summary["architectures"]) == {"unet", "resunet"}
