"""The patient of each image by current knowledge; a record keeps what was known when it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records.record import CaseScore, Record
from lungseg.datasets import montgomery, shenzhen

# The sets of which protocol 1 took images of one patient for several patients': image -> the group's first image.
REGROUPED: dict[str, Mapping[str, str]] = {
    "montgomery": montgomery.SAME_PATIENT,
    "shenzhen": shenzhen.SAME_PATIENT,
}


def patient(record: Record, case: CaseScore) -> str:
    """The patient of a scored case. Records of protocol 1 are regrouped by the patients found since."""
    known = REGROUPED.get(record.cell.test_set, {}) if record.protocol == 1 else {}
    return known.get(case.id, case.patient)


def beside_siblings(records: Sequence[Record]) -> int:
    """Images that were predicted by a network which had trained on another image of their patient.

    Only what protocol 1 left: since then folds are made of these patients.
    """
    result = set()
    for record in records:
        known = REGROUPED.get(record.cell.test_set, {})
        if not record.ok or not known:
            continue
        trained = {known[image] for image in record.split.train if image in known}
        result |= {case.id for case in record.cases if known.get(case.id) in trained}
    return len(result)
