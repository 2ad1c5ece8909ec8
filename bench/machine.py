"""Hardware, package versions and commit that a record was made with; found without loading a backend."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lungseg import provenance, runtime
from lungseg.errors import EnvironmentFailure, UsageError
from lungseg.provenance import ROOT

FAST = "-fast"
_elsewhere: dict[str, str] = {}  # what is known of the machine that processes are started on, by ``learn``


def learn(details: Mapping[str, str]) -> None:
    """Take this for the machine that processes run on, whose records this process plans: a login node is another.

    details: as ``requested`` tells them.
    """
    _elsewhere.update(details)


def requested(launch: Sequence[str]) -> dict[str, str]:
    """``device_kind`` and ``cpu_name`` as a process that is started through a launch prefix finds them.

    Raises EnvironmentFailure where nothing answers.
    """
    try:
        process = subprocess.run(
            [*launch, sys.executable, "-m", "bench.machine"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        details = dict[str, str](json.loads(process.stdout.splitlines()[-1]))
    except (OSError, subprocess.CalledProcessError, ValueError, TypeError, IndexError) as error:
        why = getattr(error, "stderr", "") or getattr(error, "strerror", "") or error
        raise EnvironmentFailure(
            f"--launch {shlex.join(launch)}: could not start a process ({why}); give a command that runs what follows "
            "it, such as 'srun --ntasks=1'"
        ) from error
    return details


def device_kind() -> str:
    """The device kind of the machine that processes run on: this one, or the one that ``learn`` was told of."""
    return _elsewhere.get("device_kind") or own_device_kind()


@cache
def own_device_kind() -> str:
    """``cpu``, or the name, fit for a folder, of the first NVIDIA card that a process will see.

    ``CUDA_VISIBLE_DEVICES`` chooses by number or UUID; empty, -1 or anything else that names no card asks for the CPU.
    """
    if runtime.backend_name() == "jax" and os.environ.get("JAX_PLATFORMS") == "cpu":
        return "cpu"
    name = visible_card(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))
    return runtime.device_slug(name) if name else "cpu"


def visible_card(chosen: str | None, order: str | None = None) -> str | None:
    """Name of the first card that CUDA shows for these values of ``CUDA_VISIBLE_DEVICES`` and ``CUDA_DEVICE_ORDER``.

    chosen: None where the variable is unset. Raises UsageError where cards of several kinds are numbered in an order
    that nobody but CUDA knows.
    """
    first = None if chosen is None else chosen.partition(",")[0].strip()
    if first == "" or first == "-1":
        return None
    if first is not None and first.startswith("MIG-"):
        return _slice(first)
    cards = _cards()
    if first is not None and first.startswith("GPU-"):
        named = [name for _, uuid, name in cards if uuid.startswith(first)]
        return named[0] if len(named) == 1 else None
    if order not in (None, "", runtime.CARDS_ORDER) and len({name for _, _, name in cards}) > 1:
        raise UsageError(
            f"CUDA_DEVICE_ORDER={order}: which card is the first is not known, as this machine has cards of several "
            "kinds; unset it, or select a card by its UUID: CUDA_VISIBLE_DEVICES=GPU-... (`nvidia-smi -L`)"
        )
    wanted = "0" if first is None else first
    return next((name for index, _, name in cards if index == wanted), None)


def cards() -> tuple[str, ...]:
    """Each card that a process of this machine sees and that is of the first's kind, as ``CUDA_VISIBLE_DEVICES`` names
    it alone; none where it sees none."""
    kind = own_device_kind()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = [index for index, _, _ in _cards()] if chosen is None else [part.strip() for part in chosen.split(",")]
    result = []
    for card in listed if kind != "cpu" else ():
        name = visible_card(card, os.environ.get("CUDA_DEVICE_ORDER"))
        if name is None:  # CUDA shows no card from the first on that there is not
            break
        if runtime.device_slug(name) == kind:
            result.append(card)
    return tuple(result)


def _cards() -> list[tuple[str, str, str]]:
    """(number, UUID, name) of every card, as ``nvidia-smi`` lists them."""
    lines = _nvidia_smi("--query-gpu=index,uuid,name", "--format=csv,noheader")
    parts = [line.split(", ", 2) for line in lines]
    return [(part[0].strip(), part[1].strip(), part[2].strip()) for part in parts if len(part) == 3]


def _slice(uuid: str) -> str | None:
    """Name of a part of a card (MIG), as CUDA gives it: the card's and the part's, ``NVIDIA A100 MIG 1g.5gb``."""
    card = ""
    for line in _nvidia_smi("-L"):
        if whole := re.match(r"GPU \d+: (.*) \(UUID: ", line):
            card = whole[1]
        part = re.match(r"\s+(MIG \S+)\s.*\(UUID: (MIG-[^)]*)\)", line)
        if part and part[2].startswith(uuid):
            return f"{card} {part[1]}"
    return None


def _nvidia_smi(*arguments: str) -> list[str]:
    """Lines that the driver's own tool prints; none where there is no such tool or no working driver."""
    if not shutil.which("nvidia-smi"):
        return []
    requested = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, check=False)
    return requested.stdout.splitlines() if requested.returncode == 0 else []


