"""Checkpoints: the complete state of a training in one file, so that a resumed training ends with the same bits.

One file now and then, at the end of an epoch, written atomically, checksummed, the last two kept: a damaged newest one
costs the time since the one before.
Keras's ``BackupAndRestore`` writes two files one after the other, forgets the callbacks' state and accepts a
changed loss or batch size; a whole saved model could run code when it is loaded. Here are arrays and JSON only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungseg import atomic
from lungseg.errors import EnvironmentFailure

MAGIC = b"lungseg checkpoint 1\n"
GENERATIONS = 2
SHARE = 0.02  # of a training's time; half a gigabyte of a large network takes seconds, its epochs may take less
BYTES_PER_S = 250e6  # at which one is written, until the first tells: 2.0 s for U-Net at width 64, off an H200
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class State:
    """What is needed to go on. epoch: how many are done. arrays: lists of NumPy arrays by what they are of
    (``model``, ``optimizer``, ``best``, ``average``), in the order of their variables. metadata: callbacks and history,
    JSON-ready (infinite and missing numbers allowed: Python's dialect of JSON keeps every bit of a float)."""

    epoch: int
    arrays: Mapping[str, Sequence[np.ndarray]]
    metadata: Mapping[str, Any]


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
        """Seconds until the next file, if one takes so long: files take 2 % of a training at most. A training that is
        cut off loses at most these seconds and the epoch that follows them, even if it had just ended."""
        return max(self.every_s, took_s / SHARE) if self.every_s else 0.0

    def save(self, state: State) -> None:
        """Write the state, then drop all but the last two. Raises EnvironmentFailure (the old ones stay)."""
        payload = _packed(self.identity, state)
        atomic.write_bytes(self._path(state.epoch), MAGIC, hashlib.sha256(payload).digest(), payload)
        for path in self._paths()[GENERATIONS:]:
            _remove(path)

    def load(self) -> State | None:
        """The newest state that is whole and of this identity, None if there is none.

        Newer files that are damaged or of another identity are removed: the newest two are kept by their epoch, so
        one that can never be used would push out one that can. Raises EnvironmentFailure for a file that cannot be
        read: that it is damaged is then not known.
        """
        for path in self._paths():
            state = _unpacked(path, self.identity)
            if state is not None:
                return state
            _remove(path)
        return None

    def clear(self) -> None:
        """Remove them all: the training's result is stored."""
        for path in self._paths():
            _remove(path)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}.checkpoint"

    def _paths(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("epoch-*.checkpoint"), reverse=True)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # one that stays takes room and nothing else
        path.unlink()


def _packed(identity: str, state: State) -> memoryview:
    about = {
        "identity": identity,
        "epoch": state.epoch,
        "arrays": {name: len(values) for name, values in state.arrays.items()},
        "metadata": state.metadata,
    }
    named = {f"{name}.{k}": value for name, values in state.arrays.items() for k, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **named)
    return buffer.getbuffer()


def _unpacked(path: Path, identity: str) -> State | None:
    """The state in a file; None when it is damaged (its hash tells) or of another identity.

    Read from the file itself: a copy of half a gigabyte would count in the peak memory of a resumed training only.
    """
    try:
        with path.open("rb") as file:
            head, digest = file.read(len(MAGIC)), file.read(_DIGEST)
            start = file.tell()
            if head != MAGIC or digest != hashlib.file_digest(file, "sha256").digest():
                return None
            file.seek(start)
            with np.load(file, allow_pickle=False) as held:
                about = json.loads(held["about"].tobytes())
                if about["identity"] != identity:
                    return None
                arrays = {name: [held[f"{name}.{k}"] for k in range(n)] for name, n in about["arrays"].items()}
    except OSError as error:
        raise EnvironmentFailure(
            f"{path}: cannot be read ({error.strerror}); make it readable, or remove it to train from the beginning"
        ) from error
    return State(about["epoch"], arrays, about["metadata"])
