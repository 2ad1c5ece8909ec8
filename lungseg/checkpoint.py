"""A training's whole state in one file, so that a killed one goes on to the same bits.

One file an epoch, written atomically, checksummed, the last two kept: a damaged newest one costs an epoch.
Keras's ``BackupAndRestore`` writes two files one after the other, forgets the callbacks' state and accepts a
changed loss or batch size; a whole saved model could run code when it is loaded. Here are arrays and JSON only.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungseg import atomic

MAGIC = b"lungseg checkpoint 1\n"
GENERATIONS = 2
SHARE = 0.02  # of a training's time; half a gigabyte of a large network takes seconds, its epochs may take less
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class State:
    """What is needed to go on. epoch: how many are done. arrays: lists of NumPy arrays by what they are of
    (``model``, ``optimizer``, ``best``), in the order of their variables. facts: callbacks and history, JSON-ready
    (infinite and missing numbers allowed: Python's dialect of JSON keeps every bit of a float)."""

    epoch: int
    arrays: Mapping[str, Sequence[np.ndarray]]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training in a folder of their own.

    identity: of everything that decides the training's numbers, code and versions included; a file of another
    identity is never taken up. every_s: least seconds between two files; 0 writes one at each epoch.
    """

    folder: Path
    identity: str
    every_s: float = 5.0

    def wait_s(self, took_s: float) -> float:
        """Seconds until the next file, after one that took so long: a training spends 2 % on them at most."""
        return max(self.every_s, took_s / SHARE) if self.every_s else 0.0

    def save(self, state: State) -> None:
        """Write the state, then drop all but the last two. Raises EnvironmentFailure (the old ones stay)."""
        payload = _packed(self.identity, state)
        atomic.write_bytes(self._path(state.epoch), MAGIC, hashlib.sha256(payload).digest(), payload)
        for path in self._paths()[GENERATIONS:]:
            path.unlink(missing_ok=True)

    def load(self) -> State | None:
        """The newest state that is whole and of this identity, None if there is none.

        Files that are damaged or of another identity are removed: the newest two are kept by their epoch, so one
        that can never be used would push out one that can.
        """
        usable = None
        for path in self._paths():
            state = _unpacked(path, self.identity)
            if state is None:
                path.unlink(missing_ok=True)
            usable = usable or state
        return usable

    def clear(self) -> None:
        """Remove them all: the training's result is stored."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}.checkpoint"

    def _paths(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("epoch-*.checkpoint"), reverse=True)


def _packed(identity: str, state: State) -> bytes:
    about = {
        "identity": identity,
        "epoch": state.epoch,
        "arrays": {name: len(values) for name, values in state.arrays.items()},
        "facts": state.facts,
    }
    named = {f"{name}.{k}": value for name, values in state.arrays.items() for k, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **named)
    return buffer.getvalue()


def _unpacked(path: Path, identity: str) -> State | None:
    """The state in a file; None when it is damaged (its hash tells) or of another identity."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    payload = data[len(MAGIC) + _DIGEST :]
    if data[: len(MAGIC) + _DIGEST] != MAGIC + hashlib.sha256(payload).digest():
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as held:
        about = json.loads(held["about"].tobytes())
        if about["identity"] != identity:
            return None
        arrays = {name: [held[f"{name}.{k}"] for k in range(n)] for name, n in about["arrays"].items()}
    return State(about["epoch"], arrays, about["facts"])
