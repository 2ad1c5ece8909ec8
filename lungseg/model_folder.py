"""Model folders: the format in which trained networks are stored and shared, fully checked before use.

``card.json`` says what it is, ``weights.npz`` holds its weights, ``model.onnx``, where there is one, the whole graph
for ONNX Runtime, and ``SHA256SUMS`` the hash of each (``sha256sum -c SHA256SUMS`` checks them, too). The weights' graph
is built from the registry by its name, so no file of a folder is ever run or unpickled. Hashes tell damage and
tampering with single files; who may write the folder can also replace them, so use folders from sources that you trust.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungseg import architectures, atomic
from lungseg.card import Card, parse
from lungseg.errors import DataError, UsageError
from lungseg.provenance import weights_sha256
from lungseg.terminal import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras

CARD, WEIGHTS, ONNX, SUMS = "card.json", "weights.npz", "model.onnx", "SHA256SUMS"
NEEDED, ALLOWED = {CARD, SUMS}, {CARD, WEIGHTS, ONNX, SUMS}
MOST_BYTES = 2 << 30  # of one file
HEADERS = 4096  # bytes of names and shapes that an archive of arrays may hold beside an array's own
AGAIN = "get the folder again from its source"
SHIPPED = Path(__file__).resolve().parent / "models"  # those of the package
DEFAULT = "lwnet-128"


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose files are those that its hashes were made of. Read it by ``open_folder``.

    onnx: bytes of the ONNX graph, None where it was not exported. weights: bytes of the npz, None where the graph alone
    was kept.
    """

    path: Path
    card: Card
    onnx: bytes | None
    weights: bytes | None


def save(folder: Path, card: Card, weights: Sequence[np.ndarray] | None, onnx: bytes | None = None) -> None:
    """Write a new model folder whole or not at all.

    weights: of the network in the order of ``keras.Model.get_weights``; None where only the ONNX graph is kept.
    Raises UsageError where the folder exists or would hold no network, EnvironmentFailure where it cannot be written.
    """
    if weights is None and onnx is None:
        raise UsageError(f"{folder}: a model folder needs weights or an ONNX graph")
    if folder.exists():
        raise UsageError(f"{folder}: exists; remove it or choose another name")
    files = files_of(ModelFolder(folder, card, onnx, None if weights is None else _packed(weights)))
    with atomic.whole_folder(folder) as work:
        for name, data in files.items():
            (work / name).write_bytes(data)


def open_folder(folder: str | Path) -> ModelFolder:
    """Read a model folder and check it: only the four known files, their hashes, the card. Nothing is built or run.

    Raises DataError with one sentence that names the file and what is wrong.
    """
    folder = expanded(folder)
    if not folder.is_dir():
        what = "a file, not a model folder" if folder.exists() else "no such model folder"
        raise DataError(f"{folder}: {what}; `lungseg train` makes one")
    try:
        entries = {entry.name: entry for entry in folder.iterdir()}
        if foreign := sorted(entries.keys() - ALLOWED):
            raise DataError(
                f"{folder}: holds {foreign[0]!r}, which no model folder has (only {', '.join(sorted(ALLOWED))})"
            )
        if missing := sorted(NEEDED - entries.keys()):
            raise DataError(f"{folder}: has no {missing[0]}, so it is not a model folder; {AGAIN}")
        if odd := next((e for e in entries.values() if e.is_symlink() or not e.is_file()), None):
            raise DataError(f"{odd}: is not a regular file; {AGAIN}")
        if large := next((e for e in entries.values() if e.stat().st_size > MOST_BYTES), None):
            raise DataError(f"{large}: is larger than any network here; {AGAIN}")
        files = {name: entry.read_bytes() for name, entry in entries.items()}
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
    return _checked(folder, files)


def _checked(folder: Path, files: dict[str, bytes]) -> ModelFolder:
    """Files of a folder, by name, once their hashes and the card were checked."""
    sums = files.pop(SUMS)
    if sums != _sums(files):
        details = sums.decode(errors="replace").splitlines()
        listed = {name for line in details if (name := line[66:]) in ALLOWED}
        if missing := sorted(listed - files.keys()):
            raise DataError(f"{folder}: has no {missing[0]}, which {SUMS} lists; {AGAIN}")
        wrong = next((name for name in sorted(files) if _line(name, files[name]) not in details), SUMS)
        raise DataError(f"{folder / wrong}: is not the file that {SUMS} was made of (damaged or changed); {AGAIN}")
    card = parse(files[CARD], str(folder / CARD))
    onnx, weights = files.get(ONNX), files.get(WEIGHTS)
    if onnx is None and weights is None:
        raise DataError(f"{folder}: has neither {WEIGHTS} nor {ONNX}; {AGAIN}")
    return ModelFolder(folder, card, onnx, weights)


