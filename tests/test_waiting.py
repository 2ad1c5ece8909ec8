"""Which cell starts next: of those that share a compiled program one alone until it is compiled."""

import threading
from dataclasses import replace

from bench import suites
from bench.running.executor import Local
from bench.running.suite_run import Waiting, one_compiles
from lungseg import runtime

CELLS = suites.cells(replace(suites.suite("quick"), folds=3))
NAMES = ("unet", "resunet", "r2unet")


def taken(waiting, count, stopping=None):
    return [
        cell and (cell.architecture, cell.fold)
        for cell in (waiting.take(stopping or threading.Event()) for _ in range(count))
    ]


def test_cells_start_in_their_order_where_each_compiles_for_itself():
    waiting = Waiting(CELLS, one_compiles=False)
    assert taken(waiting, len(CELLS) + 1) == [*((cell.architecture, cell.fold) for cell in CELLS), None]


def test_one_of_each_network_starts_and_the_others_when_its_first_epoch_is_over():
    waiting = Waiting(CELLS, one_compiles=True)
    assert taken(waiting, 3) == [(name, 0) for name in NAMES]
    waiting.compiled(CELLS[1])
    assert taken(waiting, 2) == [("resunet", 1), ("resunet", 2)]
    waiting.compiled(CELLS[1])  # each further epoch, and its end, tell nothing new
    waiting.compiled(CELLS[0])
    assert taken(waiting, 2) == [("unet", 1), ("unet", 2)]


def test_a_worker_that_must_wait_goes_on_when_the_program_is_compiled_and_ends_at_a_stop():
    waiting, ended = Waiting(CELLS, one_compiles=True), []
    taken(waiting, 3)
    worker = threading.Thread(target=lambda: ended.extend(taken(waiting, 1)))
    worker.start()
    worker.join(0.3)
    assert not ended
    waiting.compiled(CELLS[2])
    worker.join(10)
    assert ended == [("r2unet", 1)]
    stopping = threading.Event()
    stopping.set()
    assert taken(Waiting(CELLS, one_compiles=True), 1, stopping) == [None]


def test_cells_wait_for_a_compiled_program_on_this_machine_alone(monkeypatch):
    """Behind ``srun`` the second cell would stand in the queue only after the first has come through it."""
    monkeypatch.setattr(runtime, "backend_name", lambda: "jax")
    assert one_compiles(Local())
    assert not one_compiles(Local(("srun", "--ntasks=1")))
    monkeypatch.setattr(runtime, "backend_name", lambda: "tensorflow")
    assert not one_compiles(Local())
