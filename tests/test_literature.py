"""What others published stands beside our numbers and never among them."""

from __future__ import annotations

from pathlib import Path

from records import grid, only, sealed

from bench.pages import literature
from bench.records.results import Results
from bench.statistics import stats
from bench.statistics.scores import FIXED_SPLIT
from bench.suites import SUITES

ROOT = Path(__file__).resolve().parent.parent


def test_no_published_number_states_the_protocol_of_a_suite():
    # the page says so; a source that did would have to be ranked, which needs code
    for suite in SUITES.values():
        for p in literature.PUBLISHED:
            same = (p.px, p.split, p.aggregate) == (str(suite.size[0]), f"{suite.folds} folds", literature.PER_IMAGE)
            assert not same, p


def test_the_table_holds_every_source_with_its_tags_and_no_row_of_ours():
    note, table = literature.published()
    assert table.count("\n") - 1 == len(literature.PUBLISHED)
    assert literature.UNCHECKED in table
    assert "| unet" not in table
    assert "none is ranked" in note.replace("\n", " ")


def test_a_set_trained_on_besides_leaves_the_folds_and_says_so():
    records = [sealed({**r, "cell": {**r["cell"], "train_set": "montgomery+shenzhen"}, "inputs": {}})
               for r in grid(("unet",), n=25, data="montgomery")]  # fmt: skip
    leaderboard = only(records)
    assert leaderboard.conditions.split == "5 folds grouped by patient, all of shenzhen added to each training fold"
    assert not leaderboard.conditions.cross_dataset


def test_two_observers_are_a_line_with_its_size_and_its_warning():
    text = literature.people_agree()
    assert "0.973 [0.970, 0.977] (n = 305" in text
    assert "same draft and left it unchanged in 41 images, which raises their agreement" in text
    assert "does not show that a network here is better or worse than the physicians" in text, (
        "whatever its Dice: they read other images"
    )


def test_networks_shown_first_stand_beside_the_published_split():
    records = [r for r in Results(ROOT / "results").all("montgomery-128") if r.protocol == 2]
    _, table = literature.ours(stats.leaderboards(records))
    (line,) = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    counts = [c for r in records for c in r.cases if r.cell.architecture == "unet" and c.id in FIXED_SPLIT]
    tp, wrong = sum(c.tp for c in counts), sum(c.fp + c.fn for c in counts)
    assert line[:2] == ["reference, 128 px", f"{2 * tp / (2 * tp + wrong):.3f} (3 seeds)"]
    assert line[2].endswith("(5 seeds)")
    assert literature.ours([]) == [], "nothing is shown first"
