"""Which records of a results folder can be read, and what is wrong with the other files, which hide none of these."""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench.records import store
from bench.records.record import Record
from bench.records.results import Results
from lungseg.terminal import near


@dataclass(frozen=True)
class Readable:
    """Records in the order of their paths, without their documents, and what is wrong with the other files by their
    path in the folder."""

    records: tuple[Record, ...]
    unreadable: dict[str, str]

    def of(self, suite: str) -> dict[str, str]:
        """The unreadable files of one suite."""
        return {path: why for path, why in self.unreadable.items() if path.split("/")[1] == suite}

    @property
    def suites(self) -> list[str]:
        """Suites that have an unreadable file, sorted."""
        return sorted({path.split("/")[1] for path in self.unreadable})

    def warn(self, results: Results) -> None:
        """Name each unreadable record, its error and the remedy on standard error."""
        for path, why in self.unreadable.items():
            print(f"warning: {near(results.root / path)}: {why}; {store.RERUN}", file=sys.stderr)


@contextmanager
def _uncollected() -> Iterator[None]:
    """While it lasts no cycles are looked for, and never among what was there at its end.

    Records hold none, and to look through all of them time and again takes longer than to read them. They are freed as
    ever when nothing refers to them.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if before:
            gc.enable()


@_uncollected()
def readable(results: Results) -> Readable:
    """All records that can be read, and what is wrong with the other files.

    Unreadable are files that are no record (cut short, not strict JSON, another schema), that say what no cell can
    (`records.parse`), or that predict an image which another record of the same training predicts: the page names
    file and reason, the cell counts as not run, and `run` trains it again. A record that was edited and is still
    one is shown, and the page calls it unverified.
    """
    records: dict[str, Record] = {}
    unreadable = {}
    for path in results.paths():
        name = results.inside(path)
        try:
            records[name] = store.load_record(path).without_document()
        except store.UnreadableRecord as error:
            unreadable[name] = error.reason
    unreadable |= _twice(records)
    kept = tuple(record for name, record in records.items() if name not in unreadable)
    return Readable(kept, dict(sorted(unreadable.items())))


def _twice(records: Mapping[str, Record]) -> dict[str, str]:
    """Records that predict an image which another of the same training predicts, too: why, by their file.

    A mean over both would be of nothing. A record that lies where the store puts it stands, a copy of it elsewhere
    does not; where neither or both do, nothing tells which is stale, and neither stands.
    """
    of_training: defaultdict[tuple[object, ...], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, record in records.items():
        by_image = of_training[replace(record.cell, fold=0), record.machine_key, record.protocol]
        for case in record.cases:
            by_image[case.id].append(name)
    refused: dict[str, str] = {}
    for image, names in (result for by_image in of_training.values() for result in by_image.items()):
        if len(names) < 2:
            continue
        at_home = [name for name in names if name == _home(records[name])]
        for name in names:
            if at_home != [name] and name not in refused:
                other = next(one for one in names if one != name)
                refused[name] = f"predicts {image!a}, as {other} does for the same seed; one of the two is stale"
    return refused


def _home(record: Record) -> str:
    """Where the store puts a record, from the results folder."""
    return f"runs/{record.cell.suite}/{record.machine_key}/{record.name}.json"
