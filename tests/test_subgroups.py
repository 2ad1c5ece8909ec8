"""Groups of patients: the report says their means, and never who is in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from records import agreeing, counted, ensembles, grid, only, save, sealed

from bench.__main__ import main
from bench.pages import report
from bench.records.readable import readable
from bench.records.results import Results
from bench.statistics import scores, subgroups
from lungseg import Case, csv_file
from lungseg.errors import DataError


def named(n=60):
    """Records of a set whose names tell the disease; every third image is of a patient with tuberculosis."""
    records = grid(("unet", "resunet"), folds=2, n=n, data="montgomery")
    for r in records:
        for c in r["cases"]:
            number = int(c["id"][-4:])
            c["id"] = c["patient"] = f"{c['id']}_{int(number % 3 == 0)}"
    return [agreeing(r) for r in records]


def cases(records):
    images = sorted({c["id"] for r in records for c in r["cases"]})
    return [
        Case(i, i, Path(i), (Path(i),), None, {"sex": "F" if k % 2 else "M", "age": 20 + k % 41})
        for k, i in enumerate(images)
    ]


def test_groups_by_disease_share_out_all_images():
    leaderboard = only(named())
    groups = subgroups.of_names(leaderboard)["tuberculosis"]
    assert {name: result["n"] for name, result in groups.items()} == {"normal": 40, "tuberculosis": 20}
    for row in leaderboard.rows:
        weighed = sum(result["n"] * result["dice"][row.name][0] for result in groups.values()) / 60
        assert weighed == pytest.approx(row.dice.value, abs=1e-6)
        assert all(low <= value <= high for f in groups.values() for value, low, high in [f["dice"][row.name]])


def test_names_of_other_sets_say_nothing_of_disease():
    assert subgroups.of_names(only(grid(("unet",), n=30))) == {}


def worse(case):
    """Take 0.2 from the Dice of a case by pixels found outside."""
    tp, fn = case["tp"], case["fn"]
    counted(case, tp, round(2 * tp / (case["dice"] - 0.2)) - 2 * tp - fn, fn)


def test_a_planted_gap_between_groups_is_seen():
    records = named()
    for r in records:
        for c in r["cases"]:
            if c["id"].endswith("_1"):
                worse(c)
    groups = subgroups.of_names(only(records))["tuberculosis"]
    assert groups["tuberculosis"]["dice"]["unet"][2] < groups["normal"]["dice"]["unet"][1]


def test_resamples_without_anybody_of_a_group_are_left_out_of_its_gap():
    """Every third one lacks a group of one patient: what they say of it is not a number."""
    leaderboard = only(grid(("unet",), folds=2, n=60))
    (row,) = leaderboard.rows
    few = row.images[:12]
    alone = replace(row, patients=tuple("one" if image in few else who for image, who in
                                        zip(row.images, row.patients, strict=True)))  # fmt: skip
    groups = {image: "male" if image in few else "female" for image in row.images}
    result = subgroups.aggregates(replace(leaderboard, rows=(alone,)), groups)
    value, low, high = result["male"]["gap"]["unet"]
    assert result["male"]["n"] == 12
    assert low < value < high


def test_a_gap_is_the_difference_of_the_groups_with_an_interval_that_finds_a_planted_one():
    records = named()
    groups = subgroups.of_names(only(records))["tuberculosis"]
    assert groups["normal"]["gap"] == {}, "the first group is what the others are compared with"
    for name, (value, low, high) in groups["tuberculosis"]["gap"].items():
        means = [groups[group]["dice"][name][0] for group in ("normal", "tuberculosis")]
        assert value == pytest.approx(means[0] - means[1], abs=2e-6)
        assert low < value < high
    for r in records:
        for c in r["cases"]:
            if c["id"].endswith("_1"):
                worse(c)
    shifted = subgroups.of_names(only(records))["tuberculosis"]["tuberculosis"]["gap"]
    for name, (value, low, high) in groups["tuberculosis"]["gap"].items():
        assert shifted[name] == pytest.approx([value + 0.2, low + 0.2, high + 0.2], abs=0.002)


def test_a_gap_of_one_group_in_two_is_as_sure_as_theory_says():
    """Of two groups of independent patients the standard error is the root of the sum of both variances."""
    leaderboard = only(named(n=240))
    row = leaderboard.rows[0]
    value, low, high = subgroups.of_names(leaderboard)["tuberculosis"]["tuberculosis"]["gap"][row.name]
    dice, ill = np.array(row.image_dice), np.array([image.endswith("_1") for image in row.images])
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in (dice[ill], dice[~ill])))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.06)
    assert value == pytest.approx(dice[~ill].mean() - dice[ill].mean(), abs=1e-6)


def test_who_the_patients_are_is_part_of_what_aggregates_are_of(tmp_path, monkeypatch):
    records = named()
    subgroups.write(Results(tmp_path), "fake", [only(records)], cases(records))
    assert subgroups.read(Results(tmp_path), only(records)) is not None
    images = [c["id"] for r in records for c in r["cases"]]
    monkeypatch.setitem(scores.REGROUPED, "montgomery", {images[0]: images[1], images[1]: images[1]})
    assert subgroups.read(Results(tmp_path), only(records)) is None, (
        "intervals over patients that are known better since"
    )


def test_a_table_shows_gaps_between_groups(tmp_path):
    save(tmp_path, named())
    report.write(Results(tmp_path), figures=False)
    _, rows = csv_file.read(tmp_path / "tables" / "fake" / "groups.csv")
    gaps = {line["group"] for line in rows if line["gap_to_first"]}
    assert gaps == {"tuberculosis"}, "each group minus the first"


def test_a_page_shows_the_first_rows_that_have_scores_by_group_where_ensembles_lead(tmp_path):
    records = named()
    records += [r for name in ("unet", "resunet") for r in ensembles(records, name, "+tta", transforms=7, gain=0.4)]
    assert [row.name for row in only(records).rows[:2]] == ["unet+tta", "resunet+tta"]
    save(tmp_path, records)
    report.write(Results(tmp_path), figures=False)
    lines = (tmp_path / "fake.md").read_text().splitlines()
    (head,) = [line for line in lines if line.startswith("| By ")]
    assert [cell.strip() for cell in head.split("|")[4:-1]] == ["U-Net", "ResUNet"]
    assert all(line.count("[0.") == 2 for line in lines if line.startswith("| tuberculosis "))


@pytest.mark.parametrize("cut", [1, 2])
def test_an_unreadable_record_behind_an_ensemble_hides_no_page(cut, tmp_path):
    """The ensemble that leads has images that its network lacks, or is the only row that is left."""
    records = [r for r in named() if r["cell"]["architecture"] == "unet"]
    save(tmp_path, records + ensembles(records, "unet", "+tta", transforms=7, gain=0.4))
    for path in sorted(tmp_path.glob("runs/*/*/unet.*.json"))[:cut]:
        path.write_text("{")
    leaderboard = only(readable(Results(tmp_path)).records)
    groups = subgroups.of_names(leaderboard)["tuberculosis"]
    assert [result["n"] for result in groups.values()] == ([20, 10] if cut == 1 else [])
    subgroups.write(Results(tmp_path), "fake", [leaderboard], cases(records))
    report.write(Results(tmp_path), figures=False)
    assert "| U-Net + TTA" in (tmp_path / "fake.md").read_text()


def test_a_stored_file_holds_groups_and_no_patient(tmp_path):
    records = named()
    leaderboard = only(records)
    text = subgroups.write(Results(tmp_path), "fake", [leaderboard], cases(records)).read_text()
    assert not [c["id"] for r in records for c in r["cases"] if c["id"] in text]
    (stored,) = json.loads(text).values()
    assert list(stored) == ["sex", "age"]
    assert list(stored["age"]) == ["under 40", "40 to 59", "60 and over"]
    assert sum(result["n"] for result in stored["sex"].values()) == 60


def test_a_group_of_few_is_counted_as_few_and_has_no_mean(tmp_path):
    records = named()
    subgroups.write(Results(tmp_path), "fake", [only(records)], cases(records))
    oldest = subgroups.read(Results(tmp_path), only(records))["age"]["60 and over"]
    assert oldest == {"n": None, "dice": {}, "gap": {}}
    save(tmp_path, records)
    report.write(Results(tmp_path), figures=False)
    assert "| age          | 60 and over  | under 10 |" in (tmp_path / "fake.md").read_text()


def test_a_set_that_tells_neither_sex_nor_age_is_not_asked_again(tmp_path):
    records = named()
    silent = [Case(c.id, c.patient, c.image, c.masks, None, {}) for c in cases(records)]
    subgroups.write(Results(tmp_path), "fake", [only(records)], silent)
    save(tmp_path, records)
    report.write(Results(tmp_path), figures=False)
    page = (tmp_path / "fake.md").read_text().replace("\n", " ")
    assert "were not aggregated" not in page


def test_aggregates_of_other_records_are_not_shown(tmp_path):
    records = named()
    subgroups.write(Results(tmp_path), "fake", [only(records)], cases(records))
    save(tmp_path, records)
    report.write(Results(tmp_path), figures=False)
    assert "| sex " in (tmp_path / "fake.md").read_text()
    records[0]["timing"]["total_seconds"] = 1.0
    save(tmp_path, [sealed(r) for r in records])
    report.write(Results(tmp_path), figures=False)
    page = (tmp_path / "fake.md").read_text()
    assert "| sex " not in page
    assert "python -m bench subgroups fake" in page.replace("\n", " ")


def test_aggregates_of_rows_that_had_other_names_are_not_shown(tmp_path):
    records = named()
    file = subgroups.write(Results(tmp_path), "fake", [only(records)], cases(records))
    assert subgroups.read(Results(tmp_path), only(records)) is not None
    file.write_text(file.read_text().replace('"resunet"', '"resunet (by its parts)"'))
    assert subgroups.read(Results(tmp_path), only(records)) is None


def test_command_writes_aggregates_from_a_folder_and_needs_records(tmp_path, capsys):
    records = named()
    for r in records:
        r["cell"]["suite"] = "own"
    records = [sealed(r) for r in records]
    data, results = tmp_path / "data", tmp_path / "results"
    lines = ["id,sex,age"]
    for k, case in enumerate(cases(records)):
        for folder in ("img", "mask"):
            (data / folder).mkdir(parents=True, exist_ok=True)
            (data / folder / f"{case.id}.png").touch()  # the command looks at names and readings only
        lines.append(f"{case.id},{'FM'[k % 2]},{30 + k % 20}")
    (data / "metadata.csv").write_text("\n".join(lines))
    command = ["subgroups", "own", "--data", str(data), "--results", str(results)]
    assert main(command) == 2
    assert "no scored record" in capsys.readouterr().err
    save(results, records)
    assert main(command) == 0
    stored = subgroups.read(Results(results), only(records))
    assert {group: result["n"] for group, result in stored["age"].items()} == {"under 40": 30, "40 to 59": 30}
    before = Results(results).subgroups("own").read_bytes()
    for folder in ("img", "mask"):
        for path in sorted((data / folder).iterdir())[8:]:
            path.unlink()
    (data / "metadata.csv").write_text("\n".join(lines[:9]))
    capsys.readouterr()
    assert main(command) == 3  # a part of the set: what was aggregated from the whole of it would be replaced
    assert "data: lacks 52 of the 60 images that the records score" in capsys.readouterr().err
    assert Results(results).subgroups("own").read_bytes() == before


def own_folder(root, prefix, n):
    """A folder of the user's own and its records, as of the suite ``own``."""
    records = grid(("unet", "resunet"), folds=2, n=n, suite="own", data=f"own-{root.name}")
    lines = ["id,sex,age"]
    for record in records:
        for one in record["cases"]:
            one["id"] = one["patient"] = f"{prefix}{one['id']}"
    records = [sealed(agreeing(record)) for record in records]
    for k, one in enumerate(cases(records)):
        for folder in ("img", "mask"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / f"{one.id}.png").touch()
        lines.append(f"{one.id},{'FM'[k % 2]},{30 + k % 20}")
    (root / "metadata.csv").write_text("\n".join(lines))
    return records


