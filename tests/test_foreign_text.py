"""Whatever text a record holds, a page keeps its shape: no link, tag, heading or table row comes from a name.

Read with markdown-it, which Keras brings along (through rich) and the pages know nothing of.
"""

from __future__ import annotations

import csv
import io
import json
import re
import string
from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from records import ensembles, grid, leaderboards, parsed, record, save, sealed

from bench import markdown
from bench.__main__ import main
from bench.pages import report
from bench.pages.leaderboard_page import leaderboard_page
from bench.records import parse
from lungseg import csv_file

SMALL = {"folds": 2, "n": 24, "epochs": 6, "size": 16}
READER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
HOSTILE = [
    "[x](javascript:alert(1))", "x\n# heading", "x\n\n# heading", "<script>alert(1)</script>", "![i](http://h/i.png)",
    "a|b", "a\\|b", "\\", "`", "``", "`code", "***", "__b__", "~~s~~", "# h", "a # h", "- item", "+ item", "1. item",
    "1) item", "> quote", "===", "---", ":-:", "~~~", "```", "[a]: http://x", "&lt;b&gt;", "&#60;b>", "<http://x>",
    "https://x.org/a", "www.x.org", "WWW.x.org", "a@b.org", "mailto:a@b.org", "ftp://x/y", "$\\href{javascript:1}{x}$",
    "<div x", "<!-- x", "<?php x", "<script x", "<![CDATA[x",
    "\x1b[31m", "\u202eabc", "=cmd|'/c calc'!A1", "@SUM(A1)", "", " ", "\u2028# h", "a\r# h", "x" * 500,
]  # fmt: skip
WORDS = st.sampled_from(HOSTILE)
SENTENCES = st.lists(st.one_of(WORDS, st.text(max_size=5)), max_size=8).map(" ".join)
TEXTS = st.one_of(WORDS, st.text(max_size=40), SENTENCES)

# every text of a record that a page may show, by its path; `*` is each case
FIELDS = [
    ("cell", "suite"), ("cell", "architecture"), ("cell", "recipe"), ("cell", "test_set"), ("cell", "train_set"),
    ("machine", "backend"), ("machine", "device_kind"), ("machine", "precision"), ("machine", "cpu"),
    ("machine", "device"), ("machine", "os"), ("machine", "python"), ("machine", "versions", "numpy"),
    ("source", "commit"), ("source", "sha256"), ("reused_from",), ("weights_sha256",), ("finished",),
    ("warnings", 0), ("inputs", "graph"), ("inputs", "recipe", "name"), ("cases", "*", "id"), ("cases", "*", "patient"),
    ("error", "type"), ("error", "message"), ("status",), ("record_sha256",),
]  # fmt: skip


def with_texts(records, texts):
    """Copies of the records that hold a text in each of these fields (path -> text).

    Names of architectures and images stay apart by what they were; a colon would make a recipe a variant of another.
    """
    result = []
    for r in deepcopy(records):
        for path, text in texts.items():
            if path[0] == "cases":
                for case in r["cases"]:
                    case[path[2]] = f"{text}{case[path[2]]}"
            elif path[-1] in ("architecture", "recipe"):
                r["cell"][path[-1]] = f"{text.replace(':', ';')}{r['cell'][path[-1]]}"
            elif path != ("status",) or r["status"] != "ok":
                at = r
                for part in path[:-1]:
                    at = at.get(part) or {}
                if isinstance(at, list) or path[-1] in at or path == ("reused_from",):
                    at[path[-1]] = text
        result.append(r)
    return result


def some():
    """Records of every kind, with every part that a page tells of."""
    records = grid(("unet", "resunet"), seeds=(0, 1), **SMALL)
    for r in records:
        r |= {"warnings": ["poor"], "reused_from": "other", "inputs": {"graph": "g", "recipe": {"name": "strong"}}}
    records[0]["inputs"]["graph"] = "another"
    records += [{**deepcopy(r), "cell": {**r["cell"], "recipe": "reference:no-geometric"}} for r in records]
    records += ensembles(records[:4], "unet")
    failed = [record("r2unet", fold, status="crashed", message="boom", **SMALL) for fold in (0, 1)]
    return json.loads(json.dumps([sealed(r) for r in [*records, *failed]]))


