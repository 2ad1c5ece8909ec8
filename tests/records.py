"""Plausible made-up records after the schema of a cell's result, for tests of what is built on records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import publish
from bench.cell import cell_id
from bench.pages import report
from bench.records import costs, parse
from bench.records import record as record_
from bench.records.conflicts import conflicts as of_records
from bench.statistics import stats
from bench.statistics.rows import Leaderboard
from lungseg import metrics

Record = dict[str, Any]
ARCHITECTURES = ("unet", "resunet", "r2unet")


def ratios(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    """The ratios that a case stores; nothing here is empty, so no rule for 0/0."""
    dice = 2 * tp / (2 * tp + fp + fn)
    return {
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": dice,
        "dice": dice,
        "iou": tp / (tp + fp + fn),
        "specificity": tn / (tn + fp),
    }


def case(name: str, wrong: float, size: int, rng: np.random.Generator) -> Record:
    """One image with about `wrong` = 1 - Dice."""
    target = int(size * size * rng.uniform(0.22, 0.3))
    fn = int(target * wrong * rng.uniform(0.7, 1.2))
    fp = int(target * wrong * rng.uniform(0.6, 1.1))
    tp = target - fn
    tn = size * size - tp - fp - fn
    distance = float(1.5 + 140 * wrong * rng.uniform(0.6, 1.4))
    return {
        "id": name, "patient": name, "tp": tp, "fp": fp, "fn": fn, "tn": tn,
        **ratios(tp, fp, fn, tn),
        "distance_unit": "mm", "hd95_mm": distance, "hd95_state": "ok", "assd_mm": distance / 4,
        "nsd_2mm": float(np.clip(1 - 4 * wrong, 0, 1)),
        "components": int(2 + (rng.random() < 3 * wrong)), "holes": int(rng.random() < wrong),
        "target_components": 2, "target_holes": 0, "target_pixels": target,
        "tolerance": {str(k): [tp, fp, fn, tn] for k in (-3, -2, -1, 1, 2, 3)},
    }  # fmt: skip


def history(epochs: int, level: float, rng: np.random.Generator) -> Record:
    """Curves of a training that approaches Dice `level`."""
    t = np.arange(epochs)
    loss = (1 - level) + 0.55 * np.exp(-t / 6) + rng.normal(0, 0.003, epochs)
    val_loss = (1 - level) + 0.02 + 0.6 * np.exp(-t / 7) + np.abs(rng.normal(0, 0.015, epochs))
    rate = np.where(t < 30, 1e-3, 5e-4)
    return {
        "loss": loss.tolist(), "val_loss": val_loss.tolist(), "val_dice": (1 - val_loss).tolist(),
        "learning_rate": rate.tolist(), "seconds": [2.0] * epochs,
    }  # fmt: skip


def parsed(records: Iterable[Record | record_.Record]) -> list[record_.Record]:
    """Records as from files; where a test changed the cases alone, the rest names them again."""
    return [parse.record(named(r)) if isinstance(r, dict) else r for r in records]


def replaced(record: record_.Record, index: int, **values: Any) -> record_.Record:
    """The parsed record with other values in one case, whatever parsing would say of them."""
    cases = [replace(case, **values) if i == index else case for i, case in enumerate(record.cases)]
    return replace(record, cases=tuple(cases))


def named(record: Record) -> Record:
    """The record, or as `agreeing` where its split and its list of images are of other cases."""
    target = {c["id"]: c["target_pixels"] for c in record["cases"]}
    same = target.keys() <= record["data"]["target_pixels"].keys() and [*target] == record["split"]["test"]
    return record if same or not target else agreeing(record)


def leaderboards(records: Iterable[Record]) -> list[Leaderboard]:
    """What statistics make of these records."""
    return stats.leaderboards(parsed(records))


def only(records: Iterable[Record]) -> Leaderboard:
    """The one leaderboard of raw records that are all of one suite, protocol and machine."""
    (leaderboard,) = leaderboards(records)
    return leaderboard


def unlike(records: Iterable[Record]) -> list[str]:
    """What sets these records apart that must not."""
    return of_records(parsed(records))


def validate(records: Iterable[Record], partial: bool = False) -> list[str]:
    """What forbids publishing these records."""
    return publish.validate(parsed(records), partial)


def terminal(records: Iterable[Record], width: int = 80, only: str | None = None) -> str:
    """What a terminal shows of these records."""
    return report.terminal(leaderboards(records), width, only)


def describe(record: Record) -> list[str]:
    """Warnings about this record."""
    return parse.record(record).all_warnings


def part_rows(records: Iterable[Record]) -> tuple[list[str], list[list[str]]]:
    """Where these records' seconds went."""
    return costs.by_part(parsed(records))


def cell_name(record: Record) -> str:
    """``unet.phantom.f0.s0``."""
    return cell_id(record["cell"])