def shipped() -> list[str]:
    """Names of the shipped models."""
    return sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else []


def find(model: str | Path) -> ModelFolder:
    """The model folder at a path, or the shipped model of that name, checked. Raises DataError where there is none."""
    if isinstance(model, str) and model in shipped():
        return open_folder(SHIPPED / model)
    if not expanded(model).exists():
        known = f"; shipped are {', '.join(shipped())}" if shipped() else ""
        raise DataError(f"{model}: no such model folder{known}")
    return open_folder(model)


def build(model: ModelFolder) -> keras.Model:
    """The network with its weights, not compiled. Raises DataError where they are not this network's."""
    where = model.path / WEIGHTS
    if model.weights is None:
        raise DataError(
            f"{model.path}: has no {WEIGHTS}, only an ONNX graph, which `lungseg predict` and lungseg.predict run"
        )
    from lungseg.architectures.blocks import LayerFactory

    card = model.card
    network = architectures.build(card.architecture, (*card.size, 1), card.width, LayerFactory(momentum=card.momentum))
    weights = _unpacked(model.weights, network.get_weights(), str(where))
    network.set_weights(weights)
    if weights_sha256(weights) != card.weights_sha256:
        raise DataError(f"{where}: does not hold the weights that the card names; {AGAIN}")
    return network


def files_of(model: ModelFolder) -> dict[str, bytes]:
    """The folder's files by name, with their hashes."""
    card = model.card.text().encode()
    parse(card, str(model.path / CARD))  # what could not be read back is not written
    held = {CARD: card, WEIGHTS: model.weights, ONNX: model.onnx}
    result = {name: data for name, data in held.items() if data is not None}
    return {**result, SUMS: _sums(result)}


def update(
    model: ModelFolder, *, card: Callable[[Card], Card] | None = None, onnx: bytes | None = None
) -> ModelFolder:  # fmt: skip
    """Change the card or replace the ``onnx`` graph of a folder on disk, and return the folder as it now is.

    card: from the card that the folder holds now, which another process may have changed since ``model`` was read, to
    the new one; one process at a time changes a folder. A kill in between leaves a folder that is refused, not mixed.
    Raises DataError where the folder holds other weights than ``model`` by now, or where the new card is none.
    """
    with _held(model.path):
        now = open_folder(model.path)
        if now.card.weights_sha256 != model.card.weights_sha256:
            raise DataError(f"{model.path}: was replaced by another model meanwhile; run the same command again")
        new = replace(now, card=card(now.card) if card else now.card, onnx=now.onnx if onnx is None else onnx)
        for name, data in files_of(new).items():
            atomic.write_bytes(model.path / name, data)
        return open_folder(model.path)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder itself, which may contain no lock file, among processes and threads that change it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise atomic.refused(folder, error) from error
    try:
        with suppress(OSError):  # NFS locks no folder: an update there is as safe as it can be
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{_line(name, files[name])}\n" for name in sorted(files) if name != SUMS).encode()


def _line(name: str, data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}"


def _packed(weights: Sequence[np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{f"w{k:04d}": weight for k, weight in enumerate(weights)})
    return buffer.getvalue()


def _unpacked(data: bytes, like: Sequence[np.ndarray], where: str) -> list[np.ndarray]:
    """Arrays of the shapes and types of these, in order. The archive says how large it is before it is unpacked."""
    most = sum(array.nbytes + HEADERS for array in like)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > most:
                raise DataError(f"{where}: is larger than this network's weights; {AGAIN}")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            if set(held.files) != {f"w{k:04d}" for k in range(len(like))}:
                raise DataError(f"{where}: holds {len(held.files)} arrays, this network has {len(like)}; {AGAIN}")
            result = [np.asarray(held[f"w{k:04d}"]) for k in range(len(like))]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error) as error:
        raise DataError(f"{where}: cannot be read as arrays of numbers ({error}); {AGAIN}") from error
    for k, (array, other) in enumerate(zip(result, like, strict=True)):
        if array.shape != other.shape or array.dtype != other.dtype or not np.isfinite(array).all():
            expected = f"finite {other.dtype} {other.shape}"
            raise DataError(f"{where}: array {k} is {array.dtype} {array.shape}, expected {expected}; {AGAIN}")
    return result
