"""Every number in the prose of README and docs/running.md is made from records, checked, or excused with a reason."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable

import pytest
from readme_findings import ROOT, Leaderboards, figure, findings, leaderboards, newest, renewed, shown

from bench.gate.limits import LIMITS, REAL
from bench.records.makespan import makespans
from bench.records.results import Results
from bench.statistics.verdicts import EQUIVALENT, MARGIN
from bench.suites import SUITES, cells
from lungseg import recipes

README = ROOT / "README.md"
RUNNING = ROOT / "docs/running.md"
MARKS = ("figure", "findings", "quick")
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?")


def both() -> str:
    """README and docs/running.md as one text."""
    return "\n\n".join(path.read_text(encoding="utf-8") for path in (README, RUNNING))


def flat(text: str) -> str:
    """Text on one line, however it was filled."""
    return " ".join(text.split())


def prose(markdown: str) -> str:
    """What a reader reads as sentences: no code, and of a link its words."""
    text = re.sub(r"```.*?```", " ", markdown, flags=re.S)
    text = re.sub(r"(?m)^ {4}.*$", " ", text)
    text = re.sub(r"`[^`]*`", " ", text)
    return flat(re.sub(r"\]\([^)]*\)", "]", text))


@pytest.fixture(scope="module")
def result() -> Leaderboards:
    return leaderboards()


# --- checked against the code or the records: each gives words that README must hold ----------------------------------


def epochs(recipe: str) -> int:
    return recipes.recipe(recipe).epochs


def small_suites(_: Leaderboards) -> str:
    (size,) = {SUITES[name].size[0] for name in SUITES if name.endswith("-128")}
    return f"networks of the {size} px suites"


def strong_epochs(_: Leaderboards) -> str:
    return f"cosine schedule, {epochs('strong')} epochs)"


def search(_: Leaderboards) -> str:
    page = flat((ROOT / "results/tuning/montgomery-128-strong.unet.f0.64px.w8.e80.md").read_text(encoding="utf-8"))
    difference = re.search(r"The difference is \+(\d\.\d{4}) \[(-?\d\.\d{4}), \+(\d\.\d{4})\]", page)
    tried = re.search(r"The highest of (\d+) scores", page)
    assert difference, "the search's page says its difference otherwise"
    assert tried, "the search's page says otherwise how many recipes were tried"
    value, low, high = difference.groups()
    return f"the best of {tried[1]} recipes gained {value} [{low}, {high}], not significant"


def smoke(_: Leaderboards) -> str:
    suite = SUITES["smoke"]
    return f"three small networks on {suite.phantoms.n} phantoms" if len(suite.architectures) == 3 else "other networks"


def smoke_margin(_: Leaderboards) -> str:
    of = LIMITS["smoke"]
    pooled = f"pooled F1 may worsen by at most {of.margin}, the validation loss by {of.loss}"
    return f"lost less than {of.margin} Dice; {pooled}"


def verdicts(_: Leaderboards) -> str:
    return f"equivalent is within {MARGIN} Dice."


def real_margin(_: Leaderboards) -> str:
    return f"with a margin of {REAL.margin}:"


def shipped(_: Leaderboards) -> str:
    """The shipped model's own card, which its hashes cover."""
    folder = ROOT / "lungseg/models/lwnet-128"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    of = {score["at"]: score for score in card["scores"] if score["set"] == "Shenzhen"}
    stored, small = ("{value:.4f} [{low:.4f}, {high:.4f}]".format_map(of[size]) for size in ("stored", "network"))
    kilobytes = round((folder / "model.onnx").stat().st_size / 1000)
    return (
        f"LW-Net ({kilobytes} KB), trained once on all {card['data']['images']} Montgomery images. On the"
        f" {of['stored']['images']} Shenzhen images, which it never saw, its mean Dice is {stored}"
        f" at the masks' stored size and {small} at {card['size'][0]} px, post-processed:"
    )


def elsewhere(_: Leaderboards) -> str:
    """The same in brief, post-processed and at the masks' stored size."""
    card = json.loads((ROOT / "lungseg/models/lwnet-128/card.json").read_text(encoding="utf-8"))
    (score,) = (score for score in card["scores"] if (score["set"], score["at"]) == ("Shenzhen", "stored"))
    return f"its post-processed masks have a mean Dice of {score['value']:.3f} ([card]"


def expected(_: Leaderboards) -> str:
    """What the same card expects of it on the images that it was trained on."""
    card = json.loads((ROOT / "lungseg/models/lwnet-128/card.json").read_text(encoding="utf-8"))
    (of,) = (score for score in card["scores"] if score["how"].startswith("expected"))
    return (
        f"For new images like Montgomery's expect what the same training reaches there out of fold at "
        f"{card['size'][0]} px, {of['value']:.4f} [{of['low']:.4f}, {of['high']:.4f}] (protocol {of['protocol']};"
    )


