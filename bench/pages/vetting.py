"""Records as a report may use them: one that cannot be shown is named beside the others, and hides none of them.

A file that is no record (cut short, not strict JSON, another schema) and a record that was edited until it no longer
makes a table are unreadable: the page names the file and the reason, its cell counts as not run, and `run` trains it
again. A record that was edited and still makes a table is shown, and the page calls it unverified. A record that is as
it was written and makes no table is a defect of ours: nothing is printed (exit 70).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.pages.section_page import section_page
from bench.records import store
from bench.statistics import stats


@dataclass(frozen=True)
class Vetted:
    """Records in the order of their paths, and what is wrong with the other files by their path in the folder."""

    records: tuple[store.Record, ...]
    unreadable: dict[str, str]

    def of(self, suite: str) -> dict[str, str]:
        """The unreadable files of one suite."""
        return {path: why for path, why in self.unreadable.items() if path.split("/")[1] == suite}

    @property
    def suites(self) -> list[str]:
        """Suites that have an unreadable file, sorted."""
        return sorted({path.split("/")[1] for path in self.unreadable})


def vetted(results: Path, suite: str | None = None) -> Vetted:
    """All records of a results folder, or of one suite. Raises nothing for a bad one."""
    records, unreadable = [], {}
    for path in store.record_paths(results, suite):
        try:
            record = store.load_record(path)
        except store.UnreadableRecord as error:
            unreadable[path.relative_to(results).as_posix()] = error.reason
            continue
        if why := None if store.is_sealed(record) else _broken(record):
            unreadable[path.relative_to(results).as_posix()] = why
        else:
            records.append(record)
    return Vetted(tuple(records), unreadable)


def _broken(record: store.Record) -> str | None:
    """Why an edited record makes no table of its own, None where it does."""
    try:
        for section in stats.sections([record]):
            section_page(section, {})
    except Exception as error:  # an editor may have done anything to it
        return f"edited after it was written, and makes no table any more ({type(error).__name__}: {error})"
    return None
