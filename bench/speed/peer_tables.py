"""Tables of our U-Net beside the same network in native PyTorch, as ``bench.speed.peers`` stored them: read alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bench.records.results import Results
from lungseg import csv_file

OURS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # peer's precision -> Keras policy


@dataclass(frozen=True)
class PeerTable:
    """One file: both networks on one device kind at one size (rows, columns), a row for each peer and precision."""

    file: str
    device_kind: str
    size: tuple[int, int]
    rows: tuple[Mapping[str, str], ...]


def load(results: Results) -> list[PeerTable]:
    """Every ``peers/<device kind>.<size>.csv`` of the folder's throughput, the smallest images first."""
    result = []
    for path in results.throughput("peers").glob("*.csv"):
        kind, _, last = path.stem.rpartition(".")
        size = re.fullmatch(r"(\d+)x(\d+)", last)
        if kind and size:
            result.append(
                PeerTable(path.name, kind, (int(size[1]), int(size[2])), tuple(csv_file.read(path)[1]))
            )  # fmt: skip
    return sorted(result, key=lambda peers: (peers.device_kind, peers.size))
