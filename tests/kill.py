"""Kill a training at any instant and let the same job go on: it must end with the same bits.

``python tests/kill.py`` kills 200 runs of three epochs at random instants after their first step, and one at each
write, then resumes each; the committed test does 20. A process that has imported the backend forks each run, so
that a run costs two seconds instead of ten.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench.records import store
from bench.records.results import Results
from bench.running import data, worker
from bench.running.training import Training, fingerprint_inputs
from bench.suites import Phantoms, cells, suite
from lungseg import ARCHITECTURES, recipes, runtime

EPOCHS = 3
SUITE = replace(
    suite("smoke"), architectures=("tiny",), size=(32, 32), phantoms=Phantoms(12, (64, 56)), recipe="three-epochs"
)
RESULT = ("fingerprint", "status", "cases", "best_epoch", "weights_sha256", "warnings")
WRITES = ("fsync", "replace", "unlink", "mkdir")  # of module os: all that makes a change last or seen


def tiny(shape: tuple[int, int, int], width: int, style: Any) -> Any:
    """Normalisation and dropout make it keep statistics and a random generator's state beside its weights."""
    import keras

    image = keras.Input(shape, name="image")
    x = style.conv_norm_relu(image, 4 * width)
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(image, style.head(x), name="tiny")


def register() -> None:
    """Make architecture and recipe known in this process and the processes that it forks."""
    ARCHITECTURES._entries["tiny"] = "kill:tiny"
    recipes.RECIPES["three-epochs"] = replace(
        recipes.recipe("smoke"), name="three-epochs", epochs=EPOCHS, plateau_patience=1, learning_rate=0.05
    )


def prepare(folder: Path) -> Training:
    """Write the phantoms, and give the job of one cell in that results folder."""
    root = data.resolve_root(SUITE, None, Results(folder))
    suite_data = data.load_suite_data(SUITE, root, Results(folder))
    cell = cells(SUITE)[0]
    return Training(cell, SUITE, root, Results(folder), fingerprint_inputs(cell, suite_data), checkpoint_s=0.0)


def forked(work: Callable[[], None]) -> int:
    """Process id of a fork that does the work, quietly."""
    pid = os.fork()
    if pid:
        return pid
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


def train(job: Training, flags: Path | None = None) -> None:
    """The job in this process; ``flags/<epoch>`` is made when the first step of that epoch is done."""
    if flags is not None:
        from lungseg.checkpoint import CheckpointCallback

        epoch = [0]

        def begun(self: Any, number: int, logs: Any = None) -> None:
            epoch[0] = number

        CheckpointCallback.on_epoch_begin = begun  # type: ignore[method-assign]
        CheckpointCallback.on_train_batch_end = lambda self, batch, logs=None: (flags / str(epoch[0])).touch()
    worker.run(job, lambda event: None)


def die_at_write(k: int) -> None:
    """The k-th call from now on (from 0) that changes the disk ends this process before it is made."""
    left = [k]

    def fatal(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **more: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*arguments, **more)

        setattr(os, name, call)

    for name in WRITES:
        fatal(name)


def result(job: Training) -> dict[str, Any]:
    """What must be the same bit for bit: the record's part that is not time or machine, and the kept arrays."""
    record = store.load_record(job.results.path(job.cell)).document
    assert store.is_sealed(record)
    assert not list(job.results.artifact(job.cell, "checkpoints").glob("*.checkpoint"))
    files = {name: job.results.artifact(job.cell, name).read_bytes() for name in ("weights.npz", "predictions.npz")}
    history = {name: values for name, values in record["history"].items() if "seconds" not in name}
    return {**{name: record[name] for name in RESULT}, "history": history, "files": files}


@dataclass(frozen=True)
class Trial:
    """One killed run. epoch, at_s: so many seconds after that epoch's first step, or None; write: the number of
    the write, or None. resumed_at: epochs that the second run took from a checkpoint. same: whether it ended with
    the same bits.
    """

    epoch: int | None
    at_s: float | None
    write: int | None
    killed: bool
    resumed_at: int
    same: bool


def at_instant(folder: Path, expected: dict[str, Any], epoch: int, at_s: float) -> Trial:
    """Kill some time after an epoch's first step; sooner, where the run had ended by then. Run again, compare."""
    for attempt in itertools.count():
        job, flags = prepare(folder / str(attempt)), folder / str(attempt)
        pid = started(job, flags, epoch)
        time.sleep(at_s)
        os.kill(pid, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(pid, 0)[1]) or attempt == 9:
            break
        at_s /= 2
    return again(job, expected, Trial(epoch, at_s, None, attempt < 9, 0, False))


