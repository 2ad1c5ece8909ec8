"""The index's table of every network in every suite."""

from functools import partial

from bench.pages.matrix import matrix
from records import grid as made_up
from records import sealed, sections

from bench.pages.report import index_page

grid = partial(made_up, data="montgomery")


def cells(text):
    """{(row, column): value} of the only Markdown table in ``text``."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    head, rows = lines[0], lines[2:]
    return {(row[0], column): value for row in rows for column, value in zip(head[1:], row[1:], strict=True)}


def test_a_row_an_architecture_in_the_order_of_the_registry_a_column_a_section():
    records = [*grid(("r2unet", "unet"), suite="a", n=25), *grid(("resunet", "unet"), suite="b", n=25)]
    heading, table, note = matrix(sections(records))
    assert heading == "## Every network"
    found = cells(table)
    assert list(dict.fromkeys(row for row, _ in found)) == ["unet", "resunet", "r2unet"]
    assert found["resunet", "a, cpu"] == found["r2unet", "b, cpu"] == "-"
    top = next(r for r in sections(records)[0].rows if r.rank == 1)
    assert found[top.name, "a, cpu"] == f"**{top.dice.value:.4f}**"
    assert "read downwards" in note.replace("\n", " ")


def test_what_is_unfinished_is_in_brackets_and_never_bold():
    part = [r for r in grid(("resunet",), n=25, level=0.99) if r["cell"]["fold"] != 1]
    found = cells(matrix(sections([*grid(("unet", "r2unet"), n=25), *part]))[1])
    assert found["resunet", "fake, cpu"].startswith("(0.9")
    assert found["unet", "fake, cpu"].startswith("**")


def test_an_ensemble_that_leads_has_no_row_and_leaves_the_best_network_bold():
    ensemble = [
        sealed({**r, "cell": {**r["cell"], "architecture": "unet+views"}, "inputs": {"views": ["a", "b"]}})
        for r in grid(("unet",), n=40, level=0.995)
    ]
    section = sections([*grid(("unet", "r2unet"), n=40), *ensemble])
    assert section[0].rows[0].views == 2
    found = cells(matrix(section)[1])
    assert found.keys() == {("unet", "fake, cpu"), ("r2unet", "fake, cpu")}
    assert found["unet", "fake, cpu"].startswith("**")


def test_a_network_alone_is_compared_with_nothing():
    found = sections(grid(("unet",), n=25))
    assert matrix(found) == []
    assert "Every network" not in index_page({"fake": found}, [])
    two = sections(grid(("unet", "r2unet"), n=25))
    assert "## Every network" in index_page({"fake": two}, [])


def test_a_variant_of_the_recipe_does_not_stand_for_the_network():
    def under(recipe, records):
        return [sealed({**r, "cell": {**r["cell"], "recipe": recipe}}) for r in records]

    own = under("strong", grid(("unet", "r2unet"), n=40))
    better = under("strong:longer", grid(("unet",), n=40, level=0.995))
    (section,) = sections([*own, *better])
    assert section.rows[0].variant == "longer"
    mean = next(r.dice.value for r in section.rows if r.name == "unet")
    assert f"{mean:.4f}" in cells(matrix([section])[1])["unet", "fake, cpu"]


def test_a_suite_of_variants_is_left_out_as_its_networks_stand_elsewhere():
    both = sections([*grid(("unet", "r2unet"), n=25), *grid(("unet", "r2unet"), n=25, suite="ablation-128")])
    assert {column for _, column in cells(matrix(both)[1])} == {"fake, cpu"}


def test_a_phantom_is_left_out_and_machines_of_one_name_are_told_apart():
    assert matrix(sections(made_up(("unet", "r2unet"), n=25))) == []
    other = [
        sealed({**r, "machine": {**r["machine"], "backend": "jax"}}) for r in grid(("unet", "r2unet"), n=25, level=0.9)
    ]
    found = cells(matrix(sections([*grid(("unet", "r2unet"), n=25), *other]))[1])
    assert {column for _, column in found} == {"fake, tensorflow-cpu-float32", "fake, jax-cpu-float32"}
