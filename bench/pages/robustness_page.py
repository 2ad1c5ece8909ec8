"""``robustness/<suite>.md``: Dice lost under each corruption, from what `python -m bench robustness` stored alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from bench.markdown import (
    NONE,
    Namer,
    counted,
    escape,
    generated,
    listed,
    paragraph,
    shown,
    table,
    unbroken,
    with_interval,
)
from bench.names import data, display, file_slug, recipe
from bench.names import machine as machine_name
from bench.pages.tables import DIGITS, FINE
from bench.records import store
from bench.records.results import Results
from bench.robustness import measurement
from bench.robustness.corruptions import CORRUPTED, CORRUPTIONS, key_of
from bench.robustness.measurement import Network
from bench.statistics.resampling import Interval
from bench.statistics.verdicts import MIN_SEEDS
from bench.suites import SUITES
from lungseg.errors import DataError
from lungseg.intervals import MIN_PATIENTS
from lungseg.recipes import RECIPES

GENERATED = generated("the record beside it")

MEANING = (
    "Each network predicts its held-out images, corrupted at the network's input size as listed below. Nothing is"
    " retrained. The Dice lost is the Dice of the image without corruption minus its Dice with corruption; a negative"
    " value means that Dice rises. It is averaged over the images and seeds of each patient, then over patients, with a"
    " 95 % percentile interval over patients. Random choices (side, position, noise) depend only on the image's name"
    " and the corruption, so all networks see the same images. A corruption that moves the image also moves its mask."
)
SIDE_BY_SIDE = 4  # networks in one table, which then fits a page


def write(results: Results, only: str | None = None) -> list[Path]:
    """A page for each suite that was measured, or for ``only`` that; an unreadable file is named on its page."""
    written = []
    for file in sorted(results.robustness("").parent.glob("*.json")):
        if only is not None and file != results.robustness(only):
            continue
        written.append(file.with_suffix(".md"))
        store.write_text(written[-1], page(file))
    return written


def page(file: Path) -> str:
    """The Markdown of one file."""
    try:
        suite, networks = measurement.read(file)
    except DataError as error:
        why = str(error).removeprefix(f"{file}: ")
        said = paragraph(f"**Unreadable**: {escape(file.name)}: {escape(why)}.")
        blocks = [GENERATED, f"# {escape(file.stem)}: Dice lost under corruptions", said]
        return "\n\n".join(blocks) + "\n"
    blocks = [GENERATED, f"# {escape(suite)}: Dice lost under corruptions"]
    for _, group in groupby(sorted(networks, key=_conditions), key=_conditions):  # of each the order by name stays
        blocks += _leaderboard(suite, list(group))
    blocks += ["## How it was measured", paragraph(MEANING), _definitions()]
    blocks += ["## Where the numbers come from", *_provenance(file, networks)]
    return "\n\n".join(blocks) + "\n"


def losses(networks: Sequence[Network], name: Namer = escape, style: str = "pipe") -> str:
    """One table: a line for each corruption and strength, a column for each network."""
    rows = [["none (Dice)", *(_cell(network.clean()) for network in networks)]]
    for corruption in CORRUPTIONS.values():
        for strength in corruption.strengths:
            lost = [network.lost(key_of(corruption.name, strength)) for network in networks]
            rows.append([unbroken(corruption.label(strength)), *map(_cell, lost)])
    return table(["Corruption", *(name(display(network.name)) for network in networks)], rows, left=1, style=style)


def _cell(estimate: Interval, digits: int = DIGITS) -> str:
    """The estimate and its interval, in one line; no zero has a sign."""
    rounded = (_rounded(v, digits) for v in (estimate.value, estimate.low, estimate.high))
    return unbroken(with_interval(Interval(*rounded), digits))


def _rounded(value: float, digits: int = DIGITS) -> float:
    return round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0


def _loss(value: float) -> str:
    """The number; no zero has a sign."""
    return f"{_rounded(value):.{DIGITS}f}"


def _conditions(network: Network) -> tuple[object, ...]:
    """What networks of one table have in common."""
    about = network.about
    return (
        network.machine_key,
        *(str(about.get(key)) for key in ("test_set", "size", "protocol")),
        network.images,
        network.patients,
    )


def _leaderboard(suite: str, networks: list[Network]) -> list[str]:
    """Findings, the networks from the least loss to the most, and every loss."""
    ordered = sorted(networks, key=lambda network: (network.lost_overall().value, network.name))
    tables = [losses(networks[at : at + SIDE_BY_SIDE]) for at in range(0, len(networks), SIDE_BY_SIDE)]
    return [
        f"## {_where(networks[0])}, {counted(len(networks[0].images), 'image')}",
        paragraph(f"**Which network loses least?** {_least(ordered)}"),
        paragraph(f"**What costs most?** {_worst(networks)}"),
        paragraph(f"**How were they trained?** {_training(suite, networks)}"),
        _ranked(ordered),
        "Dice lost under each corruption and strength:",
        *tables,
    ]


def _least(ordered: Sequence[Network]) -> str:
    """The answer, which says no more than the paired intervals do."""
    best, *others = ordered
    over = f"mean over all {len(CORRUPTED)} corruptions, equally weighted"
    answer = f"{shown(best.name)} loses {_cell(best.lost_overall())} Dice ({over})."
    if not others:
        return f"Only one was measured: {answer}"
    apart = [shown(other.name) for other in others if other.loses_more(best).excludes(0.0)]
    paired = "more on the same patients (last column below; 95 % intervals, not corrected for multiple comparisons)."
    if not best.lost_overall().known:
        verdict = "There are too few patients to compare the other networks with it."
    elif len(apart) == len(others):
        verdict = f"Every other network loses {paired}"
    elif apart:
        verdict = f"Only {listed(apart)} {'is' if len(apart) == 1 else 'are'} shown to lose {paired}"
    else:
        verdict = f"No other network is shown to lose {paired}"
    few = min(len(network.dice) for network in ordered)
    about = f" With {counted(few, 'seed')} this is a result about these trained weights, not about architectures."
    return f"{answer} {verdict}{about if few < MIN_SEEDS else ''}"


def _worst(networks: Sequence[Network]) -> str:
    """Corruptions by what their highest strength costs, over all networks, and where the networks differ most."""
    value = {(n.name, key): float(n.lost_over([key]).mean()) for n in networks for key in CORRUPTED}
    severest = {
        c.title: [value[n.name, key_of(c.name, c.strengths[-1])] for n in networks] for c in CORRUPTIONS.values()
    }
    order = sorted(severest, key=lambda title: -sum(severest[title]))
    label = {c.title: c.label(c.strengths[-1]) for c in CORRUPTIONS.values()}
    spans = {title: _span(severest[title]) for title in order}
    first = {max(severest, key=lambda title: severest[title][i]) for i in range(len(networks))}
    whose = "every network most" if first == {order[0]} else "most on average"
    whose = whose if len(networks) > 1 else "most"
    answer = (
        f"At the highest strength of each, {label[order[0]]} costs {whose} ({spans[order[0]]} Dice), followed by"
        f" {label[order[1]]} ({spans[order[1]]}) and {label[order[2]]} ({spans[order[2]]}). The least costly is"
        f" {label[order[-1]]} ({spans[order[-1]]})."
    )
    if len(networks) < 2:
        return answer

    def lost(key: str) -> list[tuple[float, str]]:
        return sorted((value[n.name, key], shown(n.name)) for n in networks)

    key = max(CORRUPTED, key=lambda key: lost(key)[-1][0] - lost(key)[0][0])
    (low, one), (high, other) = lost(key)[0], lost(key)[-1]
    return f"{answer} Networks differ most under {_titled(key)}: {one} loses {_loss(low)} and {other} {_loss(high)}."


def _training(suite: str, networks: Sequence[Network]) -> str:
    first, about = networks[0], networks[0].about
    size = " x ".join(map(str, about.get("size", ())))
    patients = len(set(first.patients))
    requested = str(about.get("recipe") or "unknown")
    known = RECIPES.get(requested)
    how = f"With recipe {escape(recipe(requested))}"
    if known is not None and not known.augmentation:
        how += ", so **without augmentation**. They saw no such changes in training and may lose less with augmentation"
    whole = len(SUITES[suite].seeds) if suite in SUITES else 0
    seeds: dict[int, list[str]] = {}
    for network in networks:
        seeds.setdefault(len(network.dice), []).append(shown(network.name))
    of = f" of the suite's {whole}" if whole else ""
    said = [f"{counted(n, 'seed')}{of}{f' of {listed(names)}' if len(seeds) > 1 else ''}" for n, names in seeds.items()]
    few = f" No intervals are given for fewer than {MIN_PATIENTS} patients." if patients < MIN_PATIENTS else ""
    return (
        f"{how}. Measured: {listed(said)}; {counted(len(first.images), 'image')} of"
        f" {counted(patients, 'patient')} of {data(escape(about.get('test_set')))} at {escape(size)} px, protocol"
        f" {escape(about.get('protocol'))}.{few}"
    )


def _ranked(ordered: Sequence[Network]) -> str:
    """Networks by their mean loss, the least first, with the loss at each strength and what they lose more."""
    best = ordered[0]
    rows = []
    for network in ordered:
        levels = [
            network.lost_over([key_of(c.name, c.strengths[level]) for c in CORRUPTIONS.values()]).mean()
            for level in range(3)
        ]
        more = NONE if network is best else _cell(network.loses_more(best), FINE)
        rows.append([shown(network.name), _cell(network.lost_overall()), *map(_loss, levels), more])
    return table(
        ["Network", "Mean lost", "Mild", "Moderate", "Severe", f"Difference from {shown(best.name)}, paired"], rows
    )


def _where(network: Network) -> str:
    """``TensorFlow on CPU, float32``, or the machine's key where more is not known."""
    machine = _dict(network.about.get("machine"))
    known = [str(machine.get(name) or "") for name in ("backend", "device_kind", "precision")]
    if "-".join(known) != network.machine_key:
        return escape(network.machine_key)
    return escape(f"{machine_name(known[0], known[1])}, {known[2]}")


