"""Checkpoints: whole or not there, of this training or of none, and a resumed training ends with the same bits."""

import errno
import os
from dataclasses import replace

import keras
import numpy as np
import pytest
from test_training import FOLD, RECIPE, network, one_layer, prepared

from lungseg import atomic, checkpoint, training
from lungseg.checkpoint import PROGRESS, CheckpointCallback, Checkpoints, State
from lungseg.errors import EnvironmentFailure
from lungseg.recipes import Augmentation

STATE = State(3, {"model": [np.arange(6.0).reshape(2, 3), np.float32(2)], "best": []}, {"loss": float("inf"), "n": [1]})


def checkpoints(folder, identity="this", every_s=0.0):
    return Checkpoints(folder, identity, every_s)


def epochs(folder):
    return sorted(int(path.stem.split("-")[1]) for path in folder.iterdir())


def test_state_comes_back_as_it_was_saved(tmp_path):
    checkpoints(tmp_path).save(STATE)
    result = checkpoints(tmp_path).load()
    assert (result.epoch, result.metadata, list(result.arrays)) == (3, STATE.metadata, ["model", "best"])
    assert np.array_equal(result.arrays["model"][0], STATE.arrays["model"][0])
    assert result.arrays["model"][1].dtype == np.float32


def test_the_last_two_are_kept_and_cleared(tmp_path):
    for epoch in (1, 2, 3, 10):
        checkpoints(tmp_path).save(replace(STATE, epoch=epoch))
    assert epochs(tmp_path) == [3, 10]
    checkpoints(tmp_path).clear()
    assert epochs(tmp_path) == []


@pytest.mark.fault("F79")
@pytest.mark.parametrize("where", [0, 5, 22, 40, 60, 300, -1])
def test_a_flipped_byte_falls_back_to_the_one_before(tmp_path, where):
    for epoch in (1, 2):
        checkpoints(tmp_path).save(replace(STATE, epoch=epoch))
    newest = tmp_path / "epoch-00002.checkpoint"
    data = bytearray(newest.read_bytes())
    data[where] ^= 1
    newest.write_bytes(data)
    assert checkpoints(tmp_path).load().epoch == 1
    assert epochs(tmp_path) == [1], "a damaged file would push out a good one"


@pytest.mark.fault("F79")
@pytest.mark.parametrize("length", [0, 10, 50, 200])
def test_a_truncated_file_is_no_checkpoint(tmp_path, length):
    checkpoints(tmp_path).save(STATE)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    assert checkpoints(tmp_path).load() is None


@pytest.mark.fault("F76")
def test_a_checkpoint_of_something_else_is_never_taken_up(tmp_path):
    checkpoints(tmp_path, "that").save(STATE)
    assert checkpoints(tmp_path, "this").load() is None
    assert epochs(tmp_path) == []


@pytest.mark.fault("F102")
def test_a_pickled_object_is_refused_before_it_is_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        checkpoints(tmp_path).save(replace(STATE, arrays={"model": [np.array([{}], object)]}))


@pytest.mark.fault("F71", "F80")
@pytest.mark.parametrize("call", ["mkstemp", "write", "fsync", "chmod", "replace", "open"])
def test_a_full_disk_at_any_call_keeps_the_checkpoint_before(tmp_path, monkeypatch, call):
    checkpoints(tmp_path).save(STATE)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full:
        write = full

        def __init__(self, handle, mode):
            os.close(handle)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    if call == "mkstemp":
        monkeypatch.setattr(atomic.tempfile, "mkstemp", full)
    elif call == "write":
        monkeypatch.setattr(atomic.os, "fdopen", Full)
    else:
        monkeypatch.setattr(atomic.os, call, full)
    with pytest.raises(EnvironmentFailure, match=r"epoch-00004\.checkpoint: cannot be written \(No space left"):
        checkpoints(tmp_path).save(replace(STATE, epoch=4))
    monkeypatch.undo()
    assert checkpoints(tmp_path).load().epoch in ((3, 4) if call == "open" else (3,))
    assert not list(tmp_path.glob(".*")), "no temporary file stays"


@pytest.mark.parametrize(("took_s", "wait_s"), [(0.0, 5.0), (0.05, 5.0), (0.5, 25.0), (4.0, 200.0)])
def test_writing_takes_two_per_cent_of_a_training_at_most(tmp_path, took_s, wait_s):
    assert checkpoints(tmp_path, every_s=5.0).wait_s(took_s) == pytest.approx(wait_s)
    assert checkpoints(tmp_path, every_s=0.0).wait_s(took_s) == 0.0


class Cut(Exception):
    """Ends a training after an epoch, as a kill does."""


def fit(recipe, kept=None, cut=None, model=network):
    def watch(now):
        if now["epoch"] == cut:
            raise Cut

    return training.fit(model(), prepared(), FOLD, recipe, 0, watch, kept)


def numbers(trained):
    history = {name: values for name, values in trained.history.items() if "seconds" not in name}
    return history, trained.best_epoch, trained.weights_sha256


RESTLESS = replace(RECIPE, epochs=7, learning_rate=0.3, plateau_patience=1, early_stopping_patience=3)
STILL = replace(
    RECIPE, epochs=20, learning_rate=1e-12, minimum_learning_rate=1e-14, plateau_patience=2, early_stopping_patience=6
)


