"""Status and message of a failed cell, from its exception or from the way its process ended."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Mapping
from typing import Any

from bench.running.child import Child
from bench.running.executor import Say
from lungseg.errors import ContractError, LungsegError

MESSAGE = 2000  # characters of an exception's text that are stored

# By the exception's name, because no backend may be imported to know its classes.
STATUS_OF = {
    "Diverged": "diverged",
    "MemoryError": "oom",
    "_ArrayMemoryError": "oom",
    "ResourceExhaustedError": "oom",
    "OutOfMemoryError": "oom",
    "ContractError": "contract",
}
OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED", "Out of memory", "OOM when allocating", "std::bad_alloc",
    "Out Of Memory", "oom-kill",  # of srun and slurmstepd, where a cgroup's limit ended the process; the code is 1
)  # fmt: skip
# A slow or small machine ends so, too; the code may be as good as ever. A process that died without a word may be both.
NOT_OF_THE_CODE = ("timeout", "oom", "crashed")
NOT_REPRODUCIBLE = ("determinism", "deterministic")


def telling(run: Callable[[dict[str, Any], Say], object]) -> Callable[[dict[str, Any], Say], int]:
    """``run`` as the work of a child process: a failure is reported as an event before it ends the process."""

    def work(job: dict[str, Any], say: Say) -> int:
        try:
            run(job, say)
        except BaseException as error:
            say({"event": "failed", **describe(error)})
            if isinstance(error, LungsegError):
                return error.exit_code
            raise
        say({"event": "done"})
        return 0

    return work


def describe(error: BaseException) -> dict[str, Any]:
    """The child's side: status, type, message, memory and what there is of the history."""
    named = nondeterministic(error) or error
    kind, message = type(named).__name__, str(named)
    status = STATUS_OF.get(kind, "crashed")
    if status == "crashed" and any(word in message for word in OUT_OF_MEMORY):
        status = "oom"
    return {
        "status": status,
        "type": kind,
        "message": message[:MESSAGE],
        "history": getattr(error, "history", None),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def nondeterministic(error: BaseException) -> ContractError | None:
    """The ContractError for a backend's message that an operation has no deterministic kernel; None for others."""
    message = str(error)
    refused = type(error).__name__ in ("UnimplementedError", "FailedPreconditionError", "RuntimeError")
    if not refused or not any(word in message.lower() for word in NOT_REPRODUCIBLE):
        return None
    return ContractError(
        "an operation of this architecture has no deterministic kernel on this device, so its results could not be "
        f"reproduced; replace it ({message[: MESSAGE // 2]})"
    )


def of_process(child: Child, code: int, reached: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """The parent's side: status, and the error as a record holds it. reached: the last epoch that was told, if any."""
    said = child.failure or {}
    if child.timed_out:
        until = f", {reached['epoch']} of {reached['epochs']} epochs" if reached else ""
        status, kind, message = "timeout", "Timeout", f"not finished within {child.job.timeout_s:.0f} s{until}"
    elif said:
        status, kind, message = said["status"], said["type"], said["message"]
    elif code in (-signal.SIGKILL, 128 + signal.SIGKILL):  # as a launch prefix spells it
        status, kind, message = "oom", "Killed", "killed by signal 9, as the kernel does when memory runs out"
    elif any(word in child.tail() for word in OUT_OF_MEMORY):
        status, kind, message = "oom", "Exit", f"ended with code {code}, out of memory"
    else:
        status, kind, message = "crashed", "Exit", f"ended with code {code} without a word"
    return status, {"type": kind, "message": message, "stderr_tail": child.tail()}