def sealed(record: Record) -> Record:
    """The record with its own hash, over its canonical JSON without that key."""
    body = {k: v for k, v in record.items() if k != "record_sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {**body, "record_sha256": hashlib.sha256(text.encode()).hexdigest()}


def agreeing(record: Record) -> Record:
    """The record after its cases were changed, sealed: its split and its list of images name them again."""
    target = {c["id"]: c["target_pixels"] for c in record["cases"]}
    ids = {"target_pixels": target, "n": max(record["data"]["n"], len(target))}
    trained = [i for i in record["split"]["train"] if i not in target]
    return sealed({**record, "data": {**record["data"], **ids},
                   "split": {**record["split"], "train": trained, "test": list(target)}})  # fmt: skip


def record(
    architecture: str, fold: int, seed: int = 0, *, suite: str = "fake", folds: int = 5, n: int = 138,
    size: int = 128, width: int = 16, level: float = 0.97, device_kind: str = "cpu",
    data: str = "phantom", status: str = "ok", message: str = "", epochs: int = 50,
) -> Record:  # fmt: skip
    """One cell. Images are equally hard for every architecture; `level` is about the mean Dice."""
    ids = [f"CASE_{i:04d}" for i in range(n)]
    test = ids[fold::folds]
    rng = np.random.default_rng([fold, seed, *architecture.encode()])
    hardness = np.random.default_rng(7).gamma(2.0, 0.5, n)  # shared by all, skewed as real scores are
    wrong = {i: (1 - level) * h for i, h in zip(ids, hardness, strict=True)}
    cases = [case(i, min(0.9, wrong[i] * rng.uniform(0.7, 1.3)), size, rng) for i in test]
    ok = status == "ok"
    length = max(1, epochs - 3 * fold)
    curves = history(length, level, rng)
    return sealed({
        "schema": 2, "fingerprint": hashlib.sha256(f"{architecture}{fold}{seed}".encode()).hexdigest(),
        "inputs": {}, "status": status,
        "cell": {"architecture": architecture, "width": width, "size": [size, size], "train_set": data,
                 "test_set": data, "folds": folds, "fold": fold, "seed": seed, "suite": suite,
                 "recipe": "reference"},
        "cases": cases if ok else [],
        "history": curves, "best_epoch": max(0, length - 4),
        "weights_sha256": hashlib.sha256(architecture.encode()).hexdigest() if ok else None,
        "parameters": 1_000_000 + 37_000 * len(architecture), "gmacs": 0.7 + 0.1 * len(architecture),
        "peak_memory_bytes": 900_000_000,
        "timing": {"train_seconds": 100.0 + 10 * len(architecture), "total_seconds": 120.0},
        "data": {"raw_sha256": "ab" * 32, "prepared_sha256": "cd" * 32,
                 "target_pixels": {c["id"]: c["target_pixels"] for c in cases}, "n": n},
        "split": {"train": [i for i in ids if i not in test], "validation": [], "test": test},
        "machine": {"cpu": "Example CPU @ 2 GHz", "cores": 2, "memory_bytes": 8 * 2**30, "device": "CPU",
                    "device_kind": device_kind, "backend": "tensorflow", "precision": "float32",
                    "threads": 1, "python": "3.11.2", "versions": {"keras": "3.15.1", "numpy": "2.4.6"},
                    "os": "Linux"},
        "source": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False, "sha256": "ef" * 32},
        "finished": "2026-11-23T10:00:00+00:00",
        "error": None if ok else {"type": "RuntimeError", "message": message, "stderr_tail": ""},
    })  # fmt: skip


def grid(
    architectures: Sequence[str] = ARCHITECTURES, seeds: Sequence[int] = (0,), folds: int = 5, **more: Any
) -> list[Record]:
    """Every cell of a suite; each architecture a little worse than the one before it."""
    return [
        record(name, fold, seed, folds=folds, **{"level": 0.975 - 0.004 * i, **more})
        for i, name in enumerate(architectures)
        for seed in seeds
        for fold in range(folds)
    ]


def save(results: Path, records: Sequence[Record]) -> None:
    """Write each record where the store keeps it."""
    for r in records:
        cell, machine = r["cell"], r["machine"]
        key = "-".join((machine["backend"], machine["device_kind"], machine["precision"]))
        path = results / "runs" / cell["suite"] / key / f"{cell_name(r)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(r, allow_nan=False), encoding="utf-8")


def second(records: Sequence[Record]) -> list[Record]:
    """The same records by protocol 2: scored at the stored size too, where each count is 16 times as high and each
    distance half as long, with calibration, and told by what epochs were chosen."""
    return [
        sealed({
            **r,
            "inputs": {**r["inputs"], "protocol": 2, "recipe": {"monitor": "val_hard_dice"}},
            "cases": [{**c, "at_stored": at_stored(c, r["cell"]["size"])} for c in r["cases"]],
            "calibration": {"bins": bins([90, 9.0, 5], [10, 9.0, 9]), "brier": 0.02},
        })
        for r in records
    ]  # fmt: skip