RECORDS = some()


def shape(text):
    """What is left of a page without its words: blocks, links with their targets, rows, tags; sorted, as names are."""
    result = []
    for token in READER.parse(text):
        if token.type == "inline":
            inline = [child for child in token.children if child.type not in ("text", "softbreak", "text_special")]
            result += [f"{child.type} {target(child.attrs.get('href'))}" for child in inline]
        else:
            result.append(f"{token.type} {token.tag} {token.content if 'html' in token.type else ''}")
    return sorted(result)


def target(href):
    """A page beside this one is as good as another; what leads elsewhere is told."""
    return "a file" if href and re.fullmatch(r"[\w.-]+(/[\w.-]+){0,2}", href, re.ASCII) else href


@cache
def can_hold(path, text):
    """Whether parsing lets the text through there: names of files and moments are not any text."""
    try:
        parsed(with_texts(RECORDS, {path: text}))
    except parse.Malformed:
        return False
    return True


def words(texts):
    """For each text a word as long, the same for the same text: columns are dropped for long names, and names that are
    equal share a section, whatever they spell."""
    letters = dict(zip(dict.fromkeys(texts.values()), string.ascii_letters, strict=False))
    return {path: letters[text] * len(text) for path, text in texts.items()}


def pages(texts):
    """A suite's page and the index, of records that hold these texts."""
    records = with_texts(RECORDS, texts)
    result = leaderboards(records)
    suite, unreadable = records[0]["cell"]["suite"], {"runs/s/m/r.json": str(records[0]["reused_from"])}
    page = report.suite_page(suite, result, [], [{}] * len(result), [{}] * len(result), unreadable)
    return page, leaderboard_page({suite: result}, [], {suite: "page.md"}, unreadable=unreadable)


def test_a_plain_word_is_held_by_every_field_but_a_moment_and_a_page_of_them_has_tables_and_links():
    texts = dict.fromkeys(FIELDS, "word")
    assert [path for path in FIELDS if not can_hold(path, texts[path])] == [("finished",)]
    page, index = map(shape, pages({path: text for path, text in texts.items() if path != ("finished",)}))
    assert sum(line.startswith("tr_open") for line in page) > 10
    assert [line for line in index if line.startswith("link_open")] == ["link_open a file"] * 5


def holds(texts):
    """Of the texts that a record can hold, no page shows more than of words in the same fields."""
    texts = {path: text for path, text in texts.items() if can_hold(path, text)}
    for page, expected in zip(pages(texts), pages(words(texts)), strict=True):
        assert shape(page) == shape(expected)
        prose = re.sub(r"(?<!\\)`[^`]*`", "", page)  # nothing in code becomes a link or a formula
        prose = re.sub(r"(?<!\\)\]\([^()\s]*\)", "]", prose)  # a file's name, such as tables/www.x.org/rows.csv
        assert not re.search(r"(?i)(https?|ftp)://|(?<![a-z0-9])www\.|[a-z0-9._+-]@[a-z0-9]", prose)
        assert not re.search(r"(?<!\\)\$", prose)
        assert not set(page) & {"\x1b", "\u202e", "\u2028", "\r"}


@pytest.mark.fault("F124")
@pytest.mark.parametrize("shift", range(0, len(HOSTILE), 5))
def test_no_text_of_a_record_changes_the_shape_of_a_page(shift):
    holds({path: HOSTILE[(shift + i) % len(HOSTILE)] for i, path in enumerate(FIELDS)})


def test_a_suite_called_like_a_host_is_no_link_to_it():
    assert ("cell", "suite") in FIELDS
    holds({**dict.fromkeys(FIELDS, "word"), ("cell", "suite"): "www.x.org"})


