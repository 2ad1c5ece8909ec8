"""What a processor, or a limit set to it, cannot do: reasons to skip."""

from __future__ import annotations

import os

import pytest

# TensorFlow asks the processor and hands bfloat16 to oneDNN, which has no kernel for it below this limit. A processor
# that has no AVX-512 itself is asked the same, answers no, and its bfloat16 goes another way.
_ENOUGH = ("", "DEFAULT", "ALL")
_LIMIT = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
BFLOAT16 = pytest.mark.skipif(
    _LIMIT not in _ENOUGH and not _LIMIT.startswith(("AVX512_CORE", "AVX10")),
    reason=f"oneDNN held to {_LIMIT} has no convolution of bfloat16, which TensorFlow asks it for on this processor",
)