@pytest.mark.parametrize("prefixes", [("a", "b"), ("", "")])
def test_records_of_another_folder_neither_refuse_nor_lose_a_folders_aggregates(prefixes, tmp_path):
    """Also where both call their images alike."""
    results = tmp_path / "results"
    folders = [tmp_path / "first", tmp_path / "second"]
    both = [own_folder(root, prefix, n) for root, prefix, n in zip(folders, prefixes, (60, 40), strict=True)]
    save(results, [record for records in both for record in records])

    def aggregated():
        stored = [subgroups.read(Results(results), only(records)) for records in both]
        return [one and sum(group["n"] for group in one["age"].values()) for one in stored]

    for root, then in zip(folders, ([60, None], [60, 40]), strict=True):
        assert main(["subgroups", "own", "--data", str(root), "--results", str(results)]) == 0
        assert aggregated() == then


def test_broken_file_is_named(tmp_path):
    leaderboard = only(grid(("unet",), folds=2, n=24))
    Results(tmp_path).subgroups("fake").parent.mkdir()
    Results(tmp_path).subgroups("fake").write_text("{")
    with pytest.raises(DataError, match=r"fake\.json: not readable"):
        subgroups.read(Results(tmp_path), leaderboard)


def test_unknown_sex_or_age_is_in_no_group():
    unknown = Case("a", "a", Path("a"), (Path("a"),))
    assert subgroups.sex_and_age([unknown]) == {"sex": {}, "age": {}}
    groups = {years: subgroups._of_age(years) for years in (0, 39, 40, 59, 60, 101)}
    assert list(groups.values()) == list(np.repeat(["under 40", "40 to 59", "60 and over"], 2))
