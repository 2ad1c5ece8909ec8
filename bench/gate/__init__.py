"""The regression gate: compares two summaries of records and gives findings and an exit code. Needs NumPy only.

``summary`` collects what is compared. ``preparation`` compares the prepared data, ``accuracy`` mean scores, ``paired``
per-image scores and ``pipeline`` dry runs; ``comparison`` joins their findings. ``limits`` holds how much may change,
and why. ``terminal`` and ``reports`` show the verdict, ``replaced`` whether the baseline changed with the code.
"""

from bench.gate.accuracy import Inconsistent
from bench.gate.comparison import compare, explain
from bench.gate.limits import LIMITS, Limits, chosen, limits_of
from bench.gate.summary import SCHEMA, left_out, load_baseline, machine_kind, summarise, summarise_results
from bench.gate.verdict import (
    NOT_COMPARABLE,
    NOT_JUDGED,
    OK,
    REGRESSION,
    Finding,
    NotComparable,
    as_json,
    exit_code,
)

__all__ = [
    "LIMITS",
    "NOT_COMPARABLE",
    "NOT_JUDGED",
    "OK",
    "REGRESSION",
    "SCHEMA",
    "Finding",
    "Inconsistent",
    "Limits",
    "NotComparable",
    "as_json",
    "chosen",
    "compare",
    "exit_code",
    "explain",
    "left_out",
    "limits_of",
    "load_baseline",
    "machine_kind",
    "summarise",
    "summarise_results",
]
