"""A launch prefix for machines without a queue: ``python -m bench.running.ssh HOST,HOST WORDS...`` runs the words on
the host that is least busy with them, by ``ssh``. Preset ``ssh:HOST,HOST`` of ``--launch``.

Hosts need this checkout, its Python and the results folder under the same paths, and a key that asks for no password.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.names import file_slug
from lungseg import runtime
from lungseg.provenance import ROOT

SSH = (
    "ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
)  # fmt: skip
PREFIX = (sys.executable, "-m", "bench.running.ssh")
NEAR = "--near"  # this module on the host itself
GRACE_S = 3.0  # that a process has to end once its input has, which it sees unless it holds the interpreter
MOST = 1000  # processes of a host at a time
FAILED = 255  # as ssh itself says that it reached nothing
SENT = (
    "CUDA_", "DNNL_", "JAX_", "KERAS_", "LUNGSEG_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHON", "TF_", "XLA_",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Become ``ssh``, or on the host start the words. 255 where no host answers."""
    first, *words = arguments
    if first == NEAR:
        return near(words)
    asleep: list[str] = []
    while host := reserved([name for name in first.split(",") if name not in asleep]):
        if subprocess.run([*SSH, "--", host, "true"], stdin=subprocess.DEVNULL, check=False).returncode != FAILED:
            os.execvp(SSH[0], [*SSH, "--", host, command(words, os.environ)])  # noqa: S606 - words, and no shell here
        asleep.append(host)
    print(f"none of the hosts {first} is reached by {shlex.join(SSH)} HOST", file=sys.stderr)
    return FAILED


def command(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The words as a host's shell takes them apart again: in this checkout, with what a training needs to be told."""
    details = [f"{name}={text}" for name, text in runtime.kept(environment).items() if name.startswith(SENT)]
    unset = [f"--unset={name}" for name in runtime.FOREIGN]
    here = [*PREFIX, NEAR]
    return shlex.join(["env", f"--chdir={ROOT}", *unset, *details, *here, *words])


def reserved(hosts: Sequence[str]) -> str | None:
    """The first host with the fewest processes of this user's, this one among them until it ends; None without hosts.

    Known by locks on this machine, which the kernel lets go of when a process ends.
    """
    folder = Path(tempfile.gettempdir()) / f"lungseg-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder}: belongs to somebody else; remove it, or set TMPDIR to another folder")
    for place, host in itertools.product(range(MOST), hosts):
        handle = os.open(folder / f"{file_slug(host)}.{place}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        os.set_inheritable(handle, True)  # it is held by what this process becomes
        return host
    return hosts[-1] if hosts else None


def near(words: Sequence[str]) -> int:
    """Run the words here, with what comes on standard input; their exit code, or 128 + signal.

    With the end of the input they end, too.
    """
    process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    threading.Thread(target=_passed_on, args=(process,), daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _passed_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    with contextlib.suppress(OSError), process.stdin:
        while read := os.read(0, 2**16):
            process.stdin.write(read)
            process.stdin.flush()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