def fine_tuned() -> dict[tuple[str, int], dict[str, str]]:
    with (ROOT / "results/fine_tuning.csv").open(newline="") as file:
        return {(row["start"].partition(",")[0], int(row["images"])): row for row in csv.DictReader(file)}


def fine_tuning(_: Leaderboards) -> str:
    """What 10 labelled images gain, in docs/running.md."""
    rows = fine_tuned()
    shown = {key: f"{float(r['dice']):.3f} [{float(r['low']):.3f}, {float(r['high']):.3f}]" for key, r in rows.items()}
    before, tuned, plain = (shown[key] for key in (("trained model", 0), ("trained model", 10), ("random weights", 10)))
    return (
        f"on {rows['trained model', 0]['patients_tested']} Shenzhen patients the model that ships has a mean Dice of"
        f" {before}, fine-tuned on 10 other Shenzhen images {tuned}; from random weights these 10 give {plain} (one"
    )


def fine_tuning_in_brief(_: Leaderboards) -> str:
    """The same in README."""
    before, tuned = (float(fine_tuned()["trained model", n]["dice"]) for n in (0, 10))
    return f"fine-tuned on 10 Shenzhen images it reaches {tuned:.3f} on others ({before:.3f} before)."


def makespan(_: Leaderboards) -> str:
    suite = SUITES["montgomery-64"]
    every = Results(ROOT / "results").all(suite.name)
    records = [record for record in every if record.machine_key == "tensorflow-cpu-float32"]
    measured, two, eight, many, more = makespans(
        records, [cell.id for cell in cells(suite)], (2, 8, 64, 1000), 0, 10**6
    )
    assert many[2] == more[2]
    enough = many[-1].removeprefix("the longest cell; ").removesuffix(" workers do")
    return (
        f"Its {len(records)} cells, two at a time, took {measured[2]} (simulated: {two[2]}); 8 workers would take"
        f" {eight[2]}, and {enough} or more {many[2]}, the time of the longest cell."
    )


def bfloat16(result: Leaderboards) -> str:
    """That it costs no accuracy, and what it saves of the processor, on the cells that were trained in both."""
    suite = "montgomery-64"
    (leaderboard,) = (s for s in result if s.conditions.suite == suite and s.conditions.precision == "float32"
                      and s.conditions.protocol == 2)  # fmt: skip
    assert {c.pair.verdict for c in leaderboard.cross_precision} == {EQUIVALENT}
    spent: dict[str, dict[str, float]] = {}
    for record in Results(ROOT / "results").all(suite):
        spent.setdefault(record.machine.precision, {})[record.name] = record.timing.train_cpu_seconds
    saved = [
        1 - sum(half.values()) / sum(spent["float32"][name] for name in half)
        for network in {c.name for c in leaderboard.cross_precision}
        if (half := {n: s for n, s in spent["mixed_bfloat16"].items() if n.startswith(f"{network}.")})
    ]
    return (
        f"the page says what the precision changes: on [{suite}] Dice is equivalent within {MARGIN}, in"
        f" {100 * min(saved):.0f} to {100 * max(saved):.0f} % less processor time"
    )


CHECKED: tuple[Callable[[Leaderboards], str], ...] = (
    small_suites, strong_epochs, search, smoke, smoke_margin, verdicts, real_margin, shipped, elsewhere, expected,
    fine_tuning, fine_tuning_in_brief, makespan, bfloat16,
)  # fmt: skip

# --- not checked: words of README, and why no record says them --------------------------------------------------------