def kind_of(devices: int) -> str:
    """The device kind of trainings on so many devices each: ``nvidia-h100``, or ``nvidia-h100-x2``, which is another
    kind, as sums over a batch are added in another order."""
    return _times(device_kind(), devices)


def devices_of(kind: str) -> int:
    """How many devices a training of that device kind has."""
    result = re.fullmatch(r".+-x(\d+)", kind)
    return int(result[1]) if result else 1


def _times(kind: str, devices: int) -> str:
    return f"{kind}-x{devices}" if devices > 1 else kind


def key(precision: str, deterministic: bool = True, devices: int = 1) -> str:
    """The ``folder`` of a training's record on this machine. devices: of one training."""
    return folder(runtime.backend_name(), kind_of(devices), precision, deterministic)


def folder(backend: str, kind: str, precision: str, deterministic: bool) -> str:
    """Name of the folder of records that may share a table: ``<backend>-<device kind>-<precision>``, and ``-fast``
    where operations need not give the same bits each time."""
    return f"{backend}-{kind}-{precision}{'' if deterministic else FAST}"


def expected(precision: str, threads: int, devices: int = 1) -> dict[str, Any]:
    """What ``metadata`` would return, without the backend that a failed process can no longer be asked for."""
    return metadata(runtime.Device(device_kind(), device_kind()), precision, threads, devices)


def metadata(device: runtime.Device, precision: str, threads: int, devices: int = 1) -> dict[str, Any]:
    """Hardware and software of this process, JSON-ready. devices: of this kind, that its training shares."""
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "device": f"{devices} x {device.name}" if devices > 1 else device.name,
        "device_kind": _times(device.kind, devices),
        "backend": runtime.backend_name(),
        "precision": precision,
        "threads": threads,
        "python": platform.python_version(),
        "versions": runtime.versions(),
        "os": f"{platform.system()} {platform.machine()}",
    }


def cpu_name() -> str:
    """The processor of the machine that processes run on, as ``device_kind``."""
    return _elsewhere.get("cpu_name") or own_cpu_name()


@cache
def own_cpu_name() -> str:
    """The processor's model and the vector instructions that change rounding: the CPU's machine kind. A limit that the
    user has set to oneDNN's makes another kind of the same processor."""
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
    name = f"{model} ({flags})" if flags else model
    limits = [os.environ[key] for key in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA") if os.environ.get(key)]
    return f"{name}, oneDNN up to {limits[0]}" if limits and limits[0] not in ("ALL", "DEFAULT") else name


def source() -> dict[str, Any]:
    """Commit, whether the checkout differs from it, and a hash of the code; for the record, not the fingerprint."""
    result, dirty = provenance.commit(ROOT, "lungseg", "bench")
    return {"commit": result, "dirty": dirty, "sha256": sources_sha256("lungseg", "bench")}


def working_commit() -> tuple[str | None, bool | None]:
    """Commit of the repository around the working directory, which may be another project's than this code's, and
    whether its tracked files differ from it; (None, None) where there is none."""
    result = provenance.git(Path.cwd(), "rev-parse", "HEAD")
    return result, bool(provenance.git(Path.cwd(), "status", "--porcelain", "--untracked-files=no")) if result else None


def sources_sha256(*folders: str) -> str:
    """Hash over the names and bytes of the Python files below these folders of the checkout."""
    return provenance.sources_sha256(ROOT, *folders)


if __name__ == "__main__":
    print(json.dumps({"device_kind": own_device_kind(), "cpu_name": own_cpu_name()}))
