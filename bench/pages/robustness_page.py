"""``robustness/<suite>.md``: Dice lost under each corruption, from what `python -m bench robustness` stored alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from bench.markdown import NONE, counted, escape, paragraph, table, with_interval
from bench.records import store
from bench.records.results import Results
from bench.robustness import measurement
from bench.robustness.corruptions import CORRUPTIONS, key_of
from bench.robustness.measurement import Network
from bench.statistics.resampling import MIN_PATIENTS
from lungseg.errors import DataError

GENERATED = "<!-- Written by `python -m bench report` from the record beside it; edits are lost. -->"

MEANING = (
    "Each network predicts the images that its training held out, corrupted at the network's size as listed below;"
    " nothing is trained. A table cell is the Dice lost against the same image without corruption: mean over patients"
    " (of each the mean over its images and seeds), with its 95 % percentile interval over patients; above 0 Dice"
    " falls. Random choices (side, place, noise) are seeded by the image's name and the corruption, so all networks"
    " see the same. A corruption that moves the image also moves its mask."
)


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
    blocks = [GENERATED, f"# {escape(suite)}: Dice lost under corruptions", paragraph(MEANING)]
    for _, group in groupby(networks, key=_conditions):
        blocks += _leaderboard(list(group))
    blocks += ["## What is done to an image", _definitions(), "## Where the numbers come from", *_provenance(networks)]
    return "\n\n".join(blocks) + "\n"


def losses(networks: Sequence[Network], name: Callable[[object], str] = escape, style: str = "pipe") -> str:
    """One table: a line for each corruption and strength, a column for each network."""
    rows = [["none (Dice)", NONE, *(with_interval(network.clean()) for network in networks)]]
    for corruption in CORRUPTIONS.values():
        for strength in corruption.strengths:
            result = [network.lost(key_of(corruption.name, strength)) for network in networks]
            rows.append([corruption.name, f"{strength:g}", *(with_interval(lost, sign=True) for lost in result)])
    return table(["Corruption", "Strength", *(name(network.name) for network in networks)], rows, left=1, style=style)


def _conditions(network: Network) -> tuple[object, ...]:
    """What networks of one table have in common."""
    about = network.about
    return network.machine_key, *(str(about.get(key)) for key in ("test_set", "size", "protocol")), network.images


def _leaderboard(networks: list[Network]) -> list[str]:
    first, about = networks[0], networks[0].about
    size = " x ".join(map(str, about.get("size", ())))
    seeds = {network.name: len(network.dice) for network in networks}
    patients = len(set(first.patients))
    few = f" Fewer than {MIN_PATIENTS} patients allow no interval." if patients < MIN_PATIENTS else ""
    return [
        f"## {escape(first.machine_key)}",
        paragraph(
            f"Data {escape(about.get('test_set'))} at {escape(size)} px, protocol {escape(about.get('protocol'))}:"
            f" {counted(len(first.images), 'image')} of {counted(patients, 'patient')}, each held out by the training"
            f" that predicts it. Seeds: {', '.join(f'{escape(name)} {n}' for name, n in seeds.items())}.{few}"
        ),
        losses(networks),
    ]


def _definitions() -> str:
    lines = []
    for corruption in CORRUPTIONS.values():
        how = (corruption.apply.__doc__ or "").strip()
        strengths = ", ".join(f"{strength:g}" for strength in corruption.strengths)
        lines.append(paragraph(f"**{corruption.name}** {strengths} ({corruption.meaning}): {how}", "- "))
    return "\n".join(lines)


def _provenance(networks: Sequence[Network]) -> list[str]:
    """Weights, code and machine of each row."""
    rows = []
    for network in networks:
        about = network.about
        trainings, source, machine = (_dict(about.get(key)) for key in ("trainings", "source", "machine"))
        commit = str(source.get("commit") or "unknown")[:12] + (" (edited)" if source.get("dirty") else "")
        differs = about.get("clean_differs")
        rows.append(
            [escape(network.name), escape(network.machine_key), str(len(trainings)), store.sha256(trainings)[:12],
             escape(commit), escape(machine.get("cpu", NONE)), escape(differs)]
        )  # fmt: skip
    headers = ["Network", "Machine", "Trainings", "Hash of weights", "Commit", "Processor", "Clean differs by"]
    note = (
        "The hash is over the fingerprint and the weights of every training, which the record names one by one. The"
        " last column is the most by which a Dice without corruption differs from that in the training's own record: 0"
        " where both were made on the same kind of machine."
    )
    return [table(headers, rows, left=2), paragraph(note)]


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
