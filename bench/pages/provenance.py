"""Where a page's numbers come from: each record with its hash, machine, versions and source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.markdown import NONE, code, escape, listed, paragraph, table
from bench.paths import slug
from bench.records import store
from bench.statistics.rows import Record, Section


def provenance(section: Section) -> list[str]:
    """Blocks: how to find a record, the machines, the sources, and a line for each cell."""
    key = section.setting
    machines = _numbered([_machine(r) for r in section.records])
    sources = _numbered([_source(r) for r in section.records])
    rows = [
        [escape(store.cell_name(r)), escape(r["status"]), escape(_start(r.get("record_sha256"), 12)),
         escape(_start(r.get("weights_sha256"), 12)), f"M{machines[_machine(r)]}", f"S{sources[_source(r)]}",
         escape(_start(r.get("finished"), 16).replace("T", " "))]
        for r in section.records
    ]  # fmt: skip
    taken = Counter(r["taken_from"] for r in section.records if r.get("taken_from"))
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


def _start(value: object, length: int) -> str:
    return str(value or NONE)[:length]


def _numbered(texts: Sequence[str]) -> dict[str, int]:
    return {text: i for i, text in enumerate(dict.fromkeys(texts), start=1)}


def _machine(record: Record) -> str:
    if not (m := record.get("machine")):
        return "not recorded"  # of a cell that failed
    versions = ", ".join(f"{k} {v}" for k, v in sorted((m.get("versions") or {}).items()))
    memory = f"{(m.get('memory_bytes') or 0) / 2**30:.1f} GiB"
    return escape(
        f"{m.get('cpu')}, {m.get('cores')} cores, {memory}, device {m.get('device')},"
        f" threads a cell: {m.get('threads')}; {m.get('os')}, Python {m.get('python')}; {versions}",
        600,
    )


def _source(record: Record) -> str:
    s = record.get("source") or {}
    commit = str(s.get("commit") or "unknown")[:12]
    dirty = " with changes" if s.get("dirty") else ""
    return escape(f"commit {commit}{dirty}, sources {str(s.get('sha256') or 'unknown')[:12]}")
