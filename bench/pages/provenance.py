"""Provenance of a page's numbers: each record with its hash, machine, versions and source, as a CSV table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bench.markdown import code, counted, escape, listed, paragraph, plain
from bench.paths import file_slug
from bench.records.record import Machine, Source
from bench.statistics.rows import Leaderboard


def provenance(leaderboard: Leaderboard) -> list[str]:
    """Blocks: how many records, where they lie, and of how many machines and sources; the CSV table names each."""
    key = leaderboard.conditions
    machines, sources = {_machine(c.machine) for c in leaderboard.cells}, {_source(c.source) for c in leaderboard.cells}
    taken = Counter(c.reused_from for c in leaderboard.cells if c.reused_from)
    details = listed([f"{n} from suite {escape(suite)}" for suite, n in taken.items()]) if taken else ""
    table = csv_name(key.suite)
    return [
        paragraph(
            f"{counted(len(leaderboard.cells), 'record')} in "
            f"{code(f'runs/{file_slug(key.suite)}/{file_slug(key.machine)}/')}, of"
            f" {counted(len(machines), 'kind')} of machine and {counted(len(sources), 'state')} of the source, each"
            f" named in [cells.csv]({table}).{f' Reused, as the same training: {details}.' if details else ''}"
        )
    ]


def csv_name(suite: str) -> str:
    """Path of the table of cells relative to the results folder."""
    return f"tables/{file_slug(suite)}/cells.csv"


def lines(leaderboard: Leaderboard) -> Iterable[dict[str, str]]:
    """A line a cell for the CSV table: its record's hash, its weights', its machine and its source."""
    for c in leaderboard.cells:
        yield {
            "cell": c.name, "status": c.status, "record_sha256": c.record_sha256, "weights_sha256": c.weights_sha256,
            "machine": _machine(c.machine), "source": _source(c.source),
            "finished_utc": c.finished[:16].replace("T", " "), "warnings": "; ".join(c.warnings),
        }  # fmt: skip


def _machine(machine: Machine) -> str:
    if not machine.known:
        return "not recorded"  # of a cell that failed
    versions = ", ".join(f"{k} {v}" for k, v in sorted(machine.versions.items()))
    memory = f"{(machine.memory_bytes or 0) / 2**30:.1f} GiB"
    return plain(
        f"{machine.cpu}, {machine.cores} cores, {memory}, device {machine.device},"
        f" threads a cell: {machine.threads}; {machine.os or None}, Python {machine.python or None}; {versions}",
        600,
    )


def _source(source: Source) -> str:
    commit = (source.commit or "unknown")[:12]
    dirty = " with changes" if source.dirty else ""
    return plain(f"commit {commit}{dirty}, sources {(source.sha256 or 'unknown')[:12]}")
