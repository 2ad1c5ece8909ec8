"""Our U-Net beside PyTorch's: the same network, ratios of one run, skipped by name where torch is missing."""

import importlib.util
from dataclasses import replace

import pytest
from speed_rows import row

from bench.__main__ import main
from bench.cli import training
from bench.records.results import Results
from bench.running.child import Child
from bench.speed import peers, throughput_table
from bench.suites import suite
from lungseg import csv_file
from lungseg.errors import EnvironmentFailure, UsageError

SMALL = replace(suite("smoke"), size=(64, 64), timeout_s=60)


def test_where_torch_is_missing_that_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFailure, match=r"torch is not installed, .*; run `make speed-peers`"):
        peers.measure(SMALL, Results(tmp_path), print, 0.1)
    monkeypatch.setattr(training.runtime, "check_backend", lambda: None)
    assert main(["speed", "smoke", "--peers", "--results", str(tmp_path)]) == EnvironmentFailure.exit_code
    assert "torch is not installed" in capsys.readouterr().err


def test_ratios_are_of_the_same_precision_and_a_peer_that_fails_is_named(tmp_path, monkeypatch):
    """Ours: 10 and 20 images/s, 8 and 16 in epochs; theirs: 5, but the compiled one has no compiler."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    requested = []

    def wait(child, say):
        child.ended = True
        if child.job.module == "bench.speed.speed_worker":
            rate = {"float32": 10.0, "mixed_bfloat16": 20.0}[child.job.payload["recipe"]["precision"]]
            local = {"train_images_per_second": rate, "epochs_images_per_second": 0.8 * rate}
            slow = {"deterministic_train_images_per_second": "1", "deterministic_epochs_images_per_second": "1"}
            about = {"steady_state": True, "contended": rate == 20}
            measured = row(**local, **about, inference_images_per_second=4 * rate)
            say({"event": "row", "row": slow if child.job.deterministic else measured})
            return 0
        requested.append((child.job.payload["precision"], child.job.payload["compiled"], child.job.deterministic))
        if child.job.payload["compiled"]:
            child.failure = {
                "event": "failed",
                "status": "crashed",
                "type": "InductorError",
                "message": "no C++ compiler\nmore",
            }
            return 1
        rates = {"train_images_per_second": 5.0, "inference_images_per_second": 80.0}
        about = {"device": "cpu", "versions": "torch 2", "steady_state": False, "contended": False}
        say({"event": "row", "row": {**rates, **about}})
        return 0

    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Child, "wait", wait)
    said = []
    path, failures = peers.measure(replace(SMALL, widths=(("unet", 8),)), Results(tmp_path), said.append, 0.1)
    rows = csv_file.read(path)[1]
    assert requested == [(p, c, False) for p in ("float32", "bfloat16") for c in (False, True)]
    ratios = [[r[f"{mode}_ratio"] for mode in peers.RATES] for r in rows]
    assert ratios == [["2", "1.6", "0.5"], [""] * 3, ["4", "3.2", "1"], [""] * 3]
    assert failures == [f"torch, compiled, channels last, {p}: InductorError: no C++ compiler" for p in peers.OURS]
    assert "ours over torch, eager, channels last, bfloat16: train 4, epochs 3.2, inference 1" in said
    names = ("our_steady_state", "our_contended", "steady_state", "contended")
    assert [tuple(r[name] for name in names) for r in rows] == [
        ("true", "false", "false", "false"), ("true", "false", "", ""),
        ("true", "true", "false", "false"), ("true", "true", "", ""),
    ]  # fmt: skip
    assert path.parent.name == "peers", "else the pages would read it as a table of ours"
    assert throughput_table.read(tmp_path / "throughput" / "cpu.tensorflow.float32.64x64.csv")

    requested.clear()
    one = replace(SMALL, widths=(("unet", 8),))
    peers.measure(one, Results(tmp_path), said.append, 0.1, policy="mixed_bfloat16")
    assert requested == [("bfloat16", False, False), ("bfloat16", True, False)]
    assert sorted(r["precision"] for r in csv_file.read(path)[1]) == ["bfloat16"] * 2 + ["float32"] * 2

    def cut_off(child, say):
        if child.job.module != "bench.speed.speed_worker" and child.job.payload["compiled"]:
            raise KeyboardInterrupt
        return wait(child, say)

    monkeypatch.setattr(Child, "wait", cut_off)
    with pytest.raises(KeyboardInterrupt):
        peers.measure(one, Results(tmp_path), said.append, 0.1)
    kept = [(r["precision"], r["peer"].split(", ")[1]) for r in csv_file.read(path)[1]]
    assert kept == [("bfloat16", "eager"), ("bfloat16", "compiled"), ("float32", "eager")]
    with pytest.raises(UsageError, match="mixed_float16: the peers compute in float32 and mixed_bfloat16"):
        peers.measure(one, Results(tmp_path), said.append, 0.1, policy="mixed_float16")


@pytest.mark.slow
def test_the_peer_is_the_same_network():
    pytest.importorskip("torch", reason="torch is not installed (extra peers)")
    from lungseg import build

    model = build("unet", (32, 32, 1), 4)
    ours = sum(int(weight.numpy().size) for weight in model.trainable_weights)
    other = sum(p.numel() for p in peers.unet(4).parameters())
    assert other == ours
    result = peers.measure_torch(peers.PeerTiming(4, 2, (32, 32), "bfloat16", False, 1, 0.1), lambda _: None)
    assert result["train_images_per_second"] > 0 < result["inference_images_per_second"]
    assert {type(result["steady_state"]), type(result["contended"])} == {bool}