@pytest.mark.fault("F124")
@settings(max_examples=10)
@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXTS)))
def test_no_text_whatever_changes_the_shape_of_a_page(texts):
    holds(texts)


@given(TEXTS, st.booleans(), st.integers(1, 40))
def test_a_text_is_one_paragraph_of_words_wherever_a_line_breaks(text, item, width):
    bullet = "- " if item else ""
    page = markdown.paragraph(f"{markdown.escape(text)} and {markdown.escape(text)}", bullet, width + len(bullet))
    kinds = [line.split()[0] for line in shape(page)]
    assert {kind.rpartition("_")[0] for kind in kinds} == {"paragraph", *["bullet_list", "list_item"] * item}
    assert kinds.count("paragraph_open") == 1
    assert kinds.count("list_item_open") == item


@given(TEXTS)
def test_what_is_escaped_reads_as_it_was(text):
    """But for space, control characters and the invisible one that keeps an address from being a link."""
    (block,) = [token for token in READER.parse(f"x{markdown.escape(text, 5000)}x") if token.type == "inline"]
    read = "".join(child.content for child in block.children)
    assert read.replace("\u2060", "") == f"x{markdown.plain(text, 5000)}x".replace("\u2060", "")


@given(TEXTS)
def test_a_text_in_a_table_is_one_cell(text):
    page = markdown.table(["a", "b"], [[markdown.escape(text), markdown.escape(text)]])
    kinds = [line.split()[0] for line in shape(page)]
    assert (kinds.count("td_open"), kinds.count("th_open"), kinds.count("tr_open")) == (2, 2, 2)


@pytest.mark.fault("F124", "F105")
@given(TEXTS)
def test_no_cell_of_a_table_of_pairs_runs_in_a_spreadsheet(text):
    columns = ("machine", "recipe", "first", "second")
    lines = list(csv.reader(io.StringIO(csv_file.text(columns, [dict.fromkeys(columns, text)]))))
    assert len(lines) == 2
    assert not any(cell.lstrip().startswith(("=", "@")) for cell in lines[1])
    assert all(cell.startswith("'") or not re.match(r"[+-]\s*[^0-9in]", cell) for cell in lines[1])


@pytest.mark.fault("F124")
@pytest.mark.parametrize("key", ["suite", "architecture", "recipe", "test_set", "train_set"])
@pytest.mark.parametrize("name", ["a/b", "..\\up", "n" * 300, "a\nb"])
def test_a_name_that_no_file_can_have_is_refused_by_its_key_and_hides_nothing(tmp_path, capsys, key, name):
    save(tmp_path, grid(("unet",), suite="other", **SMALL))
    for k, r in enumerate(grid(("unet",), **SMALL)):
        path = tmp_path / f"runs/fake/m/{k}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sealed({**r, "cell": {**r["cell"], key: name}})))
    assert main(["report", "--no-figures", "--results", str(tmp_path)]) == 3
    assert f"0.json: cell.{key} is " in capsys.readouterr().err
    assert "Only U-Net can be ranked" in (tmp_path / "other.md").read_text()


@pytest.mark.fault("F124")
def test_the_longest_names_that_are_taken_fit_every_file_with_figures(tmp_path):
    records = grid(("u" * 80, "v" * 80), suite="s" * 80, **SMALL)
    for r in records:
        r["cell"] |= {"test_set": "d" * 120, "train_set": "d" * 120, "recipe": "r" * 160}
        r["machine"] |= {"backend": "b" * 30, "device_kind": "k" * 80, "precision": "p" * 20}
    for k, r in enumerate(records):
        path = tmp_path / f"runs/long/m/{k}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sealed(r)))
    (tmp_path / "runs" / ("f" * 250) / "m").mkdir(parents=True)
    (tmp_path / "runs" / ("f" * 250) / "m" / "x.json").write_text("{")
    assert main(["report", "--results", str(tmp_path)]) == 3
    assert len(list((tmp_path / "figures").glob("*.svg"))) >= 4
    assert all(len(path.name) <= 255 for path in tmp_path.rglob("*"))
