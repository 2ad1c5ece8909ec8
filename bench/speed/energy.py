"""Energy used by a GPU, where its driver reports it (optional package nvidia-ml-py)."""

from __future__ import annotations

import os


def joules() -> float | None:
    """Energy in joules that the first visible NVIDIA card has used since its driver was loaded; None if unknown.

    Everything that runs on the card counts, so two readings tell what was between them only where nothing else ran.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        handle = (
            pynvml.nvmlDeviceGetHandleByIndex(int(visible))
            if visible.isdecimal()
            else pynvml.nvmlDeviceGetHandleByUUID(visible)
        )
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except pynvml.NVMLError:  # no card, or one too old to tell
        return None
