"""Records as a report may use them: one that cannot be shown is named beside the others, and hides none of them.

A file that is no record (cut short, not strict JSON, another schema), one that says what no cell can (`records.parse`),
one that was edited until it no longer makes a table, and those that predict an image which another record of the same
training predicts are unreadable: the page names the file and the reason, its cell counts as not run, and `run` trains
it again. A record that was edited and still makes a table is shown, and the page calls it unverified. A record that is
as it was written, passes all this and makes no table is a defect of ours (exit 70).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.pages.section_page import section_page
from bench.records import store
from bench.records.results import Results
from bench.statistics import stats


@dataclass(frozen=True)
class Vetted:
    """Records in the order of their paths, what is wrong with the other files by their path in the folder, and which
    of the records differ from their own hash."""

    records: tuple[store.Record, ...]
    unreadable: dict[str, str]
    edited: tuple[store.Record, ...] = ()

    def is_sealed(self, record: Mapping[str, Any]) -> bool:
        """As the store's, of one of these very records, without hashing it again: that takes as long as reading it."""
        return not any(one is record for one in self.edited)

    def of(self, suite: str) -> dict[str, str]:
        """The unreadable files of one suite."""
        return {path: why for path, why in self.unreadable.items() if path.split("/")[1] == suite}

    @property
    def suites(self) -> list[str]:
        """Suites that have an unreadable file, sorted."""
        return sorted({path.split("/")[1] for path in self.unreadable})


def vetted(results: Results, suite: str | None = None) -> Vetted:
    """All records of a results folder, or of one suite. Raises nothing for a bad one."""
    records: dict[str, store.Record] = {}
    unreadable, edited = {}, []
    for path in results.paths(suite):
        name = results.inside(path)
        try:
            record = store.load_record(path)
        except store.UnreadableRecord as error:
            unreadable[name] = error.reason
            continue
        if store.is_sealed(record):
            records[name] = record
        elif why := _broken(record):
            unreadable[name] = why
        else:
            records[name] = record
            edited.append(record)
    unreadable |= _twice(records)
    kept = tuple(record for name, record in records.items() if name not in unreadable)
    return Vetted(kept, dict(sorted(unreadable.items())), tuple(edited))


def _twice(records: Mapping[str, store.Record]) -> dict[str, str]:
    """Records that predict an image which another of the same training predicts, too: why, by their file.

    A mean over both would be of nothing. A record that lies where the store puts it stands, a copy of it elsewhere
    does not; where neither or both do, nothing tells which is stale, and neither stands.
    """
    by_image: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for name, record in records.items():
        cell = record["cell"]
        training = stats.setting(record), *(cell[key] for key in ("architecture", "width", "recipe", "seed"))
        for case in record["cases"]:
            by_image[training, case["id"]].append(name)
    refused: dict[str, str] = {}
    for (_, image), names in by_image.items():
        if len(names) < 2:
            continue
        at_home = [name for name in names if name == _home(records[name])]
        for name in names:
            if at_home != [name] and name not in refused:
                other = next(one for one in names if one != name)
                refused[name] = f"predicts {image!a}, as {other} does for the same seed; one of the two is stale"
    return refused


def _home(record: store.Record) -> str:
    """Where the store puts a record, from the results folder."""
    return f"runs/{record['cell']['suite']}/{stats.setting(record).machine}/{store.cell_name(record)}.json"


def _broken(record: store.Record) -> str | None:
    """Why an edited record makes no table of its own, None where it does."""
    try:
        for section in stats.sections([record]):
            section_page(section, {})
    except Exception as error:  # an editor may have done anything to it
        return f"edited after it was written, and makes no table any more ({type(error).__name__}: {error})"
    return None
