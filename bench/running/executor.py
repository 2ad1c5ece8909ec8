"""Executors run jobs, each in a fresh process, and return outcomes. The local one starts the process itself; to add
another, write a class and a row in ``EXECUTORS``."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench import machine
from bench.running import ssh
from bench.running.child import Child, Event, Say, of_process
from lungseg.errors import DataError, EnvironmentFailure, UsageError

LOST = "lost"  # what became of a job whose node is gone; never the end of it
TIMES = 3  # that a job is begun: one that loses its node so often is held to be the reason, by its memory say

# A slow or small machine ends so, too; the code may be as good as ever. A process that died without a word may be both.
NOT_OF_THE_CODE = ("timeout", "oom", "crashed")
OF_THE_MACHINE = (OSError, MemoryError, RuntimeError)


def of_the_code(status: str, kind: str) -> bool:
    """Whether a failure of this status shows that the code is wrong: also a crash by an exception of Python's own, such
    as NameError, except those of file systems and networks and what backends raise where a device fails.

    kind: the exception's name.
    """
    raised = getattr(builtins, kind, None)
    own = isinstance(raised, type) and issubclass(raised, Exception) and not issubclass(raised, OF_THE_MACHINE)
    return status not in NOT_OF_THE_CODE or (status == "crashed" and own)


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
            # also where it takes all of them: its process would use a card of another kind that lies between them
            cards = by_jobs[:devices] if len(by_jobs) >= max(devices, 2) else []
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
            if thread.ident is not None:  # of one that could not be started, the error is on its way
                thread.join(timeout=5)
    if troubles:
        raise troubles[0]
