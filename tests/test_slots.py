"""Slots: all work is done, the first error ends the others and their children, Ctrl-C is Interrupted."""

import threading
import time

import pytest

from bench.running.slots import Interrupted, Slots, Stopped


class Endless:
    """A child that runs until it is stopped."""

    def __init__(self):
        self.ended = threading.Event()

    def stop(self):
        self.ended.set()


def at_work(slots, slot):
    slots.children[slot] = Endless()
    assert slots.children[slot].ended.wait(10), "was never stopped"


def test_every_slot_works_and_what_stops_itself_is_no_error():
    done = []

    def work(slot):
        done.append(slot)
        if slot == 1:
            raise Stopped

    slots = Slots()
    slots.run(work, 3)
    assert sorted(done) == [0, 1, 2]
    assert not slots.stopping.is_set(), "the same slots may be asked for more"


def test_the_first_error_ends_the_others_and_is_raised_again():
    slots = Slots()

    def work(slot):
        if slot == 0:
            while 1 not in slots.children:
                time.sleep(0.01)
            raise OSError("full disk")
        at_work(slots, slot)

    with pytest.raises(OSError, match="full disk"):
        slots.run(work, 2)
    assert slots.stopping.is_set()
    assert slots.children[1].ended.is_set()


def test_ctrl_c_ends_all_and_is_interrupted(monkeypatch):
    slots = Slots()

    def work(slot):
        at_work(slots, slot)

    def wait(_):
        while len(slots.children) < 2:
            threading.Event().wait(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.running.slots.time.sleep", wait)
    with pytest.raises(Interrupted):
        slots.run(work, 2)
    assert slots.stopping.is_set()
    assert all(child.ended.is_set() for child in slots.children.values())