ALLOWED = {
    "(0, 1, 2 or 0, 128, 255) are merged": "values of masks; tests/test_depth.py",
    "depth of 16-bit files is inferred": "a kind of file",
    "successors (Keras 3,": "a name",
    "once: 3 GB; Python 3.11 with": "measured: du -sh .venv; names of versions; CI runs them",
    "Exit codes: 0 passed; 1 regression,": "exit codes; tests/test_gate.py",
    "raised an exception; 4 not judged": "exit codes; tests/test_gate.py",
    "died; 5 nothing to": "exit codes; tests/test_gate.py",
    "patients are exit code 5, since": "exit codes; tests/gate/test_paired.py",
    "a fifth of the patients is tested, so give 40": "five times MIN_PATIENTS of lungseg/intervals.py",
    "skipped (exit code 4)": "exit codes; tests/test_predict_command.py",
    "0.3 s of processor time for a small image, start-up included, and 0.8 s for one of 4892 x 4020 pixels, in 240 MB"
    " of memory from a 16-bit PNG or 290 MB from raw DICOM; decoding JPEG 2000 takes 2 to 3 s":
        "measured: /usr/bin/time -v lungseg predict <image>, on two cores",
    "Dice on Shenzhen is then 0.9455 [0.9423, 0.9478] at the masks' stored size, for less than 0.1 s":
        "measured: lungseg evaluate lwnet-128 shenzhen <folder> --tta",
    "raises Dice from 0.9278 to 0.9440, on 391 of 566 images, and lowers it on 8, by 0.042 at most; the median"
    " HD95 falls from 16.6 to 5.0 pixels":
        "measured: lungseg evaluate lwnet-128 shenzhen <folder>, --no-postprocess; tests/test_shipped.py",
    "JPEG, JPEG-LS, JPEG 2000 and RLE with": "a name",
    "16-bit pixels without a value above 4095 are read as 12 bits; DICOM's only if 16 bits": "tests/test_dicom.py",
    "specks below 1 % of it": "LEAST_PIECE of lungseg/lungs.py",
    "at probability 0.25 and 0.75: 1 if it is sure of every pixel, flagged below 0.95": "constants of lungseg/lungs.py",
    "of the 566 Shenzhen images, 497 are flagged, with a mean Dice of 0.942; the other 69 have 0.955. Unusual exposure"
    " is flagged on 393, touching the border on 263, not two components on 209, anything else on none. All 35 images"
    " with a Dice below 0.9 are flagged, 24 of them":
        "measured: lungseg predict <folder>/img; lungseg evaluate lwnet-128 shenzhen <folder> --json",
    "SHA-256": "a name",
    "| 0.1 s | 1.7 s: connects twice | below 0.1 s, and 5 to 15 s once |": "measured on loopback, medians of 9 jobs of"
    " tests/launched.py less those without a prefix, on two busy cores",
    "(NFSv4, Lustre": "a name",
    "stay in memory: 3 kB in the cell and": "measured: tests/tools/many_cases.py 4000 100000; an hour, 43 GB",
    "Net of width 16 at 256 px: 200 steps of 8 images": "what tests/tools/many_cases.py trains",
    "The first 2,000 of the 100,000 phantoms are distinct (300 of the 4,000)":
        "--drawn 2000 and --drawn 300 of tests/tools/many_cases.py",
    "and both begin with card 0": "cards are numbered from 0; tests/test_executor.py",
    "into temporary files, 4 bytes a pixel": "float32; tests/test_bounded_memory.py",
    "if they exceed 2 GiB.": "BLOCK_BYTES of lungseg/jax_loop.py",
    "it raised no alarm in 100 simulated reruns of equal code and found every planted loss of 0.01":
        "hours of training; tests/gate/test_simulated.py has the outcome",
    "Jaeger et al. 2014 (Quant Imaging Med Surg 4(6)) and Candemir et al. 2014 (IEEE TMI 33(2))": "citations",
}  # fmt: skip


def uncovered(text: str, phrases: list[str]) -> list[str]:
    """Numbers of the prose that stand in none of the phrases, each with the words about it."""
    covered = set()
    for phrase in phrases:
        for match in re.finditer(re.escape(prose(phrase)), text):
            covered |= set(range(*match.span()))
    return [
        text[max(0, m.start() - 40) : m.end() + 20]
        for m in NUMBER.finditer(text)
        if not set(range(*m.span())) <= covered
    ]


def test_the_findings_are_what_the_records_give(result):
    text = README.read_text(encoding="utf-8")
    assert text == renewed(text, result), "`.venv/bin/python tests/readme_findings.py` makes README's findings anew"


@pytest.mark.parametrize("check", CHECKED, ids=lambda check: check.__name__)
def test_what_readme_says_of_code_and_records_holds(check, result):
    assert check(result) in prose(both())


def test_every_number_in_the_prose_is_made_checked_or_excused(result):
    text = prose(both())
    phrases = [findings(result), figure(result), *(check(result) for check in CHECKED), *ALLOWED]
    assert uncovered(text, phrases) == []


def test_no_excuse_outlives_its_words():
    text = prose(both())
    assert [phrase for phrase in ALLOWED if phrase not in text] == []


def test_a_number_typed_by_hand_is_seen():
    assert uncovered("It gained 0.0012 Dice at 128 px.", ["at 128 px"]) == ["It gained 0.0012 Dice at 128 px."]
    assert uncovered("It gained 0.0012.", ["gained 0.0012"]) == []
    assert prose("Use `--workers 5`\n\n    make bench SEEDS=3\n\n[97 rows](a/98.md)") == "Use [97 rows]"


def test_each_line_is_of_the_newest_protocol_that_ranks_two_of_its_networks(result):
    local = [s for s in result if s.conditions.suite == "montgomery-128-strong"]
    protocols = {s.conditions.protocol for s in local if len(shown(s)) > 1}
    assert newest(result, "montgomery-128-strong").conditions.protocol == max(protocols)
    old = [s for s in local if s.conditions.protocol == min(protocols)]
    assert newest([*old, *old], "montgomery-128-strong") in old
    with pytest.raises(LookupError, match="no section of abacus ranks two of unet, resunet"):
        newest(result, "abacus")


@pytest.mark.parametrize("mark", MARKS)
def test_readme_has_one_place_for_what_is_made(mark):
    text = README.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    assert text.count(begin) == text.count(end) == 1
    assert text.index(begin) < text.index(end)


def test_readme_is_read_in_two_screens():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120