def bins(low: Sequence[float], high: Sequence[float]) -> list[list[float]]:
    """Fifteen bins of calibration of which two hold pixels: those of probability 0.1 and 0.9."""
    return [{1: [*low], 13: [*high]}.get(k, [0, 0.0, 0]) for k in range(15)]


def counted(case: Record, tp: int, fp: int, fn: int) -> None:
    """Give a case other counts at the network's size, and all that follows from them."""
    size = sum(case[key] for key in ("tp", "fp", "fn", "tn"))
    counts = metrics.Counts(tp, fp, fn, size - tp - fp - fn)
    case.update(
        asdict(counts), target_pixels=tp + fn, tolerance={key: [*asdict(counts).values()] for key in case["tolerance"]}
    )
    case.update({m.name: m.function(counts) for m in metrics.METRICS.values() if m.stored and m.takes == "counts"})


def at_stored(case: Record, size: Sequence[int]) -> Record:
    """What a case would score at four times its size."""
    far, near = case["hd95_mm"], case["assd_mm"]
    return {
        "size": [4 * side for side in size],
        **{key: 16 * case[key] for key in ("tp", "fp", "fn", "tn")},
        "distance_unit": case["distance_unit"],
        "hd95_state": case["hd95_state"],
        "nsd_2mm": case["nsd_2mm"],
        "hd95_mm": None if far is None else far / 2,
        "assd_mm": None if near is None else near / 2,
    }


THROUGHPUT = (
    "architecture,width,batch,parameters,gmacs,train_images_per_second,train_iqr,train_latency_ms_p50,"
    "train_latency_ms_p95,inference_images_per_second,inference_iqr,compile_seconds,peak_memory_bytes,"
    "peak_gflops,train_fraction_of_peak,inference_fraction_of_peak,threads,contended,device,precision,versions,"
    "commit,measured"
)


def save_throughput(results: Path, architectures: Sequence[str], name: str, width: int = 16) -> None:
    """A throughput table as the speed run writes it; `name` such as ``cpu.tensorflow.float32.128x128``."""
    lines = [THROUGHPUT]
    for i, a in enumerate(architectures):
        train = 20 / (1 + 0.4 * i)
        lines.append(
            f"{a},{width},8,{1_000_000 + 100_000 * i},{0.7 + 0.1 * i},{train:.2f},0.31,{8000 / train:.1f},"
            f"{8800 / train:.1f},{3.2 * train:.2f},0.9,11.2,812000000,120,0.61,0.55,2,"
            f"{'true' if i == 2 else 'false'},Example CPU,float32,keras 3.15.1,0123456,2026-11-23"
        )
    path = results / "throughput" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ensemble(members: Sequence[Record], suffix: str = "+seeds", transforms: int = 1, gain: float = 0.3) -> Record:
    """The entry of trained members of one fold: each image loses `gain` of its error against the first member's."""
    first, rng = members[0], np.random.default_rng(0)
    size, cell = first["cell"]["size"][0], first["cell"]
    cases = [case(c["id"], (1 - c["dice"]) * (1 - gain), size, rng) for c in first["cases"]]
    named = [{"cell": f"{m['cell']['architecture']}.{m['cell']['test_set']}.f{m['cell']['fold']}.s{m['cell']['seed']}",
              "fingerprint": m["fingerprint"], "weights_sha256": m["weights_sha256"]} for m in members]  # fmt: skip
    made_from = {**first["inputs"], "members": named, "tta": [{"degrees": k} for k in range(transforms)],
                 **({"postprocess": True} if suffix == "+post" else {})}  # fmt: skip
    trained = sum(m["timing"]["train_seconds"] for m in members)
    seed = 0 if len(members) > 1 else cell["seed"]
    return sealed({
        **first, "inputs": made_from, "cases": cases,
        "cell": {**cell, "architecture": cell["architecture"] + suffix, "seed": seed},
        "history": {key: [] for key in first["history"]}, "best_epoch": None,
        "parameters": first["parameters"] * len(members), "gmacs": first["gmacs"] * len(members) * transforms,
        "timing": {**first["timing"], "train_seconds": trained, "total_seconds": trained + 9},
    })  # fmt: skip


def ensembles(records: Sequence[Record], architecture: str, suffix: str = "+seeds", **more: Any) -> list[Record]:
    """The mean of all seeds of an architecture, fold by fold."""
    local = [r for r in records if r["cell"]["architecture"] == architecture]
    folds = sorted({r["cell"]["fold"] for r in local})
    return [ensemble([r for r in local if r["cell"]["fold"] == fold], suffix, **more) for fold in folds]
