"""Where a page's numbers come from: each record with its hash, machine, versions and source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.markdown import NONE, code, escape, listed, paragraph, table
from bench.paths import slug
from bench.records.record import Machine, Source
from bench.statistics.rows import Section


def provenance(section: Section) -> list[str]:
    """Blocks: how to find a record, the machines, the sources, and a line for each cell."""
    key = section.setting
    machines = _numbered([_machine(c.machine) for c in section.cells])
    sources = _numbered([_source(c.source) for c in section.cells])
    rows = [
        [escape(c.name), escape(c.status), escape(_start(c.record_sha256, 12)), escape(_start(c.weights_sha256, 12)),
         f"M{machines[_machine(c.machine)]}", f"S{sources[_source(c.source)]}",
         escape(_start(c.finished, 16).replace("T", " "))]
        for c in section.cells
    ]  # fmt: skip
    taken = Counter(c.taken_from for c in section.cells if c.taken_from)
    told = listed([f"{n} from suite {escape(suite)}" for suite, n in taken.items()]) if taken else ""
    folder = f"runs/{slug(key.suite)}/{slug(key.machine)}"
    file = code(f"{folder}/<cell>.json")
    return [
        paragraph(
            f"A cell is one training; its record is the file {file}"
            f" beside this page, or of that name in {code(f'{folder}-protocol-{key.protocol}/')} where records of a"
            " newer protocol were published since. Hashes are the first 12 digits of the record's and the weights'"
            f" SHA-256.{f' Taken over, as the same training: {told}.' if told else ''}"
        ),
        "\n".join(
            [paragraph(f"M{n}: {text}", "- ") for text, n in machines.items()]
            + [paragraph(f"S{n}: {text}", "- ") for text, n in sources.items()]
        ),
        table(["Cell", "Status", "Record", "Weights", "Machine", "Source", "Finished, UTC"], rows, left=7),
    ]


def _start(value: str, length: int) -> str:
    return (value or NONE)[:length]


def _numbered(texts: Sequence[str]) -> dict[str, int]:
    return {text: i for i, text in enumerate(dict.fromkeys(texts), start=1)}


def _machine(machine: Machine) -> str:
    if not machine.known:
        return "not recorded"  # of a cell that failed
    versions = ", ".join(f"{k} {v}" for k, v in sorted(machine.versions.items()))
    memory = f"{(machine.memory_bytes or 0) / 2**30:.1f} GiB"
    return escape(
        f"{machine.cpu}, {machine.cores} cores, {memory}, device {machine.device},"
        f" threads a cell: {machine.threads}; {machine.os or None}, Python {machine.python or None}; {versions}",
        600,
    )


def _source(source: Source) -> str:
    commit = (source.commit or "unknown")[:12]
    dirty = " with changes" if source.dirty else ""
    return escape(f"commit {commit}{dirty}, sources {(source.sha256 or 'unknown')[:12]}")