def _titled(key: str) -> str:
    name, _, strength = key.partition(" ")
    return CORRUPTIONS[name].label(float(strength))


def _span(values: Sequence[float]) -> str:
    low, high = _loss(min(values)), _loss(max(values))
    return low if low == high else f"{low} to {high}"


def _definitions() -> str:
    lines = []
    for corruption in CORRUPTIONS.values():
        how = (corruption.apply.__doc__ or "").strip()
        strengths = ", ".join(f"{strength:g}" for strength in corruption.strengths)
        lines.append(paragraph(f"**{corruption.title}** {strengths} ({corruption.meaning}): {how}", "- "))
    return "\n".join(lines)


def _provenance(file: Path, networks: Sequence[Network]) -> list[str]:
    """Weights, code and machine of each row."""
    rows = []
    for network in networks:
        about = network.about
        trainings, source, machine = (_dict(about.get(key)) for key in ("trainings", "source", "machine"))
        commit = str(source.get("commit") or "unknown")[:12] + (" (edited)" if source.get("dirty") else "")
        differs = about.get("clean_differs")
        rows.append(
            [shown(network.name), str(len(trainings)), store.sha256(trainings)[:12],
             escape(commit), unbroken(escape(machine.get("cpu", NONE))), escape(differs)]
        )  # fmt: skip
    headers = ["Network", "Trainings", "Weights hash", "Commit", "Processor", "Clean Dice differs by"]
    note = (
        "The hash covers the fingerprint and the weights of every training. The last column is the largest difference"
        " between the Dice of an uncorrupted image here and in the training's own record; it is 0 if both were computed"
        f" on the same kind of machine. [{escape(file.name)}]({file_slug(file.name)}) has every image's Dice and every"
        " training."
    )
    return [table(headers, rows), paragraph(note)]


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
