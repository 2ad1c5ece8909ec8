"""Guard accuracy and preparation: two summaries of records -> findings -> an exit code. NumPy alone.

``summary`` says what is compared, ``preparation`` and ``accuracy`` compare it, ``paired`` judges the scores image by
image, ``pipeline`` what a dry run did, ``comparison`` puts them together, ``limits`` holds how much may change and why.
``reports`` tells the verdict, ``replaced`` whether the baseline changed together with the code.
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
