"""What others published stands beside our numbers and never among them."""

from __future__ import annotations

from records import grid

from bench import literature, stats
from bench.suites import SUITES


def only(records):
    (section,) = stats.sections(records)
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


def test_a_phantom_has_neither_papers_nor_physicians():
    section = only(grid(("unet",), n=25))
    assert literature.published(section) == []
    assert literature.people(section) is None


def test_people_are_a_line_with_its_size_and_its_doubt():
    low = literature.people(only(grid(("unet",), n=60, data="montgomery", level=0.9)))
    assert "0.973 [0.970, 0.977] (n = 305" in low
    assert "same draft and left it alone in 41" in low.replace("\n", " ")
    assert "lies below theirs; the intervals do not overlap" in low
    near = literature.people(only(grid(("unet",), n=60, data="montgomery", level=0.963)))
    assert "lies below theirs; the intervals overlap" in near
    high = literature.people(only(grid(("unet",), n=60, data="montgomery", level=0.995)))
    assert "lies above theirs; the intervals do not overlap" in high
