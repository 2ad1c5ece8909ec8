"""Where and from what a record was made: hardware, versions, commit. Known without loading a backend."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from bench.paths import ROOT
from lungseg import runtime


@cache
def device_kind() -> str:
    """``cpu``, or the first NVIDIA card's name fit for a folder, as ``nvidia-smi`` lists it.

    ``CUDA_VISIBLE_DEVICES=`` (empty or -1) asks for the CPU.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1") or not shutil.which("nvidia-smi"):
        return "cpu"
    if runtime.backend_name() == "jax" and os.environ.get("JAX_PLATFORMS") == "cpu":
        return "cpu"
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    names = asked.stdout.strip().splitlines()
    return runtime.slug(names[0]) if asked.returncode == 0 and names else "cpu"


def key(precision: str) -> str:
    """Name of the folder of records that may share a table: ``<backend>-<device kind>-<precision>``."""
    return f"{runtime.backend_name()}-{device_kind()}-{precision}"


def expected(precision: str, threads: int) -> dict[str, Any]:
    """What ``facts`` would say, without the backend that a failed process can no longer be asked for."""
    return facts(runtime.Device(device_kind(), device_kind()), precision, threads)


def facts(device: runtime.Device, precision: str, threads: int) -> dict[str, Any]:
    """Hardware and software of this process, JSON-ready."""
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "device": device.name,
        "device_kind": device.kind,
        "backend": runtime.backend_name(),
        "precision": precision,
        "threads": threads,
        "python": platform.python_version(),
        "versions": runtime.versions(),
        "os": f"{platform.system()} {platform.machine()}",
    }


@cache
def cpu_name() -> str:
    """The processor's model and the vector instructions that change rounding: the CPU's machine kind."""
    model, flags = platform.processor() or platform.machine(), ""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return model
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
        if name.strip() == "flags":
            flags = next((kind for kind in ("avx512f", "avx2", "avx", "sse4_2") if kind in value.split()), "")
            break
    return f"{model} ({flags})" if flags else model


def programs(results: Path) -> Path:
    """Where a results folder keeps compiled programs for processes of this kind of machine: another's processor may
    lack an instruction that they use."""
    kind = hashlib.sha256(f"{cpu_name()} {device_kind()}".encode()).hexdigest()[:12]
    return results / "cache" / "programs" / kind


def source() -> dict[str, Any]:
    """Commit, whether the checkout differs from it, and a hash of the code; for the record, not the fingerprint."""
    commit = _git("rev-parse", "HEAD")
    state = _git("status", "--porcelain", "--", "lungseg", "bench")
    return {"commit": commit, "dirty": bool(state) if commit else None, "sha256": sources_sha256("lungseg", "bench")}


def sources_sha256(*folders: str) -> str:
    """Hash over the names and bytes of the Python files below these folders of the checkout."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
