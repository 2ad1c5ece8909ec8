"""``results/index.html``: every row in a sortable table, and two networks image by image. One file, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import names, verdict_words
from bench.markdown import plain
from bench.pages import leading, tables
from bench.statistics.rows import TARGETS, Leaderboard, Row

TEMPLATE = Path(__file__).with_name("browser.html")
DICE = 10_000  # Dice of an image is stored as a whole number of this part


def browser_page(leaderboards: Sequence[Leaderboard], page_name: Mapping[str, str]) -> str:
    """The HTML. page_name: suite -> file of its page."""
    scored = [s for s in leaderboards if s.rows]
    leader = leading.leader(scored)
    first = next((i for i, s in enumerate(scored) if s is leader), 0)
    data = {"first": first, "sections": [_leaderboard(s, page_name) for s in scored]}
    # "<" would end the script element or begin a comment where a name from outside holds one
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace("@DATA@", text)


def _leaderboard(leaderboard: Leaderboard, page_name: Mapping[str, str]) -> dict[str, Any]:
    key = leaderboard.conditions
    images = sorted({image for r in leaderboard.rows for image in r.images})
    title = (
        f"{key.suite}: {names.data(key.test_set)} {key.size[0]} px, {names.machine(key.backend, key.device_kind)},"
        f" {key.precision}, protocol {key.protocol}"
    )
    return {
        "title": plain(title),
        "page": page_name[key.suite],
        "images": [plain(image) for image in images],
        "rows": [_row(leaderboard, row, images) for row in leaderboard.rows],
    }


def _row(leaderboard: Leaderboard, row: Row, images: Sequence[str]) -> dict[str, Any]:
    dice = dict(zip(row.images, row.image_dice, strict=True))
    stored = row.stored.boundary if row.stored else None
    return {
        "name": plain(names.display(row.name)),
        "dice": _number(row.dice.value), "low": _number(row.dice.low), "high": _number(row.dice.high),
        "verdict": verdict_words.of_row(leaderboard, row),
        "difference": tables.difference(leaderboard, row),
        **{k: _number(row.means[k]) for k in ("iou", "precision", "recall", "accuracy")},
        "hd95": _number(stored.hd95_median) if stored else None, "nsd": _number(stored.nsd_mean) if stored else None,
        "seeds": len(row.seeds), "parameters": row.parameters, "gmacs": _number(row.gmacs),
        "train": _number(row.train_seconds), "to": _number(row.seconds_to.get(TARGETS[0], math.nan)),
        "never": math.isinf(row.seconds_to.get(TARGETS[0], math.nan)),
        "clock": "processor" if leaderboard.processor_time else "wall",
        "images": [round(DICE * dice[image]) if image in dice else None for image in images],
    }  # fmt: skip


def _number(value: float) -> float | None:
    """Six digits; None of what is not finite, which JSON has no word for."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