STRONG = replace(
    RECIPE, epochs=5, cosine=True, warmup_epochs=2, augmentation=Augmentation(rotation_degrees=9, shift=0.1, noise=0.1)
)


@pytest.mark.fault("F62")
@pytest.mark.parametrize(
    "recipe",  # of the second, which is restless, the best is not the newest
    [STRONG, replace(STRONG, ema_decay=0.3, learning_rate=0.3)],
    ids=["plain", "ema"],
)
def test_a_cosine_an_augmentation_and_an_average_go_on_where_they_were_cut(tmp_path, recipe):
    whole = fit(recipe)
    for cut in (2, recipe.epochs):  # in the warm-up, and where all but one epoch's state comes from a file
        with pytest.raises(Cut):
            fit(recipe, checkpoints(tmp_path), cut)
    assert numbers(fit(recipe, checkpoints(tmp_path))) == numbers(whole)


@pytest.fixture(scope="module")
def restless():
    """A training of RESTLESS, uninterrupted, that kept no checkpoint."""
    return fit(RESTLESS)


@pytest.mark.fault("F62")
@pytest.mark.parametrize("every_s", [0.0, 3600.0])
def test_a_training_cut_after_every_epoch_ends_with_the_same_bits(tmp_path, restless, every_s):
    whole = restless
    rates = whole.history["learning_rate"]
    assert len(set(rates)) > 1, "else the schedule's state is not under test"
    # Where no checkpoint is due, each cut begins anew: of one in between, the last one shows all.
    for cut in range(1, len(rates) + 1) if every_s == 0 else (1, len(rates)):
        kept = checkpoints(tmp_path, every_s=every_s)
        with pytest.raises(Cut):  # raised before this epoch's checkpoint is written
            fit(RESTLESS, kept, cut)
    resumed = fit(RESTLESS, kept)
    assert numbers(resumed) == numbers(whole)
    assert resumed.resumed_at == (len(rates) - 1 if every_s == 0 else 0)
    assert resumed.seconds >= sum(resumed.history["seconds"]) * 0.99
    assert resumed.cpu_seconds >= sum(resumed.history["cpu_seconds"]) * 0.99
    assert resumed.earlier_seconds == pytest.approx(sum(resumed.history["seconds"][: resumed.resumed_at]))


@pytest.fixture(scope="module")
def still():
    """A training of STILL, uninterrupted: what is forgotten, it never asks for."""
    return fit(STILL, model=one_layer)


@pytest.mark.fault("F62")
@pytest.mark.parametrize(
    "forgotten",
    [None, *((kind, name) for kind, names in PROGRESS.items() for name in names[:2])],
    ids=lambda it: f"{it[0].__name__}.{it[1]}" if it else None,
)
def test_the_schedule_waits_on_where_it_was_cut(tmp_path, monkeypatch, still, forgotten):
    if forgotten:  # what this test would miss, were it not kept
        kept_names = {kind: tuple(n for n in names if (kind, n) != forgotten) for kind, names in PROGRESS.items()}
        monkeypatch.setattr(checkpoint, "PROGRESS", kept_names)
    assert len(still.history["loss"]) < STILL.epochs, "else early stopping is not under test"
    assert len(set(still.history["learning_rate"])) > 2, "else the plateau's counter is not under test"
    # Where something is forgotten, a cut between two falls of the rate shows it; where nothing is, no epoch may forget.
    for cut in (3,) if forgotten else range(1, len(still.history["loss"]) + 1):
        with pytest.raises(Cut):
            fit(STILL, checkpoints(tmp_path), cut, one_layer)
    assert (numbers(fit(STILL, checkpoints(tmp_path), model=one_layer)) == numbers(still)) is (forgotten is None)


@pytest.mark.fault("F62")
def test_a_training_killed_after_its_end_is_not_trained_again(tmp_path):
    kept = checkpoints(tmp_path)
    whole = fit(RESTLESS, kept)
    again = fit(RESTLESS, kept, cut=1)  # would raise if an epoch were trained
    assert numbers(again) == numbers(whole)
    assert again.resumed_at == len(whole.history["loss"])


@pytest.mark.parametrize(
    ("bytes_per_s", "files"),
    [
        (1e9, [False, True, True]),  # no more often than every 5 s, and at the end
        (1.0, [False] * 3),  # each would take longer than 9 s of training are worth
    ],
)
def test_a_checkpoint_waits_until_it_is_worth_its_time_at_the_end_too(tmp_path, monkeypatch, bytes_per_s, files):
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint, "BYTES_PER_S", bytes_per_s)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    history = training.History(3, None, lambda optimizer: 0.0)
    callback = CheckpointCallback(checkpoints(tmp_path, every_s=5.0), training.BestWeights(), history, [])
    callback.set_model(model)
    callback.restore(model)
    written = []
    for epoch in range(3):
        now[0] += 3.0
        before = len(list(tmp_path.iterdir()))
        callback.on_epoch_end(epoch)
        written.append(len(list(tmp_path.iterdir())) > before)
    assert written == files
