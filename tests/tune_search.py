"""``python tests/tune_search.py ...`` is ``python -m bench tune ...`` whose trainings are forks of a process that has
imported the backend: a second each instead of seven. They work on a network of one convolution ("tiny").

With POISONED set, what a search must not look at, images and masks of the outer fold's test part, is spoilt. With
KILLED set to what a training is called in the output, the command kills itself at that training's second epoch.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "faulty"))

import numpy as np

from bench import __main__
from bench.running import child, data, executor, progress, training, worker
from bench.running.child import Child
from bench.tune import study
from lungseg import ARCHITECTURES, runtime


class Forked(Child):
    """A child that is a fork: it reads its job, tells events and dies with its parent as any other."""

    def start(self) -> None:
        """Fork; the pipes and the log stand where a process of its own would have them."""
        self.job.log.parent.mkdir(parents=True, exist_ok=True)
        jobs, events = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setsid()
                log = os.open(self.job.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                for source, target in ((jobs[0], 0), (events[1], 1), (log, 2)):
                    os.dup2(source, target)
                for descriptor in (*jobs, *events, log):
                    os.close(descriptor)
                sys.stdin = os.fdopen(0, encoding="utf-8")
                code = child.serve(worker.work)
            finally:
                os._exit(code)
        os.close(jobs[0])
        os.close(events[1])
        ends = os.fdopen(jobs[1], "w", encoding="utf-8"), os.fdopen(events[0], encoding="utf-8")
        self.process = SimpleNamespace(pid=pid, returncode=None, stdin=ends[0], stdout=ends[1])  # type: ignore[assignment]


def poisoned(load_suite_data: Any, fold: int = 0) -> Any:
    """``data.load_suite_data``, whose test images of that fold are NaN and whose masks there are inverted."""

    def spoilt(*arguments: Any) -> Any:
        suite_data = load_suite_data(*arguments)
        images, masks = np.array(suite_data.prepared.images), np.array(suite_data.prepared.masks)
        rows = [suite_data.prepared.index_of[key] for key in suite_data.folds[fold].test]
        images[rows], masks[rows] = np.nan, ~masks[rows]
        return replace(suite_data, prepared=replace(suite_data.prepared, images=images, masks=masks))

    return spoilt


def fatal(due: Any, named: str) -> Any:
    """``Display.due``, which ends this process without a word when that training tells of its second epoch."""

    epochs = [0]

    def requested(self: Any, label: str) -> bool:
        epochs[0] += label == named
        if epochs[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return bool(due(self, label))

    return requested


def main() -> int:
    """The command, with each training's checkpoints at every epoch."""
    os.environ.update(runtime.environment(1))
    runtime.start_keras("tensorflow", lean=True)
    ARCHITECTURES._entries["tiny"] = "networks:tiny"
    executor.Child = Forked  # type: ignore[misc]
    study.Training = lambda *arguments, **more: training.Training(*arguments, **more, checkpoint_s=0.0)  # type: ignore[misc, assignment]
    if os.environ.get("POISONED"):
        data.load_suite_data = poisoned(data.load_suite_data)
    if os.environ.get("KILLED"):
        progress.Display.due = fatal(progress.Display.due, os.environ["KILLED"])  # type: ignore[method-assign]
    return __main__.main(["tune", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
