"""Executors run jobs, each in a fresh process, and return outcomes. The local one starts the process itself; to add
another, write a class and a row in ``EXECUTORS``.

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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench import machine
from bench.running import lock, ssh
from lungseg import runtime
from lungseg.errors import ContractError, DataError, EnvironmentFailure, LungsegError, UsageError
from lungseg.provenance import ROOT

Event = dict[str, Any]
Say = Callable[[Event], None]


LOST = "lost"  # what became of a job whose node is gone; never the end of it
TIMES = 3  # that a job is begun: one that loses its node so often is held to be the reason, by its memory say
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
# A slow or small machine ends so, too; the code may be as good as ever. A process that died without a word may be both.
NOT_OF_THE_CODE = ("timeout", "oom", "crashed")
NOT_REPRODUCIBLE = ("determinism", "deterministic")


class Stopped(Exception):
    """The executor was stopped; unfinished work is left to the next command."""


@dataclass(frozen=True)
class Job:
    """Work of one fresh process: ``python -m <module>``, which reads the payload and tells events.

    payload: JSON-ready. log: what it prints. timeout_s: wall-clock seconds after which it is ended, a wait in a
    queue left out. compilation_cache: folder of compiled programs for the next process, see ``runtime.environment``.
    devices: that it computes on.
    """

    module: str
    payload: dict[str, Any]
    threads: int
    log: Path
    timeout_s: float
    deterministic: bool = True
    compilation_cache: Path | None = None
    devices: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a job ended. status: ``ok`` or how it failed. error: type, message and end of the log, None when all is well.
    history: until then, of a training. explained: whether an exception of its own said why it failed."""

    status: str
    seconds: float
    error: dict[str, str] | None = None
    peak_memory_bytes: int | None = None
    history: dict[str, list[float | None]] | None = None
    explained: bool = False

    def raise_what_ends_the_run(self) -> None:
        """Raise the errors that concern the whole run, not the job: changed data, a full disk, a backend that does not
        fit the machine. Finished work is kept."""
        for kind in (DataError, EnvironmentFailure, UsageError):
            if self.error and self.explained and self.error["type"] == kind.__name__:
                raise kind(self.error["message"])

    @property
    def describe(self) -> str:
        """A failure as lines: status, message, end of the log."""
        error = self.error or {"type": "", "message": "", "stderr_tail": ""}
        return f"{self.status}\n  {error['type']}: {error['message']}\n{error['stderr_tail']}"


class Executor(Protocol):
    """Runs jobs, from several threads at once."""

    stopping: threading.Event  # set once nothing more may be started

    def submit(self, job: Job, say: Say = ...) -> Outcome:
        """Run the job, tell its events as they come, and return when it has ended. Raises Stopped where ``stop`` came
        before its end, EnvironmentFailure where it cannot be started."""

    def stop(self) -> None:
        """End what runs; later jobs raise Stopped."""


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
                except ValueError:
                    continue  # it was killed while it wrote; its exit code shows how it ended
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


