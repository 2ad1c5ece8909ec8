"""What others published stands beside our numbers and never among them."""

from __future__ import annotations

from records import grid, sealed, sections

from bench.pages import literature
from bench.suites import SUITES


def only(records):
    (section,) = sections(records)
    return section


def test_no_published_number_states_the_protocol_of_a_suite():
    # the page says so; a source that did would have to be ranked, which needs code
    for suite in SUITES.values():
        for p in literature.PUBLISHED:
            same = (p.px, p.split, p.aggregate) == (str(suite.size[0]), f"{suite.folds} folds", literature.PER_IMAGE)
            assert not same, p


def test_table_holds_the_data_at_hand_with_tags_and_no_row_of_ours():
    section = only(grid(("unet",), n=25, data="montgomery"))
    heading, table, note = literature.published(section)
    assert "by other protocols" in heading
    assert table.count("\n") - 1 == sum(p.scored_on == "montgomery" for p in literature.PUBLISHED)
    assert literature.UNCHECKED in table
    assert "| unet" not in table
    assert "none is ranked" in note.replace("\n", " ")


def test_what_was_trained_alike_comes_first():
    """Within a set, or from the very set that a cross-set suite is trained on."""
    sections = {
        "shenzhen": [sealed({**r, "cell": {**r["cell"], "trained_on": "montgomery", "folds": 1}, "inputs": {}})
                     for r in grid(("unet",), n=25, data="shenzhen", folds=1)],
        "montgomery": grid(("unet",), n=25, data="montgomery"),
    }  # fmt: skip
    splits = {
        name: [line.split("|")[4].strip() for line in literature.published(only(records))[1].splitlines()[2:]]
        for name, records in sections.items()
    }
    assert splits["shenzhen"][:3] == ["trained on Montgomery"] * 3
    assert "trained on Montgomery" not in splits["shenzhen"][3:]
    cross = [split.startswith("trained on") for split in splits["montgomery"]]
    assert cross == sorted(cross)
    assert any(cross)


def test_a_set_trained_on_besides_leaves_the_folds_and_says_so():
    records = [sealed({**r, "cell": {**r["cell"], "trained_on": "montgomery+shenzhen"}, "inputs": {}})
               for r in grid(("unet",), n=25, data="montgomery")]  # fmt: skip
    section = only(records)
    assert section.setting.split == "5 folds grouped by patient, each trained on all of shenzhen besides"
    assert not section.setting.across
    found = literature.published(section)
    first = found[1].splitlines()[2].split("|")[4].strip()
    assert not first.startswith("trained on"), "published within the set come first, as without the other set"


def test_a_phantom_has_neither_papers_nor_physicians():
    section = only(grid(("unet",), n=25))
    assert literature.published(section) == []
    assert literature.people(section) is None


def test_people_are_a_line_with_its_size_and_its_doubt():
    for level in (0.9, 0.995):
        text = literature.people(only(grid(("unet",), n=60, data="montgomery", level=level)))
        assert "0.973 [0.970, 0.977] (n = 305" in text
        assert "same draft and left it alone in 41" in text
        assert "no network here is above or below them" in text, "whatever its Dice: they read other images"
