"""Jobs on a Ray cluster: a thin task around the fresh process that ``Local`` starts, on whichever node has room.

What happens in the process is what happens without Ray, which finds a node, its processors and a share of a card, and
carries events back. A job whose node or worker is lost is begun again, on another node if need be; one that fails is
not. Nodes need this code, its Python and the results folder under the paths that they have here.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench import machine
from bench.running.child import Event, Say
from bench.running.executor import TIMES, Job, Local, Outcome, Stopped, tell_lost
from lungseg.errors import EnvironmentFailure

OBJECTS_BYTES = 80 * 2**20  # of an embedded cluster's store, near the least that Ray takes; only events pass through it
CARDS = "CUDA_VISIBLE_DEVICES"


class Ray:
    """Jobs as tasks of an existing cluster, or of one made of this machine alone, which ends with this process.

    address: of a cluster, ``auto`` or ``10.0.0.1:6379``; empty for one made here. workers: jobs at a time; where the
    cluster has fewer cards, some share one. Raises EnvironmentFailure where Ray is missing or does not start.
    """

    def __init__(self, address: str = "", workers: int = 1) -> None:
        self.ray = _started(address)
        self.stopping = threading.Event()
        self._tasks: dict[int, Any] = {}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        cards = sum(node.get("GPU", 0) for node in nodes) if os.environ.get(CARDS) not in ("", "-1") else 0
        self.cpus = max((node.get("CPU", 0) for node in nodes), default=0)  # more would wait for ever
        self.gpus = 1 / math.ceil(max(workers, 1) / cards) if cards else 0
        self.most_gpus = max((node.get("GPU", 0) for node in nodes), default=0)
        try:
            machine.learn(self.ray.get(self._remote(_machine, 1, self.gpus).remote(_environment(), self.gpus)))
        except self.ray.exceptions.RayError as error:
            raise _refused(address, error) from error

    def submit(self, job: Job, say: Say = lambda event: None) -> Outcome:
        """See ``Executor``. The outcome's seconds are the process's own: a wait for a node is none of them."""
        lost = self.ray.exceptions
        for attempt in range(1, TIMES + 1):
            try:
                return self._outcome(job, say)
            except lost.TaskCancelledError as error:
                raise Stopped from error
            except lost.OutOfMemoryError as error:  # Ray's own watch over a node's memory ended it
                # its first line alone: the others list what else runs on that node, and whose it is
                return _failed("oom", "Killed", str(error).partition("\n")[0])
            except lost.RayTaskError as error:
                raise EnvironmentFailure(f"a node of the Ray cluster cannot work: {error}") from error
            except lost.RayError as error:  # the worker or its node is gone
                if self.stopping.is_set():
                    raise Stopped from error
                why = str(error).partition("\n")[0]
                tell_lost(job, attempt, why)
        return _failed("crashed", "Lost", f"lost its node {TIMES} times: {why}")

    def _outcome(self, job: Job, say: Say) -> Outcome:
        """Of one task. Raises what became of it otherwise, as Ray says it."""
        gpus = job.devices if self.gpus and job.devices > 1 else self.gpus
        if gpus > max(self.most_gpus, 1):  # Ray would wait for such a node for ever
            raise EnvironmentFailure(
                f"{gpus} devices for one training: the Ray cluster's nodes have {self.most_gpus:g}"
            )
        remote = self._remote(_events, min(job.threads, self.cpus), gpus).options(num_returns="streaming")
        task = remote.remote(job, _environment(), gpus)
        self._tasks[id(task)] = task
        try:
            if self.stopping.is_set():
                raise Stopped
            for reference in task:
                event = self.ray.get(reference)
                if event["event"] == "refused":
                    raise EnvironmentFailure(event["message"])
                if event["event"] == "outcome":
                    if self.stopping.is_set():
                        raise Stopped
                    return Outcome(**event["outcome"])
                say(event)
            raise self.ray.exceptions.WorkerCrashedError
        except BaseException:  # of ``say``, too: nothing that nobody listens to may go on
            self._cancel(task)
            raise
        finally:
            del self._tasks[id(task)]

    def _remote(self, function: Any, cpus: float, gpus: float) -> Any:
        return self.ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(function)

    def stop(self) -> None:
        """See ``Executor``. A task's worker is killed, and with its input's end, and by Ray, so is the job's process;
        an interrupt, Ray's gentler way, may reach Ray's code rather than ours and leave the process running."""
        self.stopping.set()
        for task in list(self._tasks.values()):
            self._cancel(task)

    def _cancel(self, task: Any) -> None:
        """Harmless where the task has ended."""
        with contextlib.suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.cancel(task, force=True)


def _started(address: str) -> Any:
    """Ray's module, connected."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to Ray's makers
    # Ray's watch over a node's memory sees its workers, all small, not the cells that they start, and so ends them all;
    # the kernel ends the largest process
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    try:
        import ray
    except ImportError as error:
        raise EnvironmentFailure(f"--executor ray: Ray is missing ({error}); `pip install 'lungseg[ray]'`") from error
    if ray.is_initialized():
        return ray
    local: dict[str, Any] = {
        "address": "local",  # or Ray would join what RAY_ADDRESS names, or what ran here last
        "num_cpus": len(os.sched_getaffinity(0)), "include_dashboard": False, "object_store_memory": OBJECTS_BYTES,
    }  # fmt: skip
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(**({"address": address} if address else local), log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _refused(address, error) from error
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():  # Ray's own would end us without a word
            signal.signal(number, handler)
    return ray


def _refused(address: str, error: Exception) -> EnvironmentFailure:
    where = f"the Ray cluster at {address} does not answer" if address else "no Ray cluster can be started here"
    return EnvironmentFailure(f"--executor ray: {where} ({error}); `ray status` tells what runs")


def _failed(status: str, kind: str, message: str) -> Outcome:
    return Outcome(status, 0.0, {"type": kind, "message": message, "stderr_tail": ""})


def _environment() -> dict[str, str]:
    """This process's environment for a node, as ``srun`` passes it: all but what Ray and the node's cards decide."""
    return {name: text for name, text in os.environ.items() if name != CARDS and not name.startswith("RAY_")}


# What follows runs on a node, in a worker of Ray's.


def _at_home(environment: Mapping[str, str], gpus: float) -> None:
    os.environ.update(environment)
    if not gpus:
        os.environ[CARDS] = ""  # no card was asked for, so none may be used


def _machine(environment: Mapping[str, str], gpus: float) -> dict[str, str]:
    """What the node is, see ``machine.requested``."""
    _at_home(environment, gpus)
    return machine.requested(())


def _events(job: Job, environment: Mapping[str, str], gpus: float) -> Iterator[Event]:
    """The job's events as they come; the last one is how it ended."""
    _at_home(environment, gpus)
    details = queue.SimpleQueue[Event]()

    def run() -> None:
        try:
            details.put({"event": "outcome", "outcome": asdict(Local().submit(job, details.put))})
        except EnvironmentFailure as error:
            details.put({"event": "refused", "message": str(error)})

    threading.Thread(target=run, daemon=True).start()
    while (event := details.get())["event"] not in ("outcome", "refused"):
        yield event
    yield event
