"""The regression gate: compares two summaries of records and gives findings and an exit code.

``summary`` collects what is compared. ``preparation`` compares the prepared data, ``accuracy`` the scores and
``pipeline`` dry runs; ``comparison`` joins their findings. ``limits`` holds how much may change, and why. ``reports``
shows the verdict, ``replaced`` whether the baseline changed with the code. ``speed`` compares the times of kernels.
"""

from bench.gate.accuracy import Inconsistent as Inconsistent
from bench.gate.comparison import compare as compare
from bench.gate.comparison import explain as explain
from bench.gate.limits import LIMITS as LIMITS
from bench.gate.limits import Limits as Limits
from bench.gate.limits import chosen as chosen
from bench.gate.limits import limits_of as limits_of
from bench.gate.preparation import same_subject as same_subject
from bench.gate.summary import SCHEMA as SCHEMA
from bench.gate.summary import left_out as left_out
from bench.gate.summary import load_baseline as load_baseline
from bench.gate.summary import machine_kind as machine_kind
from bench.gate.summary import summarise as summarise
from bench.gate.summary import summarise_results as summarise_results
from bench.gate.verdict import OK as OK
from bench.gate.verdict import Finding as Finding
from bench.gate.verdict import NotComparable as NotComparable
from bench.gate.verdict import Verdict as Verdict
from bench.gate.verdict import as_json as as_json
from bench.gate.verdict import exit_code as exit_code
