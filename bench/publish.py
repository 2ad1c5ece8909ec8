"""Publishes local results: validates a suite's records, copies them to the committed results, updates the pages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.pages import report
from bench.records import costs, store
from bench.records.conflicts import conflicts
from bench.records.readable import readable
from bench.records.record import Record, newest
from bench.records.results import Results
from bench.robustness import measurement
from bench.speed import throughput_table
from bench.suites import Suite
from lungseg.errors import DataError, UsageError


def publish(suite: Suite, source: Results, target: Results, partial: bool = False) -> list[Path]:
    """Copy the suite's valid records and its throughput from ``source`` to ``target``, write its pages.

    partial: also architectures that lack folds; their page names what is missing and does not rank them.
    Raises DataError that lists every record which is failed, edited, incomplete or inconsistent; nothing is
    copied then. Returns what was written.
    """
    if target.root.resolve() == source.root.resolve():
        raise UsageError(f"{target.root}: is the folder that is published from; give another --to")
    target.refuse_others_pages(suite.name)
    paths = source.paths(suite.name)
    if not paths:
        raise UsageError(f"{source.runs(suite.name)}: no record to publish; `make bench SUITE={suite.name}` first")
    records = source.all(suite.name)
    problems = validate(records, partial)
    if problems:
        raise DataError(problems)
    written = []
    written += _kept(suite, target, max(record.protocol for record in records))
    for path, record in zip(paths, records, strict=True):
        copy = target.root / source.inside(path)
        store.save_record(copy, record.document)
        written.append(copy)
    written += _throughput(source, target, suite)
    written += _beside(source, target, suite)
    written += _robustness(source, target, suite)
    committed = [record for record in readable(target).records if record.cell.suite == suite.name]
    written.append(costs.renew(target, suite, newest(committed)))
    return written + report.write(target)


def validate(records: Sequence[Record], partial: bool = False) -> list[str]:
    """Everything that forbids publishing these records of one suite."""
    problems = []
    groups: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in records:
        name = record.name
        if not record.ok:
            problems.append(f"{name}: {record.status}; run the suite again")
            continue
        if not record.sealed:
            problems.append(f"{name}: was edited after it was written; run the cell again")
        if record.fingerprint != store.fingerprint(record.inputs.every):
            problems.append(f"{name}: its fingerprint does not match its inputs; run the cell again")
        cell = record.cell
        training = (cell.architecture, cell.recipe, cell.seed)
        groups[*training, *_machine(record)].append(record)
    for group in groups.values():
        problems += _incomplete(group, partial)
    problems += _orphans(records)
    for key in {_machine(r) for r in records if r.ok}:
        alike = [r for r in records if _machine(r) == key]
        problems += [f"{text}; run the suite again" for text in conflicts(alike)]
    return problems


def _incomplete(group: Sequence[Record], partial: bool) -> list[str]:
    """One architecture and seed: each image exactly once out of fold."""
    cell = group[0].cell
    times = Counter(case.id for record in group for case in record.cases)
    expected = group[0].data.target_pixels.keys()
    name = f"{cell.network()} seed {cell.seed}"
    problems = [f"{name}: {key} is predicted {times[key]} times" for key in sorted(times) if times[key] > 1]
    lost = sorted(expected - times.keys())
    if lost and not partial:
        have = sorted(record.cell.fold for record in group)
        problems.append(
            f"{name}: {len(lost)} of {len(expected)} images are not predicted; it has folds {have} only: run the "
            "others, or publish it unranked with --partial"
        )
    return problems


def _machine(record: Record) -> tuple[object, ...]:
    """What records of one table share; those of different protocols, precisions or determinism have none in common."""
    return record.machine_key, record.protocol


def _kept(suite: Suite, target: Results, published: int) -> list[Path]:
    """Move the committed records of older protocols out of the way, byte for byte: a newer one of the same cell would
    take their place."""
    moved = []
    for path in target.paths(suite.name):
        old = store.load_record(path).protocol
        if old < published and not path.parent.name.endswith(f"-protocol-{old}"):
            home = path.parent.with_name(f"{path.parent.name}-protocol-{old}") / path.name
            store.write_bytes(home, path.read_bytes())
            path.unlink()
            moved.append(home)
    return moved


def _orphans(records: Sequence[Record]) -> list[str]:
    """Ensembles without a member among the records: their numbers could be traced to no training."""
    there = {(_machine(record), record.name) for record in records if record.ok}
    return [
        f"{record.name}: its member {member.cell} is missing; run its suite again, or delete it"
        for record in records
        for member in record.inputs.members
        if (_machine(record), member.cell) not in there
    ]


def _throughput(source: Results, target: Results, suite: Suite) -> list[Path]:
    """Rows that tell more than the published ones of the same conditions: none of an earlier day, none of a busy
    machine in the place of an idle one's. Other published rows stay."""
    written = []
    for path in sorted(source.throughput().glob(f"*.{suite.size[0]}x{suite.size[1]}.csv")):
        copy = target.throughput(path.name)
        old = throughput_table.read(copy)
        store.write_text(copy, throughput_table.csv_text(throughput_table.improved(old, throughput_table.read(path))))
        written.append(copy)
    return written


def _beside(source: Results, target: Results, suite: Suite) -> list[Path]:
    """Copy what lies beside the records and tells nothing of one patient: Dice by group, repeated equal runs, pictures
    of the phantom. A real case's picture is never copied."""
    subgroups = source.subgroups(suite.name)
    result = [*([subgroups] if subgroups.exists() else []), *source.all_reruns(suite.name)]
    if suite.phantoms is not None:
        result += sorted(source.figures.glob(f"{suite.name}-*-gallery.png"))
    written = []
    for path in result:
        copy = target.root / source.inside(path)
        store.write_bytes(copy, path.read_bytes())
        written.append(copy)
    return written


def _robustness(source: Results, target: Results, suite: Suite) -> list[Path]:
    """Dice under corruptions, where ``robustness`` has measured it: of these networks in the place of earlier ones'."""
    result = measurement.load(source, suite.name)
    if not result:
        return []
    local = {(network.name, network.machine_key) for network in result}
    earlier = [n for n in measurement.load(target, suite.name) if (n.name, n.machine_key) not in local]
    return [measurement.save(target, suite.name, [*earlier, *result])]
