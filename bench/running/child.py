"""A job's process from both ends: the parent starts it, sends the job, reads its events, ends it and says how it ended;
the child reads the job, does the work and tells events.

A process reads JSON on standard input and tells events on standard output; all other output goes to a log. How one
failed follows from its exception or from the way it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.running import lock
from lungseg import runtime
from lungseg.errors import ContractError, EnvironmentFailure, LungsegError
from lungseg.provenance import ROOT

if TYPE_CHECKING:
    from bench.running.executor import Job

Event = dict[str, Any]
Say = Callable[[Event], None]

GRACE_S = 3.0  # that a process which was started through a prefix has to end by itself
BEGINS, ENDS = "begins", "ends"  # the events that a process tells first and last, whatever it works at
TAIL = 3000  # characters of a log that are shown and stored
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
NOT_REPRODUCIBLE = ("determinism", "deterministic")


@dataclass(eq=False)
class Child:
    """A running job. ``wait`` reads its events; ``stop`` ends it and everything it started.

    launch: command prefix that starts it. variables: of its environment, beside those of every job.
    """

    job: Job
    launch: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    timed_out: bool = False
    failure: Event | None = None
    peak_memory_bytes: int | None = None
    process: subprocess.Popen[str] | None = field(default=None, repr=False)
    stopped: bool = False
    began: float | None = None  # on the clock of ``time.monotonic``, when the process itself said so
    ended: bool = False  # whether the process said so

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches it only through us."""
        job = self.job
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            environment = runtime.for_child(job.threads, job.deterministic, job.compilation_cache)
            with job.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [*self.launch, sys.executable, "-m", job.module],
                    cwd=ROOT,
                    env={**environment, **self.variables},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    errors="replace",  # of what a launch prefix prints
                    start_new_session=True,
                    pass_fds=lock.descriptors(),
                )
        except OSError as error:
            raise EnvironmentFailure(
                f"{job.module} cannot be started with its log {job.log} ({error.strerror}); free memory, "
                "processes or disk space, then run the same command again"
            ) from error
        if self.stopped:  # while it was being started
            self.stop()

    def run(self, say: Say) -> int:
        """Start, pass on events until the end, and leave nothing behind, whatever comes between; its exit code."""
        try:
            self.start()
            return self.wait(say)
        finally:
            self.stop()

    def wait(self, say: Say) -> int:
        """Send the job, pass on events until the process ends; its exit code (negative: the signal)."""
        process = self.process
        assert process
        assert process.stdin
        assert process.stdout
        timer = threading.Timer(self.job.timeout_s, self._time_out)
        if not self.launch:
            timer.start()
        try:
            try:  # standard input stays open: its end tells the child that we are gone
                process.stdin.write(json.dumps(self.job.payload) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass  # it died at once; its log says why
            for line in process.stdout:
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # it was killed while it wrote; its exit code shows how it ended
                if not (isinstance(event, dict) and "event" in event):
                    continue  # a launch prefix printed it, such as the number of a queue's job
                if event["event"] == BEGINS:
                    self.began = time.monotonic()
                    if self.launch:  # its time begins when it does: a queue's wait is none of it
                        timer.start()
                    continue
                if event["event"] == ENDS:
                    self.ended = True
                    continue
                if event["event"] == "failed":
                    self.failure = event
                say(event)
            return self._reap(process)
        finally:
            timer.cancel()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()

    def _reap(self, process: subprocess.Popen[str]) -> int:
        """Wait for the end as ``process.wait`` does, and learn how much memory it took, killed or not."""
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except ChildProcessError:  # somebody else has waited for it
            return process.wait()
        process.returncode = os.waitstatus_to_exitcode(status)
        of_itself = (self.failure or {}).get("peak_memory_bytes")  # where a prefix's own memory would be measured
        self.peak_memory_bytes = of_itself if self.launch else usage.ru_maxrss * 1024
        return process.returncode

    def stop(self) -> None:
        """Kill the process group; harmless when it has ended. Does not wait for it: ``wait`` does.

        One that was started elsewhere through a prefix is asked first, in GRACE_S seconds each: by the end of its
        input, then by SIGTERM; a prefix killed at once would leave it running.
        """
        repeated, self.stopped = self.stopped, True
        if self.process is None or self.process.returncode is not None or (repeated and self.launch):
            return
        if not self.launch:
            self._signal(signal.SIGKILL)
            return
        with contextlib.suppress(OSError, ValueError):
            if self.process.stdin:
                self.process.stdin.close()
        for k, number in enumerate((signal.SIGTERM, signal.SIGKILL), start=1):
            threading.Timer(k * GRACE_S, self._signal, (number,)).start()

    def _signal(self, number: int) -> None:
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def _time_out(self) -> None:
        self.timed_out = True
        self.stop()

    def tail(self) -> str:
        """End of the log."""
        try:
            text = self.job.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return text[-TAIL:]


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


def serve(work: Callable[[dict[str, Any], Say], int]) -> int:
    """The child's side: read the job, do the work, end when the parent dies.

    Whatever libraries print goes to standard error, which is the log.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"event": BEGINS}), file=events, flush=True)
    job = json.loads(sys.stdin.readline())

    def orphaned() -> None:
        sys.stdin.read()
        os._exit(130)

    threading.Thread(target=orphaned, daemon=True).start()
    code = work(job, lambda event: print(json.dumps(event), file=events, flush=True))
    print(json.dumps({"event": ENDS}), file=events, flush=True)
    return code


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