def at_write(folder: Path, expected: dict[str, Any], write: int) -> Trial:
    """Kill instead of a write, run again, compare."""
    job = prepare(folder)
    pid = forked(lambda: (die_at_write(write), train(job)))
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    return again(job, expected, Trial(None, None, write, killed, 0, False))


def again(job: Training, expected: dict[str, Any], results_found: Trial) -> Trial:
    """The same job once more, and whether it ends with the same bits."""
    if os.waitpid(forked(lambda: train(job)), 0)[1]:
        return results_found
    record = store.load_record(job.results.path(job.cell)).document
    return replace(results_found, resumed_at=record["timing"]["resumed_at_epoch"], same=result(job) == expected)


def started(job: Training, flags: Path, epoch: int) -> int:
    """Process id of a run that has done the first step of an epoch (it is a zombie where it ended before)."""
    pid = forked(lambda: train(job, flags))
    while not (flags / str(epoch)).exists() and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.0005)
    return pid


def reference(folder: Path) -> tuple[dict[str, Any], list[float]]:
    """The result of an undisturbed run, and seconds from each epoch's first step to the next one's, or the end."""
    job = prepare(folder)
    pid = started(job, folder, EPOCHS - 1)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the undisturbed run failed")
    times = [(folder / str(epoch)).stat().st_mtime for epoch in range(EPOCHS)]
    end = job.results.path(job.cell).stat().st_mtime
    return result(job), [after - before for before, after in itertools.pairwise([*times, end])]


def trials(times: int, seed: int, share: tuple[int, int] = (0, 1), each_write: bool = True) -> Iterator[Trial]:
    """Kills at ``times`` random instants, equally many in each epoch and after the last, and, if so wished, at each
    write; of these only share (k, n)."""
    part, parts = share
    with tempfile.TemporaryDirectory() as scratch:
        expected, seconds = reference(Path(scratch, "reference"))
        for k in range(part, times, parts):
            instant = random.Random(f"{seed}.{k}").uniform(0.0, seconds[k % EPOCHS])
            yield at_instant(Path(scratch, f"instant-{k}"), expected, k % EPOCHS, instant)
        for k in itertools.count(part, parts) if each_write else ():
            result = at_write(Path(scratch, f"write-{k}"), expected, k)
            if not result.killed:  # the run has fewer writes than that
                return
            yield result


def begin() -> None:
    """Make this process one that can fork runs: backend imported, nothing computed yet."""
    os.environ.update(runtime.environment(SUITE.threads))
    runtime.start_keras("tensorflow", lean=True)
    register()


def main() -> int:
    """Kill and resume in ``workers`` processes; exit code 1 when a single bit differed or a run outlived its kill."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=200, help="kills at random instants (200)")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (2)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (0)")
    parser.add_argument("--no-writes", action="store_true", help="leave out the kills at each write")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers, initializer=begin) as pool:
        shares = [(k, options.workers) for k in range(options.workers)]
        parts = list(
            pool.map(
                _share,
                [options.times] * options.workers,
                [options.seed] * options.workers,
                shares,
                [not options.no_writes] * options.workers,
            )
        )
    result = [t for part in parts for t in part]
    for name, some in (
        ("at random instants", [t for t in result if t.write is None]),
        ("at each write", [t for t in result if t.write is not None]),
    ):
        kept = Counter(t.resumed_at for t in some)
        print(
            f"{name}: {sum(t.same for t in some)} of {len(some)} resumed to the same bits;"
            f" {sum(t.killed for t in some)} were killed before their end;"
            f" epochs taken from a checkpoint: {dict(sorted(kept.items()))}"
        )
    wrong = [t for t in result if not t.same or not t.killed]
    print("\n".join(f"differs: {t}" for t in wrong))
    resumed = any(0 < t.resumed_at < EPOCHS for t in result)  # else all began anew, and nothing is shown
    return 0 if resumed and not wrong else 1


def _share(times: int, seed: int, share: tuple[int, int], each_write: bool) -> list[Trial]:
    return list(trials(times, seed, share, each_write))


if __name__ == "__main__":
    sys.exit(main())
