"""Whose image it is, as is known today: records keep what was known when they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.records.protocols import protocol
from bench.statistics.rows import Record
from lungseg.datasets.montgomery import SAME_PATIENT

REGROUPED = "montgomery"  # the set of which protocol 1 took images of one patient for several patients'


def patient(record: Record, case: Mapping[str, Any]) -> str:
    """The patient of a scored case. Records of protocol 1 on Montgomery are regrouped by the patients found since."""
    known = SAME_PATIENT if protocol(record) == 1 and record["cell"]["scored_on"] == REGROUPED else {}
    return str(known.get(case["id"], case["patient"]))


def beside_siblings(records: Sequence[Record]) -> int:
    """Images that were predicted by a network which had trained on another image of their patient.

    Only what protocol 1 left on Montgomery: since then folds are made of these patients.
    """
    found = set()
    for record in records:
        if record["status"] != "ok" or record["cell"]["scored_on"] != REGROUPED:
            continue
        trained = {SAME_PATIENT[image] for image in record["split"]["train"] if image in SAME_PATIENT}
        found |= {case["id"] for case in record["cases"] if SAME_PATIENT.get(case["id"]) in trained}
    return len(found)