@dataclass
class Local:
    """Each job in a process of its own, on this machine or where a launch prefix starts it. Where this machine has
    several cards of one kind, a job sees the one with the fewest jobs, or as many of those as it computes on.

    launch: command prefix, without a shell, such as ``srun --ntasks=1``. The command started must pass on
    standard input and output as they come, end when its input does, and give the process's exit code or 128 + signal.
    """

    launch: tuple[str, ...] = ()
    stopping: threading.Event = field(default_factory=threading.Event)
    children: set[Any] = field(default_factory=set, repr=False)
    jobs: Counter[str] = field(default_factory=Counter, repr=False)  # that run on each card
    choosing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    cards: tuple[str, ...] | None = field(default=None, repr=False)  # asked for once: ``nvidia-smi`` takes seconds

    def submit(self, job: Job, say: Say = lambda event: None) -> Outcome:
        """See ``Executor``. Where the node of a launched process is lost, it is begun again."""
        for attempt in range(1, TIMES):
            outcome = self._tried(job, say)
            if outcome.status != LOST:
                return outcome
            tell_lost(job, attempt, outcome.describe.splitlines()[-1])
        outcome = self._tried(job, say)
        return replace(outcome, status="crashed") if outcome.status == LOST else outcome

    @contextmanager
    def _chosen(self, devices: int) -> Iterator[dict[str, str]]:
        """Variables by which a job sees so many cards; none where there is no choice, or a prefix's to make."""
        with self.choosing:
            if self.cards is None:
                self.cards = () if self.launch else machine.cards()
            by_jobs = sorted(self.cards, key=lambda card: self.jobs[card])  # of equal ones the first
            cards = by_jobs[:devices] if len(by_jobs) > devices else []
            self.jobs.update(cards)
        try:
            yield {"CUDA_VISIBLE_DEVICES": ",".join(cards)} if cards else {}
        finally:
            with self.choosing:
                self.jobs.subtract(cards)

    def _tried(self, job: Job, say: Say) -> Outcome:
        """Of one process. Status LOST: it has not ended, but what it was started through has, as if all were well
        (``srun`` gives 0 when a node fails) or with ``ssh``'s own code."""
        began, reached = time.monotonic(), dict[str, Any]()

        def hear(event: Event) -> None:
            if event["event"] == "epoch":
                reached.update(event)
            say(event)

        with self._chosen(job.devices) as variables:
            child = Child(job, self.launch, variables)
            self.children.add(child)
            try:
                if self.stopping.is_set():
                    raise Stopped
                code = child.run(hear)
            finally:
                self.children.discard(child)
        if self.stopping.is_set():
            raise Stopped
        seconds = time.monotonic() - ((child.began if self.launch else None) or began)
        if code == 0 and child.ended:
            return Outcome("ok", seconds, peak_memory_bytes=child.peak_memory_bytes)
        status, error = of_process(child, code, reached)
        if self.launch and child.began and not child.timed_out and not child.failure and code in (0, ssh.FAILED):
            status = LOST
        history = (child.failure or {}).get("history")
        return Outcome(status, seconds, error, child.peak_memory_bytes, history, child.failure is not None)

    def stop(self) -> None:
        """See ``Executor``."""
        self.stopping.set()
        for child in list(self.children):
            child.stop()


def _ray(address: str = "", workers: int = 1) -> Executor:
    from bench.running.ray_executor import Ray  # late: Ray is an extra

    return Ray(address, workers)


EXECUTORS: dict[str, Callable[..., Executor]] = {"local": Local, "ray": _ray}
LAUNCHES = {  # words by name; ``ssh:HOST,HOST`` is one, too
    "slurm": "srun --ntasks=1 --cpus-per-task=2 --unbuffered --kill-on-bad-exit=1",
}


def tell_lost(job: Job, attempt: int, why: str) -> None:
    """On standard error: a job has lost its node."""
    print(f"{job.log}: lost its node, {attempt} of {TIMES} times ({why})", file=sys.stderr, flush=True)


def in_parallel(executor: Executor, work: Callable[[], None], count: int) -> None:
    """Do ``work`` in ``count`` threads, each of which submits one job at a time, and return when all have ended.

    The first error of one, raised here again, stops the executor and so the others, and so does Ctrl-C.
    """
    troubles: list[Exception] = []
    running = set(range(count))

    def guarded(place: int) -> None:
        try:
            work()
        except Stopped:
            pass
        except Exception as error:  # a full disk, say: raised again in the main thread
            troubles.append(error)
            executor.stopping.set()
        finally:
            running.discard(place)

    threads = [threading.Thread(target=guarded, args=(place,), daemon=True) for place in range(count)]
    try:
        for thread in threads:
            thread.start()
        while running and not troubles:
            time.sleep(0.1)
    finally:
        if running:  # an error or Ctrl-C: the others are at work
            executor.stop()
        for thread in threads:
            thread.join(timeout=5)
    if troubles:
        raise troubles[0]


# What follows runs in the process, but for ``of_process``.


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
